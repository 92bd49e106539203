"""Windows of 16-bit sums: how long they may be, and kernels whose sums reach the very ends of 16 bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.emulator import HOST_ISAS, MACHINES, isa_of
from tests.kernels.harness import Case, check, operand, store
from tests.kernels.test_winograd import at_edge, patterns
from tvmsr.kernels.algorithms import ALGORITHMS
from tvmsr.kernels.choice import choose
from tvmsr.kernels.isa import ISAS, Kind
from tvmsr.kernels.layout import row_inputs, run_shape
from tvmsr.kernels.legality import winograd_legal
from tvmsr.kernels.spec import Conv, Epilogue, Form, Tile
from tvmsr.kernels.transforms import F2_BYTES
from tvmsr.kernels.windows import Cut, Level, cut, exact, legal_windows, step_sums, transformed_sums, widenings

WINDOW = ALGORITHMS["direct_window"]


def conv(kernel, inputs, outputs, bits=8, weight_bits=8, form=Form.U8, pitch=None, **more):
    return Conv((kernel, kernel), inputs, outputs, operand(inputs, form, pitch), bits, weight_bits, **more)


def plain(outputs, form=Form.U8):
    return Epilogue((store(outputs, form),))


def primitive_of(source, isa):
    found = WINDOW.primitive(source, ISAS[isa])
    assert found is not None
    return found


@pytest.mark.parametrize(("bits", "weight_bits", "longest"), [(8, 4, 9), (6, 6, 8), (6, 4, 37), (4, 4, 156)])
def test_lengths_by_bits(bits, weight_bits, longest):
    source = conv(1, 2048, 64, bits, weight_bits)
    assert max(legal_windows(source, primitive_of(source, "avx2"), None)) == longest


def test_lengths_by_weights():
    """Small weights lengthen windows, and it is the windows as they are cut that count."""
    source, weight = conv(3, 64, 64), np.zeros((3, 3, 64, 64), np.int8)
    primitive = primitive_of(source, "avx2")
    assert legal_windows(source, primitive, None) == ()
    assert legal_windows(source, primitive, weight) == (144,)
    weight[:, 1, :, 5] = 1  # 16 steps of a row's 48: three rows are 16 * 2 * 255 * 3
    assert legal_windows(source, primitive, weight) == (144,)
    weight[:, 1, :, 5] = -3  # two rows are 16 * 6 * 255 * 2
    assert legal_windows(source, primitive, weight) == (48,)
    weight[1, 1, :, 5] = 5  # one row would be 16 * 10 * 255; steps 24 and 28 lie in the middle of the tap
    assert legal_windows(source, primitive, weight) == (24, 28)


def test_refused_where_the_cpu_saturates():
    source, weight = conv(3, 64, 64), np.zeros((3, 3, 64, 64), np.int8)
    weight[0, 0, 0:2, 0] = 127
    refused = choose(source, plain(64), "avx2", weight).refused
    assert "direct_window: pairs of a8 with weights up to 254 saturate 16 bits" in refused
    weight[0, 0, 1, 0] = 0
    weight[0, 0, 2:6, 0] = 64  # a lane of its own, and the next step of the first
    assert legal_windows(source, primitive_of(source, "avx2"), weight) == ()


def test_cuts():
    turns = (3, 5, 7)
    found = [cut(turns, n) for n in (2, 7, 20, 35, 69, 105, 999)]
    levels = [Level.STEPS, Level.RUNS, Level.RUNS, *[Level.ROWS] * 4]
    assert found == [Cut(level, n) for level, n in zip(levels, (2, 1, 2, 1, 1, 3, 3), strict=True)]
    assert [widenings(turns, n) for n in (2, 7, 20, 35, 70, 105)] == [3 * 5 * 4, 15, 3 * 3, 3, 2, 1]


def cycles(source, isa):
    """Predicted cycles of the direct algorithms."""
    choice = choose(source, plain(source.outputs), isa)
    return {c.algorithm: c.cycles_per_pixel for c in (choice.best, *choice.others) if c.algorithm.startswith("direct")}


@pytest.mark.parametrize("isa", ["avx2", "sse41"])
def test_windows_pay(isa):
    """The longer they are, the more."""
    for inputs in (32, 64):
        short, long = (cycles(conv(3, inputs, 64, *bits), isa) for bits in ((8, 4), (6, 4)))
        assert long["direct_window"] < short["direct_window"] < short["direct"]
    assert "direct_window" not in cycles(conv(3, 64, 64, 8, 7), isa)


def test_no_windows_beside_dot_products():
    for isa in ("avxvnni", "avx512vnni", "dotprod"):
        assert WINDOW.primitive(conv(3, 64, 64, 4, 4), ISAS[isa]) is None


def edge_weights(source, primitive, window, more=0):
    """Weights that bring a window of a lane to the end of 16 bits where all codes are at one end of their range.

    Every weight is the same, but for the first, which has what its window lacks, and `more`; every other channel is
    negative.
    """
    low = -source.x.form.offset(source.max_bits)
    high = low + 2**source.max_bits - 1
    below, above = ([32768, 32767], [32767, 32768])  # of weights above and below zero, from codes below and above it
    totals = [min(b // max(-low, 1), a // max(high, 1)) for b, a in zip(below, above, strict=True)]
    shares, firsts = np.divmod(totals, window * (primitive.depth // 2))
    signs = np.resize([0, 1], source.outputs)
    weight = np.tile(shares[signs], (*source.kernel, source.inputs // source.groups, 1))
    weight[0, 0, 0] += firsts[signs] + more
    assert weight.max() <= 127
    return np.where(signs, -weight, weight).astype(np.int8)


#: Windows of steps, of runs, of kernel rows; with rests, and one for all.
X86 = {
    "steps": (conv(3, 32, 36, 5), 12),
    "steps_rest": (conv(3, 32, 36, 5), 10),
    "two_steps": (conv(3, 20, 20, 7), 2),
    "row": (conv(3, 32, 68, 4), 24),
    "rows_rest": (conv(3, 16, 36, 4), 24),
    "all": (conv(3, 16, 36, 4), 36),
    "point": (conv(1, 64, 12, 6), 16),
    "taps": (conv(3, 16, 20, 6, dilation=2), 4),
    "taps_rest": (conv(3, 16, 20, 5, dilation=2, stride=2), 8),
    "groups": (conv(3, 16, 24, 5, groups=2), 6),
    "first": (conv(3, 3, 28, 6, pitch=4), 3),
}
#: Chains within loads of eight steps, some of which are not full.
ARM = {
    "eight": (conv(3, 32, 36), 8),
    "rest": (conv(3, 20, 20, dilation=2), 8),
    "rest_of_two": (conv(1, 36, 28), 8),
    "four": (conv(3, 32, 20), 4),
    "three": (conv(1, 14, 12), 3),
    "narrow_codes": (conv(3, 16, 20, 5), 8),
}
#: CPUs that run windows.
NAMES = [n for n in (*HOST_ISAS, *MACHINES) if "window" in {p.name for p in ISAS[isa_of(n)].primitives}]


def edges(isa):
    """(name, source, primitive, window) of all shapes."""
    form = ISAS[isa].byte_form
    for name, (shape, window) in (ARM if form is Form.S8 else X86).items():
        source = replace(shape, x=replace(shape.x, form=form))
        yield name, source, primitive_of(source, isa), window


def cases_of(isa):
    """Every shape, the first by every tile."""
    cases = []
    for number, (name, source, primitive, window) in enumerate(edges(isa)):
        tiles = primitive.tiles
        for shape in (tiles[number % len(tiles)],) if number else (*tiles, (3, 1)):
            tile = Tile(*shape, window)
            case = Case(f"{name}_{tile}", source, plain(source.outputs), source.max_bits, tile=tile, size=(2, 17))
            cases.append(replace(case, algorithm="direct_window", spec={}))
    return cases


#: Of the transform on bytes: windows, all of which a case has, bits and channels.
TRANSFORMED = {2: (4, 30, 36), 5: (4, 30, 20), 8: (3, 70, 20)}


def transformed_cases(isa):
    cases = []
    for number, (window, (bits, inputs, outputs)) in enumerate(TRANSFORMED.items()):
        source = conv(3, inputs, outputs, bits, 8, ISAS[isa].byte_form)
        primitive = primitive_of(source, isa)
        if primitive.kind is Kind.CHAIN and window != 8:
            continue
        shape = primitive.tiles[number % len(primitive.tiles)]
        tile = Tile(*shape, window, 2 * shape[0])
        form = ISAS[isa].byte_form
        case = Case(f"transform_{tile}", source, plain(outputs, form), bits, tile=tile, size=(5, 21))
        cases.append(replace(case, algorithm="winograd2_window", spec={}))
    return cases


CASES = {isa: cases_of(isa) + transformed_cases(isa) for isa in dict.fromkeys(map(isa_of, NAMES))}
PARAMS = [
    pytest.param(name, index, id=f"{case.name}-{name}")
    for name in NAMES
    for index, case in enumerate(CASES[isa_of(name)])
    if case.algorithm == "direct_window"
]


@pytest.mark.parametrize(("name", "index"), PARAMS)
def test_bytes(opened, name, index):
    """Sums at the ends of 16 bits, from codes and zero points at theirs; then weights of any sign."""
    cases, isa = CASES[isa_of(name)], isa_of(name)
    case, spec = cases[index], cases[index].spec_for(isa)
    primitive, kernels = primitive_of(spec.source, isa), opened(name, cases)
    weight = edge_weights(spec.source, primitive, spec.tile.window)
    assert exact(step_sums(spec.source, primitive, weight), primitive, spec.tile.window)
    for codes in ("low", "high"):
        edge = Case(case.name, case.source, case.epilogue, case.bits, zero=codes, codes=codes, size=case.size)
        check(kernels, f"k{index}", replace(edge, given=weight), spec)
    signs = np.random.default_rng(index).integers(-1, 2, weight.shape)
    mixed = Case(case.name, case.source, case.epilogue, case.bits, saturate=True, size=(3, 31))
    check(kernels, f"k{index}", replace(mixed, given=(signs * (np.abs(weight) - 1)).astype(np.int8)), spec)


def transformed_edge(source, primitive, window, signs):
    """The largest weights of these signs of which windows of the transform are exact, and whether there are larger."""

    def fits(weight):
        sums = transformed_sums(source, primitive, weight, F2_BYTES)
        return exact(sums, primitive, window) and not winograd_legal(source, primitive, weight, F2_BYTES)

    return at_edge(signs, fits)


@pytest.mark.parametrize("name", NAMES)
def test_transformed_bytes(opened, name):
    """Sums of transformed inputs at the ends of 16 bits, where weights of several patterns use those up."""
    isa, edges = isa_of(name), 0
    kernels = opened(name, CASES[isa])
    for index, case in enumerate(CASES[isa]):
        if case.algorithm != "winograd2_window":
            continue
        spec = case.spec_for(isa)
        primitive = primitive_of(spec.source, isa)
        shape = (3, 3, spec.source.inputs, spec.source.outputs)
        for pattern, signs in patterns(shape).items():
            weight, largest = transformed_edge(spec.source, primitive, spec.tile.window, signs)
            edges += not largest
            for codes in ("", "low", "high"):
                given = Case(pattern, case.source, case.epilogue, case.bits, codes=codes, saturate=not codes)
                check(kernels, f"k{index}", replace(given, given=weight, size=case.size, zero="high"), spec)
    assert edges


@pytest.mark.parametrize("isa", CASES)
def test_one_more_is_refused(isa):
    """Of every case, a weight that is larger by one leaves 16 bits."""
    for name, source, primitive, window in edges(isa):
        weight = edge_weights(source, primitive, window, more=1)
        for sign in range(2):
            one = np.delete(weight, slice(sign, None, 2), 3)
            assert not exact(step_sums(source, primitive, one), primitive, window), name
        assert window not in legal_windows(source, primitive, weight)


@pytest.mark.parametrize("isa", CASES)
def test_offered_windows_are_exact(isa):
    """Of the windows that a layer is offered, each is exact by brute force over the order of the packed weights."""
    rng = np.random.default_rng(3)
    for kernel, inputs, weight_bits, dilation in ((3, 64, 4, 1), (3, 9, 6, 1), (1, 50, 7, 1), (3, 12, 5, 2)):
        source = conv(kernel, inputs, 20, 6, weight_bits, ISAS[isa].byte_form, dilation=dilation)
        limit = 2 ** (weight_bits - 1) - 1
        weight = rng.integers(-limit, limit + 1, (kernel, kernel, inputs, 20)).astype(np.int8)
        primitive = primitive_of(source, isa)
        for tile in WINDOW.tiles(source, ISAS[isa], primitive, weight):
            assert largest_sum(source, primitive, weight, tile.window) <= 32768


def largest_sum(source, primitive, weight, window):
    """Largest magnitude of a sum that a window can reach: plain loops."""
    order = row_inputs(source, primitive)
    low = -source.x.form.offset(source.max_bits)
    ends = low, low + 2**source.max_bits - 1
    _, runs, steps = run_shape(source, primitive.group)
    where = cut((source.kernel[0], runs, steps), window)
    flat = weight.reshape(source.kernel[0], -1, weight.shape[3]).astype(np.int64)
    sums, now = [], None
    for row in range(source.kernel[0]):
        for run in range(runs):
            for step in range(steps):
                chained = step % primitive.span % window == 0
                turn = (row, run, step)[where.level]
                first = (row, run, step)[where.level + 1 :] == (0,) * (2 - where.level) and turn % where.count == 0
                if chained if primitive.kind is Kind.CHAIN else first:
                    now = np.zeros((2, 2, weight.shape[3]), np.int64)
                    sums.append(now)
                for element in range(primitive.group):
                    at = order[(run * steps + step) * primitive.group + element]
                    if at >= 0:
                        products = np.stack([flat[row, at] * end for end in ends])
                        lane = element // (primitive.depth // 2)
                        now[0, lane] += products.min(0)
                        now[1, lane] += products.max(0)
    return max(np.abs(s).max() for s in sums)
