"""Direct, grouped and depthwise kernels at the last legal weights: what is refused with one unit more is exact here.

Two things bound them. Pairs of products must not saturate 16 bits where the primitive adds them there (legality.py):
32767 // 255 = 128 in two neighbouring weights of 8-bit codes. Sums must fit int32, from the start value on
(tvmsr/quant/accumulators.py): of weights, biases are what brings a sum there. Codes are such that every pixel reaches
the bound. Windows of 16-bit sums and transforms: test_windows.py, test_winograd.py.

Pairs of other primitives, and of 7-bit codes (2 * 127 * 127 = 32258), cannot saturate: their weights are 127.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from tests.kernels.emulator import HOST_ISAS, MACHINES, isa_of
from tests.kernels.harness import Case, check, edge_of_bias, operand, share_of_lows, store, stored_range, zero_of
from tests.kernels.reference import source_values
from tvmsr.kernels.algorithms import ALGORITHMS, primitive_of
from tvmsr.kernels.isa import ISAS, Kind, Primitive
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec
from tvmsr.quant.accumulators import INT32_MAX, accumulator_bounds, offsets, overflow
from tvmsr.quant.integer import Code

LARGEST, SATURATION = 127, 32767
#: Taps side by side in memory and one by one, groups, a lane for every channel; inputs that fill no step, no vector.
SHAPES = {
    "row": Conv((3, 3), 18, 20, operand(18), 8, 8),
    "taps": Conv((2, 3), 14, 37, operand(14, pitch=20), 8, 8, dilation=2),
    "groups": Conv((3, 3), 36, 24, operand(36), 8, 8, groups=2),
    "depthwise": Conv((5, 3), 36, 36, operand(36), 8, 8, groups=36),
}
#: Signs of weights and the codes that reach the sums' ends by them: one sign for an output, or pairs of inputs of both.
CODES = {"outputs": ("low", "high"), "pairs": ("even", "odd")}
NAMES = (*HOST_ISAS, *MACHINES)


@dataclass(frozen=True)
class Edge:
    """Weights that are just legal: one unit more in the first of each output is too much."""

    weight: np.ndarray
    signs: np.ndarray  # of each output's first

    @property
    def raised(self) -> np.ndarray:
        more = self.weight.copy()
        more[0, 0, 0] += self.signs
        return more


def edge(source: Conv, primitive: Primitive, pattern: str) -> Edge:
    ins, outs = source.inputs // source.groups, source.outputs // source.groups
    output = np.arange(source.outputs)
    channel = output // outs * ins + np.arange(ins)[:, None]  # of x: (ins, outputs)
    signs = 1 - 2 * ((output + channel // 2 * (pattern == "pairs")) % 2)
    both = full_pair(source, primitive)
    weight = np.resize([both - both // 2, both // 2], ins)[:, None] * signs * np.ones((*source.kernel, 1, 1), np.int64)
    weight[0, 0, 0] = weight[0, 0, 0].clip(1 - LARGEST, LARGEST - 1)
    return Edge(weight.astype(np.int8), signs[0].astype(np.int8))


def full_pair(source: Conv, primitive: Primitive) -> int:
    """The largest sum of two weights of one sign."""
    limit = SATURATION // (2**source.max_bits - 1) if primitive.pair_limit else 2 * LARGEST
    return min(limit, 2 * LARGEST)


def saturates(source: Conv, primitive: Primitive) -> bool:
    """Whether there are weights whose pairs do."""
    return full_pair(source, primitive) < 2 * LARGEST


def widest(form: Form, primitive: Primitive) -> int:
    """Bits of codes."""
    if form is Form.U16 and primitive.kind is not Kind.PLAIN:
        return 15
    return 8 * form.bytes


@cache
def cases_of(isa: str) -> list[Case]:
    """Every direct algorithm, shape and form; tiles by turns."""
    found, row = [], ISAS[isa]
    algorithms = [a for a in ALGORITHMS.values() if a.layout and a.granule == (1, 1)]
    for algorithm, form, (shape, plain) in itertools.product(algorithms, Form, SHAPES.items()):
        source = replace(plain, x=replace(plain.x, form=form, pitch=plain.x.pitch * form.bytes))
        primitive = algorithm.primitive(source, row)
        if not primitive or primitive.name == "window" or (algorithm.name == "depthwise") != (shape == "depthwise"):
            continue
        last = widest(form, primitive)
        for bits in (last, last - 1) if primitive.pair_limit else (last,):
            source = replace(source, max_bits=bits)
            weight = edge(source, primitive, "pairs").weight
            if algorithm.legal(source, primitive, weight):
                continue
            tiles = algorithm.tiles(source, row, primitive, weight)
            epilogue = Epilogue((store(source.outputs, Form.U16),))
            case = Case(f"{algorithm.name}_{primitive.name}_{form.value}a{bits}_{shape}", source, epilogue, bits)
            case.tile, case.algorithm, case.byte_form = tiles[len(found) % len(tiles)], algorithm.name, Form.U8
            case.size, case.spec = (2, case.tile.pixels + 3), {isa: spec_of(case, isa)}
            found.append(case)
    return found


def spec_of(case: Case, isa: str) -> KernelSpec:
    assert isinstance(case.source, Conv) and case.tile and case.algorithm
    return KernelSpec(case.source, case.epilogue, isa, case.algorithm, case.tile)


PARAMS = [
    pytest.param(name, index, id=f"{case.name}-{name}")
    for name in NAMES
    for index, case in enumerate(cases_of(isa_of(name)))
]


def test_every_primitive_has_cases():
    """With every form of inputs; windows have theirs in test_windows.py."""
    for isa, row in ISAS.items():
        met = {(primitive_of(case.spec[isa]).name, case.source.x.form) for case in cases_of(isa)}
        assert met == {(p.name, form) for p in row.primitives if p.name != "window" for form in p.forms}


def at_pixels(case: Case, weight: np.ndarray, zero: int) -> np.ndarray:
    """Every pixel's sums of products with centred codes, (OC,)."""
    assert isinstance(case.source, Conv)
    source = replace(case.source, dilation=1)
    low, high = stored_range(source.x.form, case.bits)
    x = np.where(share_of_lows(case.codes, source.inputs) * np.ones(source.inputs) > 0.5, low, high)
    params = {"x_zero": zero, "bias": np.zeros(source.outputs, np.int64)}
    return source_values(source, params, weight, np.broadcast_to(x, (*source.kernel, source.inputs)))[0, 0]


def held_as(multiplier: float, outputs: int, bias: np.ndarray) -> dict:
    """Parameters of a result in 16 bits, around its middle."""
    ends = {"m": multiplier, "lo": -(2.0**15), "hi": 2.0**15 - 1}
    return {key: np.full(outputs, value, np.float32) for key, value in ends.items()} | {
        "store0_zero": 2**15,
        "bias": bias.astype(np.int32),
    }


def codes_and_zeros(case: Case):
    """(pattern, case with its codes and zero point, its stored zero point)."""
    for pattern, codes in CODES.items():
        for one, zero in itertools.product(codes, ("low", "high")):
            ends = stored_range(case.source.x.form, case.bits)
            yield pattern, replace(case, codes=one, zero=zero), zero_of(zero, *ends)


def near_zero(case: Case, weight: np.ndarray, zero: int) -> Case:
    """With biases that leave a few units of every sum, each of which is another code."""
    outputs = case.source.outputs
    bias = np.arange(outputs) % 7 - 3 - at_pixels(case, weight, zero)
    return replace(case, given=weight, params=held_as(1.0, outputs, bias))


@pytest.mark.parametrize(("name", "index"), PARAMS)
def test_bytes(opened, name, index):
    """Products at their ends, where every unit shows; then sums at the ends of int32, which wrapping would turn."""
    isa = isa_of(name)
    kernels, case = opened(name, cases_of(isa)), cases_of(isa)[index]
    spec, reached = case.spec[isa], set()
    whole = [(0, 2, 0, case.size[1]), (0, 2, 0, 1)]
    for pattern, chosen, zero in codes_and_zeros(case):
        weight = edge(case.source, primitive_of(spec), pattern).weight
        check(kernels, f"k{index}", near_zero(chosen, weight, zero), spec, whole)
        for end in ("low", "high"):
            far = replace(chosen, given=weight, bias=end)
            bias = edge_of_bias(far, spec, zero, weight)
            reached |= set((bias + at_pixels(chosen, weight, zero)).tolist()) & {-INT32_MAX, INT32_MAX}
            far.params = held_as(2.0**-16, case.source.outputs, bias)
            check(kernels, f"k{index}", far, spec, whole)
    assert reached == {-INT32_MAX, INT32_MAX}


def is_sharp(bits: int) -> bool:
    """Whether the proof of sums is reached: codes of 7 bits less 128 are all below zero, for which it allows more."""
    return all(2**bits - 1 >= offset for offset in offsets(bits))


@pytest.mark.parametrize("isa", ISAS)
def test_one_more_is_refused(isa):
    """By legality where pairs are full, and in every output that it takes further out by the proof of its sums."""
    for case in cases_of(isa):
        spec, algorithm = case.spec[isa], ALGORITHMS[case.algorithm]
        primitive = primitive_of(spec)
        for pattern, chosen, zero in codes_and_zeros(case):
            found = edge(case.source, primitive, pattern)
            assert algorithm.legal(case.source, primitive, found.weight) == ""
            refusal = algorithm.legal(case.source, primitive, found.raised)
            assert ("saturate 16 bits" in refusal) == saturates(case.source, primitive)
            x = Code(case.bits, np.float32(1), zero + case.source.x.form.offset(case.bits), np.ones(0, np.float32))
            for end in ("low", "high"):
                bias = edge_of_bias(replace(chosen, bias=end), spec, zero, found.weight).astype(np.int64)
                full, more = (overflow(*accumulator_bounds(w, bias, x)) for w in (found.weight, found.raised))
                further = (found.signs > 0) == ((chosen.zero == "low") == (end == "high"))
                assert (full == 1).all() if is_sharp(case.bits) else (full >= 1).all()
                assert np.array_equal(more > 1, further) or not is_sharp(case.bits)


@pytest.mark.parametrize(("name", "index"), [p for p in PARAMS if "dot4" in p.id and p.values[0] in ("avx2", "sse41")])
def test_refusals_are_needed(opened, name, index):
    """With one more, a kernel whose pairs may saturate computes something else."""
    isa = isa_of(name)
    kernels, case = opened(name, cases_of(isa)), cases_of(isa)[index]
    primitive = primitive_of(case.spec[isa])
    wrong = 0
    for pattern, chosen, zero in codes_and_zeros(case):
        more = near_zero(chosen, edge(case.source, primitive, pattern).raised, zero)
        try:
            check(kernels, f"k{index}", more, case.spec[isa])
        except AssertionError as problem:
            assert "bytes differ" in str(problem)
            wrong += 1
    assert (wrong > 0) == saturates(case.source, primitive)
