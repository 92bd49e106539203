"""Convolutions with pixels in the lanes give the bytes of the direct sums: any shape, cut and size, and at their edges.

Sums at the ends of int32 and pairs at the end of 16 bits: test_edges.py.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.emulator import HOST_ISAS
from tests.kernels.harness import Case, check, cuts, operand, store
from tests.kernels.test_pack import check as check_packing
from tests.kernels.test_winograd import areas, at_edge, patterns
from tvmsr.kernels.algorithms import ALGORITHMS, positions, primitive_of
from tvmsr.kernels.assembly import parse
from tvmsr.kernels.choice import choose
from tvmsr.kernels.host import HostKernels, level_of
from tvmsr.kernels.isa import ISAS, Kind
from tvmsr.kernels.layout import planar_layout, tap_by_tap
from tvmsr.kernels.legality import NO_PRIMITIVE
from tvmsr.kernels.naming import symbol
from tvmsr.kernels.pipeline import build_module, exported_name
from tvmsr.kernels.planar_plan import plan
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Load, Reads, Residual, Tile
from tvmsr.kernels.windows import exact, step_sums

PLANAR = ("planar", "planar_window", "planar_wide")
#: Weights that are legal whatever they are: pairs of dot4 reach 32640, windows of two steps as much.
LIMITS = {"planar": 64, "planar_window": 32, "planar_wide": 127}
NAMES = [isa for isa in HOST_ISAS if isa != "portable"]
SIZES = ((1, 1), (1, 9), (9, 1), (2, 3), (4, 4), (3, 17), (5, 33), (2, 70), (7, 131))


@dataclass
class Planar(Case):
    """A case of one algorithm; tile: by default the first that is offered."""

    def weights(self):
        if self.given is not None:
            return self.given
        limit = min(LIMITS[self.algorithm], 2 ** (self.source.weight_bits - 1) - 1)
        shape = (*self.source.kernel, self.source.inputs, self.source.outputs)
        return np.random.default_rng(self.seed()).integers(-limit, limit + 1, shape).astype(np.int8)

    def offered(self, isa: str) -> tuple[Tile, ...]:
        """() where the isa has no such kernel."""
        row = ALGORITHMS[self.algorithm]
        primitive, weight = row.primitive(self.source, ISAS[isa]), self.weights()
        problem = row.legal(self.source, primitive, weight)
        assert not problem or NO_PRIMITIVE in problem
        return () if problem else row.tiles(self.source, ISAS[isa], primitive, weight)

    def spec_for(self, isa: str) -> KernelSpec:
        if isa not in self.spec:
            tile = self.tile or self.offered(isa)[0]
            self.spec[isa] = KernelSpec(self.source, self.epilogue, isa, self.algorithm, tile)
        return self.spec[isa]


def case(name, algorithm, kernel, inputs, outputs, epilogue=None, form=Form.U8, bits=8, pitch=None, **more) -> Planar:
    source = Conv(kernel, inputs, outputs, operand(inputs, form, pitch), bits, 8)
    epilogue = epilogue or Epilogue((store(outputs),))
    return Planar(f"{algorithm}_{name}", source, epilogue, bits, algorithm=algorithm, **more)


def shape_cases(algorithm):
    """Words of a pixel that fill no vector, one and several; channels that fill none and several; every epilogue."""
    anchor = Epilogue((store(3, block=3),), (Residual(operand(3, pitch=4), modulo=3),), fraction=8)
    grey = Epilogue((store(1, block=2),), (Residual(operand(1), modulo=1),), fraction=6)
    stream = Epilogue(
        (store(24, Form.U16), store(24, reads=Reads.CODE)), (Residual(operand(24, Form.U16), identity=True),), 3
    )
    found = [
        case("1x1_one", algorithm, (1, 1), 5 if algorithm == "planar_window" else 1, 1),  # a window has two steps
        case("4x4_fsrcnn", algorithm, (4, 4), 56, 9, Epilogue((store(1, block=3),)), zero="high"),
        case("5x5_grey", algorithm, (5, 5), 32, 1, zero="low"),
        case("3x2_shuffle2", algorithm, (3, 2), 7, 4, grey),
        case("3x3_anchor", algorithm, (3, 3), 28, 27, anchor, pitch=31),
    ]
    if algorithm != "planar":
        return found
    return [
        *found,
        case("2x5_leaky", algorithm, (2, 5), 19, 5, Epilogue((store(5, pitch=7),), leaky=True)),
        case("1x3_table", algorithm, (1, 3), 6, 3, Epilogue((store(3),), (Residual(operand(3)),), 5, table=True)),
        case("3x3_stream", algorithm, (3, 3), 12, 24, stream, out_bits=(16, 8)),
        case("3x1_32", algorithm, (3, 1), 9, 32, Epilogue((store(8, block=2),))),
        case("3x3_a12", algorithm, (3, 3), 13, 9, Epilogue((store(1, block=3),)), Form.S16, 12),
        case("3x3_a16", algorithm, (3, 3), 5, 2, None, Form.S16, 16, pitch=7),
        case("3x3_a15", algorithm, (3, 3), 30, 10, None, Form.U16, 15),
    ]


def tile_cases(algorithm, isa):
    """Every tile that is offered for channels that one block holds, and that several do."""
    found = [case("tiles", algorithm, (2, 3), 9, n, size=(4, 150)) for n in (3, 23)]
    found = [replace(c, given=c.weights()) for c in found]  # windows are legal for these
    return [replace(c, name=f"{c.name}_{n}_{t}", tile=t, spec={}) for n, c in enumerate(found) for t in c.offered(isa)]


def short_cases(algorithm, isa):
    """Strips of one vector of pixels and blocks of two channels, so that pictures of a few pixels have several."""
    residual = (Residual(operand(5)),)
    c = case("short", algorithm, (3, 3), 18, 5, Epilogue((store(5, pitch=6),), residual, 4))
    window = 2 if algorithm == "planar_window" else 0
    return [replace(c, tile=Tile(ISAS[isa].lanes, 2, window, ISAS[isa].lanes))] if c.offered(isa) else []


def cases_of(isa):
    found = [c for a in PLANAR for c in (*short_cases(a, isa), *shape_cases(a), *tile_cases(a, isa))]
    return [c for c in found if c.offered(isa)]


CASES = {isa: cases_of(isa) for isa in NAMES}
#: Numbers of those whose size and numbers vary.
SHORT = {isa: [k for k, c in enumerate(cases) if c.name.endswith("short")] for isa, cases in CASES.items()}
each_isa = pytest.mark.parametrize("isa", NAMES)


@pytest.mark.parametrize(
    ("isa", "index"), [pytest.param(i, k, id=f"{i}-{c.name}") for i in NAMES for k, c in enumerate(CASES[i])]
)
def test_bytes(opened, isa, index):
    kernels, chosen = opened(isa, CASES[isa]), CASES[isa][index]
    check(kernels, f"k{index}", chosen, chosen.spec_for(isa))
    wide = replace(chosen, size=(3, 2 * chosen.spec_for(isa).tile.strip + 5), saturate=True)
    check(kernels, f"k{index}", wide, chosen.spec_for(isa), [(0, 3, 0, wide.size[1])])


@each_isa
def test_sizes(opened, isa):
    """Pictures smaller than a vector of pixels, and more than one strip; in one piece and in several."""
    kernels = opened(isa, CASES[isa])
    for index, size in itertools.product(SHORT[isa], SIZES):
        chosen = replace(CASES[isa][index], size=size)
        for pieces in ([(0, size[0], 0, size[1])], cuts(*size)):
            check(kernels, f"k{index}", chosen, CASES[isa][index].spec_for(isa), pieces)


@each_isa
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_cut(opened, isa, data):
    kernels, index = opened(isa, CASES[isa]), data.draw(st.sampled_from(SHORT[isa]))
    size = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 70))
    zero, seed = data.draw(st.sampled_from(["low", "middle", "high"])), data.draw(st.integers(0, 1000))
    chosen = replace(CASES[isa][index], size=size, zero=zero, saturate=data.draw(st.booleans()))
    check(kernels, f"k{index}", chosen, CASES[isa][index].spec_for(isa), data.draw(areas(*size)), seed)


@each_isa
def test_empty_ranges_write_nothing(opened, isa):
    kernels = opened(isa, CASES[isa])
    for index in SHORT[isa]:
        chosen = CASES[isa][index]
        whole = (0, chosen.size[0], 0, chosen.size[1])
        check(kernels, f"k{index}", chosen, chosen.spec_for(isa), [(4, 4, 0, 9), (0, 4, 5, 5), whole])


@each_isa
def test_extremes(opened, isa):
    """Where ranges are used up: the last legal weights of each pattern of signs, codes and start values at the ends."""
    edges = set()
    for index in SHORT[isa]:
        kernels, base = opened(isa, CASES[isa]), CASES[isa][index]
        spec = base.spec_for(isa)
        primitive, row = primitive_of(spec), ALGORITHMS[base.algorithm]
        for pattern, signs in patterns((3, 3, 18, 5)).items():

            def legal(weight, spec=spec, primitive=primitive, row=row):
                windows = spec.tile.window
                if windows and not exact(step_sums(tap_by_tap(spec.source), primitive, weight), primitive, windows):
                    return False
                return row.legal(spec.source, primitive, weight) == ""

            weight, largest = at_edge(signs, legal)
            if not largest:
                edges.add(primitive.name)
            for codes, zero, bias in itertools.product(("", "low", "high"), ("low", "high"), ("", "low", "high")):
                found = replace(base, name=pattern, given=weight, size=(4, 21), saturate=not codes)
                found.codes, found.zero, found.bias = codes, zero, bias
                check(kernels, f"k{index}", found, spec)
    assert edges == {p.name for p in ISAS[isa].primitives if p.pair_limit}


@each_isa
def test_packing(isa):
    """A word of weights for each channel of a block, tap by tap, in the packer's own layout."""
    packer, rng = HostKernels({}), np.random.default_rng(3)
    for chosen in CASES[isa]:
        spec = chosen.spec_for(isa)
        layout = planar_layout(chosen.source, ISAS[isa], primitive_of(spec), spec.tile)
        weight = rng.integers(-127, 128, chosen.weights().shape).astype(np.int8)
        check_packing(packer, layout, weight, 8)
        groups, count = positions(spec)
        assert groups == 1 and count % ISAS[isa].lanes == 0 and count >= layout.positions


@pytest.mark.parametrize("isa", sorted(set(NAMES) - {"avxvnni"}))  # LLVM writes {vex} before its products
def test_products_stay_in_registers(isa):
    """The innermost loops touch no stack and have no instruction too many; no kernel calls anything or is large."""
    found = [case("asm", a, (4, 4), 56, n) for a in PLANAR for n in (9, 4, 1)]
    found += [case("asm16", "planar", (5, 5), 56, n, form=Form.S16, bits=12) for n in (9, 4)]
    specs = {f"k{n}": c.spec_for(isa) for n, c in enumerate(c for c in found if c.offered(isa))}
    text = build_module(specs, level_of(isa), "x86_64-unknown-linux-gnu").inspect_source("asm")
    functions = parse(text, ISAS[isa].machine)
    for name, spec in specs.items():
        function = functions[exported_name(name, level_of(isa))]
        instructions = list(function.instructions)
        assert [i.text for i in instructions if function.is_call(i)] == []
        assert len(instructions) < 3500, spec
        sums = spec.tile.vectors * spec.tile.pixels // ISAS[isa].lanes
        each = 2 if primitive_of(spec).widen and primitive_of(spec).kind is not Kind.WINDOW else 1
        bodies = [b for b in map(function.body, function.product_loops) if sum(map(function.is_product, b)) >= sums]
        steps = min(bodies, key=len)
        assert sum(map(function.is_product, steps)) % (each * sums) == 0 or spec.tile.window
        assert [i.text for i in steps if function.on_stack(i)] == [] or spec.tile.window, spec


def plain(kernel, inputs, outputs, block=1):
    source = Conv(kernel, inputs, outputs, operand(inputs), 8, 7)
    return source, Epilogue((store(outputs // block**2, block=block),))


@pytest.mark.parametrize("isa", NAMES)
def test_taken_where_vectors_are_badly_filled(isa):
    def best(*layer):
        source, epilogue = plain(*layer)
        return choose(source, epilogue, isa, np.full((*source.kernel, source.inputs, source.outputs), 40, np.int8))

    for layer in (((4, 4), 56, 9, 3), ((5, 5), 56, 4, 2), ((5, 5), 32, 1), ((9, 9), 64, 3)):
        if isa != "sse41" or layer[2] in (1, 3):
            assert best(*layer).spec.algorithm in PLANAR, layer
    for layer in (((3, 3), 64, 64), ((3, 3), 32, 32), ((3, 3), 16, 16), ((5, 5), 3, 64), ((1, 1), 64, 16)):
        assert best(*layer).spec.algorithm not in PLANAR, layer
    assert best((1, 1), 64, 64, 8).spec.algorithm not in PLANAR


def test_names():
    source, epilogue = plain((4, 4), 56, 9, 3)
    spec = choose(source, epilogue, "avx512vnni").spec
    assert re.fullmatch(r"tvmsr_planar_conv4x4_u8w7_56x9_t32x9s64_requant_shuffle3_[0-9a-f]{6}", symbol(spec))


def test_refused():
    """What has no pixels side by side, or channels that fill vectors; and on ARM all."""
    legal, dot4 = ALGORITHMS["planar"].legal, ISAS["avx2"].primitive("dot4")
    source, _ = plain((3, 3), 16, 9)
    assert legal(source, dot4, None) == ""
    for more in ({"stride": 2}, {"dilation": 2}):
        assert "side by side" in legal(replace(source, **more), dot4, None)
    assert "side by side" in legal(replace(source, outputs=8, groups=4), dot4, None)
    assert "fill vectors" in legal(replace(source, outputs=33), dot4, None)
    assert "saturate" in legal(replace(source, weight_bits=8), dot4, None)
    assert legal(Load(3, 3, operand(3)), None, None) == "not a convolution"
    for isa in ("neon", "dotprod", "i8mm", "neon32", "portable"):
        for form in Form:
            x = replace(source, x=operand(16, form))
            assert NO_PRIMITIVE in legal(x, ALGORITHMS["planar"].primitive(x, ISAS[isa]), None)


def test_no_grid_of_one_pixel():
    source, epilogue = plain((5, 5), 56, 4)
    choice = choose(source, epilogue, "avx512vnni", one_pixel=True)
    assert not {c.algorithm for c in (choice.best, *choice.others)} & set(PLANAR)


@each_isa
def test_scratch(isa):
    """Inputs stay in L1 unless a strip of a tile or two is too long; blocks hold all channels, the last one some."""
    for chosen in CASES[isa]:
        spec = chosen.spec_for(isa)
        scheme = plan(chosen.source, ISAS[isa], primitive_of(spec), spec.tile)
        assert ALGORITHMS[spec.algorithm].scratch(spec) == scheme.bytes
        assert scheme.bytes < 70_000 and scheme.strip % scheme.pixels == 0
        assert 0 <= (scheme.blocks - 1) * scheme.outputs < chosen.source.outputs <= scheme.blocks * scheme.outputs
