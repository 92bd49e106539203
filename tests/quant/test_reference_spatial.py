"""Pools, resizes, statistics, layer norm, paddings and 1x1 maps: against exact arithmetic, and against FP32."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.quant import slow_spatial
from tests.quant.test_reference import BITS, SEEDS, bounds, code, codes, same, zero_point
from tvmsr.graph.model import (
    AddAttrs,
    Attrs,
    ConvAttrs,
    Grid,
    LayerNormAttrs,
    Node,
    PadMode,
    PoolAttrs,
    Resampling,
    ResizeAttrs,
    Statistic,
    StatisticAttrs,
)
from tvmsr.operations.table import operation_of
from tvmsr.quant import bind_spatial
from tvmsr.quant.held import Held
from tvmsr.quant.integer import Code, IntegerNode, Term
from tvmsr.quant.reference import execute
from tvmsr.quant.reference_spatial import cubic_fraction, kept_bits, tap_weights, variance_shift

FEW = settings(max_examples=60, deadline=None)
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
COEFFICIENTS = st.sampled_from([-1.0, -0.75, -0.5, -151 / 256, -1 / 256, 0.0])


def some_code(rng, bits, channels=3, scale=None):
    """A code with factors per channel."""
    scale = np.float32(rng.uniform(0.3, 3) / (1 << bits)) if scale is None else np.float32(scale)
    return Code(bits, scale, zero_point(rng, bits), rng.uniform(0.2, 1, channels).astype(np.float32))


def values(form: Code, x) -> np.ndarray:
    return ((x.astype(np.float64) - form.zero) * float(form.scale) * form.equal).astype(np.float32)


def step(form: Code) -> np.ndarray:
    return float(form.scale) * form.equal.astype(np.float64)


def result_code(rng, exact, bits, plain=False):
    """A code whose range holds the values."""
    low, high = min(float(exact.min()), 0.0), max(float(exact.max()), 1e-3)
    scale = np.float32((high - low) * 1.05 / ((1 << bits) - 1))
    zero = min(round(-low / float(scale)), (1 << bits) - 1)
    channels = exact.shape[2]
    equal = np.ones(channels, np.float32) if plain else rng.uniform(1, 1.2, channels).astype(np.float32)
    return Code(bits, scale, zero, equal)


def bound_node(node, x: Code, out: Code, inputs=("x",)) -> IntegerNode:
    found = bind_spatial.NUMBERS[node.op](node, x, out)
    made = IntegerNode(node.name, node.op, inputs, node.attrs, found.params, out, len(out.equal))
    return replace(made, fraction=found.fraction)


# Pools and resizes -----------------------------------------------------------------------------------------------


@FEW
@given(SEEDS, BITS, SIZES, st.integers(1, 7), st.integers(1, 4))
def test_max_pool(seed, bits, size, kernel, stride):
    rng = np.random.default_rng(seed)
    size = tuple(max(side, kernel) for side in size)
    attrs = PoolAttrs(
        (kernel, max(1, kernel - 1)), stride, tuple(int(p) for p in rng.integers(0, max(1, kernel - 1), 4))
    )
    form, x = some_code(rng, bits), codes(rng, (*size, 3), bits)
    same(IntegerNode("p", "max_pool", ("x",), attrs, {}, form, 3), [x], [form])
    exact = operation_of(Node("p", "max_pool", ("x",), attrs)).reference((values(form, x),), Node("p", "", (), attrs))
    got = execute(IntegerNode("p", "max_pool", ("x",), attrs, {}, form, 3), (Held(x, form),)).values
    assert np.array_equal(values(form, got), exact)


@FEW
@given(
    SEEDS,
    BITS,
    st.sampled_from(list(Resampling)),
    st.sampled_from(list(Grid)),
    SIZES,
    st.one_of(SIZES, st.sampled_from([Fraction(2), Fraction(3), Fraction(1, 2), Fraction(3, 4), Fraction(7, 2)])),
    COEFFICIENTS,
)
def test_resize(seed, bits, method, grid, size, to, cubic):
    rng = np.random.default_rng(seed)
    factor = to if isinstance(to, Fraction) else Fraction(0)
    size = tuple(max(side, 2) for side in size)
    attrs = ResizeAttrs(method, grid, factor, cubic)
    form, x = some_code(rng, bits), codes(rng, (*size, 3), bits)
    other = code(8, 0, 1)
    xs = [x] if factor else [x, np.zeros((*to, 1), np.uint8)]
    node = Node("r", "resize", ("x", "y")[: len(xs)], attrs)
    exact = operation_of(node).reference((values(form, x), *(v.astype(np.float32) for v in xs[1:])), node)
    if method is Resampling.CUBIC:
        out = result_code(rng, exact, int(rng.integers(2, 17)))
        made = bound_node(node, form, out, node.inputs)
    else:
        out, made = form, IntegerNode("r", "resize", node.inputs, attrs, {}, form, 3)
    same(made, xs, [form, other][: len(xs)])
    got = execute(made, tuple(Held(v, f) for v, f in zip(xs, [form, other], strict=False))).values
    # Weights are known to 2**-11, a cubic's two more; kept bits between the passes; the result's own rounding.
    taps = {Resampling.NEAREST: 0, Resampling.LINEAR: 1, Resampling.CUBIC: 6}[method]
    codes_off = 2 * taps * 2.0**-12 * (1 << bits) + 1.3 * 2.0 ** -kept_bits(bits)
    allowed = codes_off * step(form) + 0.501 * step(out)
    assert np.all(np.abs(values(out, got) - exact) <= allowed + 1e-5 * np.abs(exact).max())
    if method is Resampling.NEAREST:
        assert np.array_equal(values(out, got), exact)


@pytest.mark.parametrize("coefficient", [-256, -192, -128, -100, -1, 0])
def test_weights_of_a_phase(coefficient):
    attrs = ResizeAttrs(Resampling.CUBIC, cubic=coefficient / 256)
    for phase in range(2049):
        weights = tap_weights(phase, attrs)
        assert sum(weights) == 2048
        assert weights == tuple(slow_spatial.weights_at(Fraction(phase, 2048), attrs).values()) or phase == 2048
        # What int32 is proven with: positive weights below 1.26, negative ones above -0.26.
        assert sum(w for w in weights if w > 0) <= 2048 * 1.26
    assert tap_weights(0, attrs) == (0, 2048, 0, 0)
    assert tap_weights(2048, attrs) == (0, 0, 2048, 0)


@pytest.mark.parametrize("bits", range(2, 17))
def test_sums_of_a_resize_fit_int32(bits):
    top, kept, most, least = (1 << bits) - 1, kept_bits(bits), Fraction(126, 100), Fraction(-26, 100)
    tall = [edge * top * 2**kept for edge in (least, most)]
    extremes = [2048 * (most * tall[1] + least * tall[0]), 2048 * (least * tall[1] + most * tall[0])]
    assert max(map(abs, extremes)) + 2**21 < 2**31
    assert 11 + kept - cubic_fraction(bits) > 0
    assert (max(map(abs, extremes)) / 2 ** (11 + kept) + top) * 2 ** cubic_fraction(bits) < 2**24


def test_one_pixel_is_resized_to_any_size():
    rng = np.random.default_rng(0)
    form = some_code(rng, 15)
    x = codes(rng, (1, 1, 3), 15)
    for method in (Resampling.NEAREST, Resampling.LINEAR):
        node = IntegerNode("r", "resize", ("x", "y"), ResizeAttrs(method), {}, form, 3)
        got = execute(node, (Held(x, form), Held(np.zeros((4, 5, 1), np.uint8), code(8, 0, 1)))).values
        assert np.array_equal(got, np.broadcast_to(x, (4, 5, 3)))


# Statistics ------------------------------------------------------------------------------------------------------


@FEW
@given(
    SEEDS, BITS, BITS, st.sampled_from(list(Statistic)), st.booleans(), SIZES, st.sampled_from([0.0, 1e-6, 1e-3, 3.0])
)
def test_statistic(seed, bits, out_bits, kind, unbiased, size, epsilon):
    rng = np.random.default_rng(seed)
    form, x = some_code(rng, bits), codes(rng, (*size, 3), bits)
    node = Node("s", "statistic", ("x",), StatisticAttrs(kind, epsilon, unbiased))
    exact = operation_of(node).reference((values(form, x),), node)
    out = result_code(rng, exact, out_bits)
    limit = 2.0 ** (30 + variance_shift(bits)) if kind is Statistic.VARIANCE else bind_spatial.EPSILON_LIMIT
    assume(epsilon / step(form).min() ** 2 * 2**16 < limit)
    made = bound_node(node, form, out)
    same(made, [x], [form])
    got = values(out, execute(made, (Held(x, form),)).values)
    count = size[0] * size[1]
    squared = 1 / max(count - unbiased, 1) + 2.0 ** (variance_shift(bits) - 16) + 2.0**-16
    deviation = np.sqrt(np.maximum(exact.astype(np.float64) ** 2, 0))
    unit = step(form)
    allowed = {
        Statistic.MAX: 0 * unit,
        Statistic.MEAN: 2.0**-9 * unit,
        Statistic.VARIANCE: squared * unit**2,
        Statistic.DEVIATION: np.minimum(np.sqrt(squared) * unit, squared * unit**2 / np.maximum(deviation, 1e-30))
        + 2.0**-8 * unit,
    }[kind]
    assert np.all(np.abs(got - exact) <= allowed + 0.501 * step(out) + 2e-6 * np.abs(exact))


@pytest.mark.parametrize("kind", list(Statistic))
@pytest.mark.parametrize("ends", [(0, 65535), (0, 0), (65535, 65535)])
@pytest.mark.parametrize("zero", [0, 65535, 30000])
def test_statistics_of_extremes(kind, ends, zero):
    x = np.tile(np.asarray(ends, np.uint16), 6).reshape(3, 4, 1)
    form = Code(16, np.float32(1), zero, np.ones(1, np.float32))
    node = Node("s", "statistic", ("x",), StatisticAttrs(kind))
    exact = operation_of(node).reference((values(form, x),), node)
    out = Code(16, np.float32(1.0 if kind is not Statistic.VARIANCE else 2**15), 40000, np.ones(1, np.float32))
    same(bound_node(node, form, out), [x], [form])
    got = values(out, execute(bound_node(node, form, out), (Held(x, form),)).values)
    low, high = (-40000 * float(out.scale), 25535 * float(out.scale))
    assert np.all(np.abs(got - np.clip(exact, low, high)) <= 0.51 * float(out.scale))


@pytest.mark.parametrize("high", [65535, -65535])
def test_no_picture_is_too_large_for_a_statistic(high):
    """The intermediate values of docs/numerics.md, for the largest number of pixels, of which `large` are extreme."""
    count, limit = 2**31 - 1, 2**63
    for large in (0, 1, count // 3, count // 2, count - 1, count):
        total, squares = large * high, large * high**2
        mean, rest = divmod(total, count)
        assert abs(total) < limit
        assert squares < limit
        assert abs(mean * (total + rest)) < limit
        assert rest * rest < limit
        assert abs((mean << 8) + ((rest << 8) + count // 2) // count) < 2**31
        spread = squares - mean * (total + rest) - rest * rest // count
        assert spread == -((total**2 - squares * count) // count)
        assert 0 <= spread < limit
        for divisor in (count, count - 1):
            whole, part = divmod(spread, divisor)
            variance = (whole << 16) + (part << 16) // divisor
            assert (part << 16) < limit
            assert variance + bind_spatial.EPSILON_LIMIT < limit
            assert variance >> variance_shift(16) <= 2**30
    assert 65535**2 // 2 << 16 >> variance_shift(16) <= 2**30  # two pixels, unbiased


# Layer norm ------------------------------------------------------------------------------------------------------


@FEW
@given(SEEDS, BITS, BITS, st.integers(1, 70), st.sampled_from([1e-12, 1e-6, 1e-2, 10.0]))
def test_layer_norm(seed, bits, out_bits, channels, epsilon):
    rng = np.random.default_rng(seed)
    form = replace(some_code(rng, bits, channels), equal=np.ones(channels, np.float32))
    x = codes(rng, (2, 3, channels), bits)
    x[0, 0] = x[0, 0, 0]  # no deviation at all
    x[0, 1, 1:] = x[0, 1, 0] // 2  # one channel apart
    gamma, beta = (rng.normal(size=channels).astype(np.float32) for _ in range(2))
    node = Node("n", "layer_norm", ("x",), LayerNormAttrs(epsilon), {"gamma": gamma, "beta": beta})
    # FP32 sees rounding errors where all channels are alike; double does not.
    exact = operation_of(node).reference(((x.astype(np.float64) - form.zero) * float(form.scale),), node)
    out = result_code(rng, exact, out_bits, plain=True)
    made = bound_node(node, form, out)
    same(made, [x], [form])
    got = values(out, execute(made, (Held(x, form),)).values)
    normal = np.abs((exact - beta) / gamma)
    centred = x - x.mean(axis=2, keepdims=True)
    root = np.sqrt((centred**2).mean(axis=2, keepdims=True) + epsilon / float(form.scale) ** 2) * channels * 64
    relative = 1.5 / np.maximum(root, 1) + 2.0**-14
    fixed = 2.0**-12 * np.abs(gamma) + 0.51 * step(out) * (1 + 2.0 ** (1 - made.fraction))
    assert np.all(np.abs(got - exact) <= relative * normal * np.abs(gamma) + fixed + 1e-5 * np.abs(exact).max())


@pytest.mark.parametrize("channels", [1, 2, 3, 1023, 1024])
@pytest.mark.parametrize("eps", [0, 1, bind_spatial.EPSILON_LIMIT])
def test_layer_norm_of_extremes(channels, eps):
    """Half of the channels at either end, one apart, none apart: the slow executor asserts that int64 is enough."""
    form = Code(16, np.float32(1), 0, np.ones(channels, np.float32))
    out = Code(16, np.float32(1), 30000, np.ones(channels, np.float32))
    params = bounds(out, channels) | {
        "m": np.full(channels, 1e6, np.float32),
        "beta": np.full(channels, -(1 << 22), np.int32),
        "eps": np.asarray(eps, np.int64),
    }
    x = np.zeros((1, 4, channels), np.uint16)
    x[0, 0, channels // 2 :] = x[0, 1, 0] = x[0, 2] = 65535
    x[0, 3, 0] = 1
    node = IntegerNode("n", "layer_norm", ("x",), LayerNormAttrs(), params, out, channels, fraction=5)
    same(node, [x], [form])


# Paddings and 1x1 maps -------------------------------------------------------------------------------------------


@FEW
@given(SEEDS, BITS, st.sampled_from(list(PadMode)), st.integers(1, 3))
def test_paddings_and_crops(seed, bits, mode, stride):
    rng = np.random.default_rng(seed)
    attrs = ConvAttrs(tuple(int(p) for p in rng.integers(-1, 4, 4)), stride, mode=mode)
    form, out = code(bits, zero_point(rng, bits), 2), code(8, 100, 3)
    params = bounds(out, 3) | {
        "weight": rng.integers(-127, 128, (3, 2, 2, 3)).astype(np.int8),
        "bias": rng.integers(-1000, 1000, 3).astype(np.int32),
        "pad": codes(rng, 2, bits).astype(np.uint16),
        "m": np.full(3, 1.0 / (1 << bits), np.float32),
    }
    same(IntegerNode("c", "conv", ("x",), attrs, params, out, 3), [codes(rng, (6, 7, 2), bits)], [form])


@FEW
@given(SEEDS, st.integers(2, 15), BITS, BITS)
def test_one_pixel_stands_for_all(seed, left, right, out_bits):
    rng = np.random.default_rng(seed)
    out = code(out_bits, zero_point(rng, out_bits), 2)
    forms = [code(left, zero_point(rng, left), 2), code(right, zero_point(rng, right), 2)]
    xs = [codes(rng, (3, 4, 2), left), codes(rng, (1, 1, 2), right)]
    params = bounds(out, 2) | {"m": np.full(2, 2.0 ** (out_bits - left - right), np.float32)}
    same(IntegerNode("m", "mul", ("x", "y"), Attrs(), params, out, 2), xs, forms)
    sums = bounds(out, 2) | {f"m{i}": rng.uniform(-2, 2, 2).astype(np.float32) for i in range(3)}
    term = rng.integers(-1000, 1000, (3, 4, 2)).astype(np.int32)
    for order in itertools.permutations(range(3)):
        every, held = [*xs, term], [*forms, Term(4)]
        node = IntegerNode("a", "add", ("x", "y", "t"), AddAttrs(), sums, out, 2, fraction=4)
        same(node, [every[i] for i in order], [held[i] for i in order])
