"""Kernels by a transform give the bytes of the direct sums: any shape and cut, and numbers at the edge of legality."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.emulator import EMULATED_ISAS, HOST_ISAS, MACHINES, half, isa_of
from tests.kernels.harness import Case, check, cuts, operand, store, stored_as
from tests.kernels.test_assembly import SHIPPED
from tvmsr.kernels.algorithms import ALGORITHMS
from tvmsr.kernels.assembly import parse
from tvmsr.kernels.host import level_of
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.pipeline import build_module, exported_name
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Reads, Residual, Tile

BITS = {"winograd2": 6, "winograd2_words": 13, "winograd4": 8}
#: Weights of cases that are legal on every row, whatever they are.
LIMITS = {"winograd2": 3, "winograd2_words": 40, "winograd4": 40}
FORMS = {"winograd2_words": Form.S16}
NAMES = [name for name in (*HOST_ISAS, *MACHINES) if ISAS[isa_of(name)].name != "portable"]
SIZES = ((1, 1), (1, 9), (9, 1), (2, 3), (3, 5), (4, 4), (5, 9), (7, 63))


def offered(algorithm: str, isa: str, source: Conv, weight: np.ndarray) -> tuple[Tile, ...]:
    row, primitive = ALGORITHMS[algorithm], ALGORITHMS[algorithm].primitive(source, ISAS[isa])
    assert row.legal(source, primitive, weight) == ""
    return row.tiles(source, ISAS[isa], primitive, weight)


@dataclass
class Transformed(Case):
    """A case of one algorithm; tile: by default one of the shortest strips."""

    def weights(self):
        if self.given is not None:
            return self.given
        limit, shape = LIMITS[self.algorithm], (3, 3, self.source.inputs, self.source.outputs)
        return np.random.default_rng(self.seed()).integers(-limit, limit + 1, shape).astype(np.int8)

    def spec_for(self, isa: str) -> KernelSpec:
        if isa not in self.spec:
            form = self.byte_form or ISAS[isa].byte_form
            source, epilogue = stored_as(form, self.source, self.epilogue)
            tile = self.tile or offered(self.algorithm, isa, source, self.weights())[0]
            self.spec[isa] = KernelSpec(source, epilogue, isa, self.algorithm, tile)
        return self.spec[isa]


def case(name, algorithm, inputs, outputs, epilogue=None, pitch=None, **more) -> Transformed:
    bits = BITS[algorithm]
    source = Conv((3, 3), inputs, outputs, operand(inputs, FORMS.get(algorithm, Form.U8), pitch), bits, 8)
    epilogue = epilogue or Epilogue((store(outputs),))
    return Transformed(f"{algorithm}_{name}", source, epilogue, bits, algorithm=algorithm, **more)


def shape_cases(algorithm):
    """Channels that fill no vector, slices of wider pixels, all kinds of stores; by one algorithm every epilogue."""
    wide = Epilogue((store(64, pitch=70),))
    stream = Epilogue(
        (store(24, Form.U16), store(24, reads=Reads.CODE)), (Residual(operand(24, Form.U16), identity=True),), 3
    )
    anchor = Epilogue((store(3, block=3),), (Residual(operand(3, pitch=4), modulo=3),), fraction=8)
    slices = Epilogue((store(16, pitch=64), store(48, pitch=50, first=16, reads=Reads.CODE)))
    both = [
        case("1x1", algorithm, 1, 1),
        case("70x70", algorithm, 70, 70, pitch=83, zero="high"),
        case("64x64", algorithm, 64, 64, wide, zero="low"),
        case("28x27_shuffle3", algorithm, 28, 27, anchor),
        case("20x64_slices", algorithm, 20, 64, slices, out_bits=(8, 6)),
    ]
    if algorithm != "winograd4":
        return both
    return [
        *both,
        case("3x29", algorithm, 3, 29, pitch=4),
        case("33x17_leaky", algorithm, 33, 17, Epilogue((store(17),), leaky=True)),
        case("16x40_table", algorithm, 16, 40, Epilogue((store(40),), (Residual(operand(40)),), 5, table=True)),
        case("12x24_stream", algorithm, 12, 24, stream, out_bits=(16, 8)),
        case("24x12_shuffle2", algorithm, 24, 12, Epilogue((store(3, block=2),))),
        case("20x48_shuffle4", algorithm, 20, 48, Epilogue((store(3, block=4),))),
        case("8x256_shuffle2", algorithm, 8, 256, Epilogue((store(64, block=2),))),
    ]


def tile_cases(algorithm, isa):
    """Every register tile that is offered, with a full block of outputs and a rest of one channel, and every strip."""
    source, _ = stored_as(ISAS[isa].byte_form, case("", algorithm, 21, 1).source, Epilogue((store(1),)))
    tiles, lanes = offered(algorithm, isa, source, np.ones((3, 3, 21, 1), np.int8)), ISAS[isa].lanes
    shortest = {(*t[:2], t.positions): t for t in reversed(tiles)}.values()
    tiles = [*shortest, *(t for t in tiles if t[:2] == tiles[0][:2] and t not in shortest)]
    return [case(f"tile_{t}", algorithm, 21, t.vectors * lanes + 1, tile=t, size=(6, 71)) for t in tiles]


def row_cases(isa):
    """Sums of a row of positions held at once: every epilogue, as each line of a tile has code of its own."""
    tiles = [Tile(*shape, strip=6, positions=4) for shape in ISAS[isa].row_tiles]
    shapes = [c for a in ("winograd2_words", "winograd4") for c in shape_cases(a)] if tiles else []
    bits = {"winograd4": ("winograd2", 6)}
    found = []
    for number, c in enumerate(shapes):
        algorithm, width = bits.get(c.algorithm, (c.algorithm, c.bits))
        source = replace(c.source, max_bits=width)
        tile = tiles[number % len(tiles)]
        name = f"rows_{algorithm}{c.name.removeprefix(c.algorithm)}"
        found.append(replace(c, name=name, algorithm=algorithm, bits=width, source=source, tile=tile))
    return found


def short(algorithm, positions=1):
    """Strips of four tiles of two at a time, so that pictures of a few pixels have several; of rows by two vectors."""
    tile = Tile(2, 2 if positions > 1 else 1, strip=4, positions=positions)
    epilogue = Epilogue((store(21),), (Residual(operand(21)),), 4)
    return case("rows_short" if positions > 1 else "short", algorithm, 27, 21, epilogue, tile=tile)


def some(isa, cases):
    """Of ARM's half, which take twice as long to build."""
    return half(isa, cases) if isa in EMULATED_ISAS else cases


CASES = {
    isa: [c for a in BITS for c in (short(a), *some(isa, shape_cases(a)), *tile_cases(a, isa))]
    + [short(a, 4) for a in ("winograd2", "winograd2_words") if isa not in EMULATED_ISAS]
    + row_cases(isa)
    for isa in {*map(isa_of, NAMES)}
}
#: Numbers of those whose size and numbers vary.
SHORT = {isa: [k for k, c in enumerate(cases) if c.name.endswith("short")] for isa, cases in CASES.items()}
PARAMS = [
    pytest.param(name, index, id=f"{name}-{c.name}") for name in NAMES for index, c in enumerate(CASES[isa_of(name)])
]
each_name = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize(("name", "index"), PARAMS)
def test_bytes(opened, name, index):
    chosen = CASES[isa_of(name)][index]
    check(opened(name, CASES[isa_of(name)]), f"k{index}", chosen, chosen.spec_for(isa_of(name)))


@each_name
def test_sizes(opened, name):
    """Pictures smaller than a tile, and more than one strip; in one piece and in several."""
    kernels, isa = opened(name, CASES[isa_of(name)]), isa_of(name)
    for index, size in itertools.product(SHORT[isa], SIZES):
        chosen = replace(CASES[isa][index], size=size)
        for areas in ([(0, size[0], 0, size[1])], cuts(*size)):
            check(kernels, f"k{index}", chosen, CASES[isa][index].spec_for(isa), areas)


@st.composite
def areas(draw, height, width):
    """Bands and column ranges, in any order; `check` moves bands to where they may begin."""
    rows = sorted(draw(st.sets(st.integers(1, max(1, height - 1)), max_size=3)) | {0, height})
    columns = sorted(draw(st.sets(st.integers(1, max(1, width - 1)), max_size=3)) | {0, width})
    pieces = [(r0, r1, c0, c1) for r0, r1 in itertools.pairwise(rows) for c0, c1 in itertools.pairwise(columns)]
    return draw(st.permutations(pieces))


@each_name
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_cut(opened, name, data):
    kernels, isa = opened(name, CASES[isa_of(name)]), isa_of(name)
    index = data.draw(st.sampled_from(SHORT[isa]))
    size = data.draw(st.integers(1, 11)), data.draw(st.integers(1, 40))
    zero, seed = data.draw(st.sampled_from(["low", "middle", "high"])), data.draw(st.integers(0, 1000))
    chosen = replace(CASES[isa][index], size=size, zero=zero, saturate=data.draw(st.booleans()))
    check(kernels, f"k{index}", chosen, CASES[isa][index].spec_for(isa), data.draw(areas(*size)), seed)


def patterns(shape):
    """Signs of weights: those that add up at once, and those that transforms add up."""
    i, j, c, o = np.indices(shape)
    return {
        "plus": np.ones(shape, np.int64),
        "minus": -np.ones(shape, np.int64),
        "outputs": 1 - 2 * (o % 2),
        "taps": 1 - 2 * ((i + j + o) % 2),
        "inputs": 1 - 2 * ((c + o) % 2),
    }


def at_edge(signs, legal):
    """The largest weights of these signs that are legal, up to 127: one more of any is not."""
    order = np.argsort(np.indices(signs.shape[:3])[2].reshape(-1), kind="stable").argsort().reshape(signs.shape[:3])

    def weights(total):
        return (signs * (total // order.size + (order < total % order.size))[..., None]).astype(np.int8)

    low, high = 0, 127 * order.size + 1  # legal, not legal
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle < 127 * order.size + 1 and legal(weights(middle)) else (low, middle)
    return weights(low), low == 127 * order.size


@pytest.mark.parametrize(
    ("name", "index"),
    [pytest.param(name, k, id=f"{name}-{CASES[isa_of(name)][k].name}") for name in NAMES for k in SHORT[isa_of(name)]],
)
def test_extremes(opened, name, index):
    """-O3 code (tvm.tirx.build's default, by which artifacts are made) where every range is used up."""
    isa = isa_of(name)
    algorithm = CASES[isa][index].algorithm
    kernels, base = opened(name, CASES[isa]), CASES[isa][index]
    spec, row, edges = base.spec_for(isa), ALGORITHMS[algorithm], 0
    primitive = row.primitive(spec.source, ISAS[isa])
    for pattern, signs in patterns((3, 3, 27, 21)).items():
        weight, largest = at_edge(signs, lambda w: row.legal(spec.source, primitive, w) == "")
        edges += not largest
        for codes, zero, bias in itertools.product(("", "low", "high"), ("low", "high"), ("", "low", "high")):
            found = replace(base, name=pattern, given=weight, size=(5, 9), saturate=not codes)
            found.codes, found.zero, found.bias = codes, zero, bias
            check(kernels, f"k{index}", found, spec)
    assert edges or algorithm == "winograd2_words"  # 27 inputs cannot reach 32 bits


@each_name
def test_empty_ranges_write_nothing(opened, name):
    isa = isa_of(name)
    kernels = opened(name, CASES[isa])
    for index in SHORT[isa]:
        chosen = CASES[isa][index]
        whole = (0, chosen.size[0], 0, chosen.size[1])
        check(kernels, f"k{index}", chosen, chosen.spec_for(isa), [(4, 4, 0, 9), (0, 4, 5, 5), whole])


LOOPS = [
    pytest.param(isa, algorithm, tile, id=f"{isa}-{algorithm}-{tile}")
    for isa in sorted(set(CASES) - {"avxvnni"})  # LLVM writes {vex} before its products
    for algorithm in BITS
    for tile in (None, *(Tile(*t, strip=6, positions=4) for t in ISAS[isa].row_tiles if algorithm != "winograd4"))
]


@pytest.mark.parametrize(("isa", "algorithm", "tile"), LOOPS)
def test_products_stay_in_registers(isa, algorithm, tile):
    """The loop over input channels touches no stack; no kernel calls anything or is large."""
    chosen = case("64x64", algorithm, 64, 64, tile=tile)
    level, triple = SHIPPED.get(isa) or (level_of(isa), "x86_64-unknown-linux-gnu")
    spec = replace(chosen.spec_for(isa), isa=level.isa)
    function = parse(build_module({"k": spec}, level, triple).inspect_source("asm"), ISAS[isa].machine)[
        exported_name("k", level)
    ]
    instructions = list(function.instructions)
    assert [i.text for i in instructions if function.is_call(i)] == []
    assert len(instructions) < 2500
    bodies = [function.body(loop) for loop in function.product_loops]
    steps = max(bodies, key=lambda body: sum(map(function.is_product, body)))
    assert sum(map(function.is_product, steps)) >= spec.tile.pixels * spec.tile.vectors * spec.tile.positions
    assert [i.text for i in steps if function.on_stack(i)] == []


@pytest.mark.parametrize("isa", ["avx2", "sse41", "neon", "neon32"])
def test_sums_that_may_wrap_are_no_poison(isa):
    """Products of F(4x4) are added modulo 2**32, by vp.add; a direct kernel's sums cannot wrap, and say so: nsw."""
    level, triple = SHIPPED.get(isa) or (level_of(isa), "x86_64-unknown-linux-gnu")
    chosen = case("16x16", "winograd4", 16, 16)
    words = replace(chosen, source=replace(chosen.source, x=operand(16, Form.S16)), spec={}).source
    direct = KernelSpec(words, chosen.epilogue, isa, "direct", Tile(2, 1))
    for spec, addition in ((chosen.spec_for(isa), "@llvm.vp.add"), (direct, "add nsw")):
        text = build_module({"k": spec}, level, triple).inspect_source("ll")
        products = set(re.findall(r"(%\S+) = .*call .*(?:pmadd\.wd|smull|vmulls)", text))
        added = [line for line in text.splitlines() if re.search(r"\badd\b", line) and products & set(names(line))]
        assert added
        assert [line for line in added if addition not in line] == []


def names(line):
    """The values that a line of LLVM's text reads."""
    return re.findall(r"%[\w.]+", line.partition("=")[2])
