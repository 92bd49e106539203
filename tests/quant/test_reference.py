"""The reference executor against an independent one on Python integers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant import networks, slow
from tvmsr.graph.model import (
    Activation,
    AddAttrs,
    Attrs,
    Colour,
    ConvAttrs,
    GatherAttrs,
    ShuffleAttrs,
)
from tvmsr.quant import reference
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.held import Held
from tvmsr.quant.integer import TERM_LIMIT, Code, IntegerGraph, IntegerNode, Term
from tvmsr.quant.reference import INTEGER_REFERENCE, _exact_type, conv_blocks, execute, run, run_tensors

FEW = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
BITS = st.integers(2, 16)


def code(bits: int, zero: int, channels: int) -> Code:
    return Code(bits, np.float32(0.1), zero, np.ones(channels, np.float32))


def zero_point(rng, bits):
    top = (1 << bits) - 1
    return int(rng.choice([0, top, rng.integers(0, top + 1)]))


def codes(rng, shape, bits):
    """Random codes with the extremes among them."""
    top = (1 << bits) - 1
    values = rng.integers(0, top + 1, shape)
    extreme = rng.random(shape)
    values = np.where(extreme < 0.2, 0, np.where(extreme > 0.8, top, values))
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def bounds(out: Code, channels: int):
    top = (1 << out.bits) - 1
    return {
        "lo": np.full(channels, -out.zero, np.float32),
        "hi": np.full(channels, top - out.zero, np.float32),
    }


def same(node, xs, forms):
    got = execute(node, tuple(Held(x, form) for x, form in zip(xs, forms, strict=True)))
    want = slow.execute(node, xs, forms)
    assert got.values.shape == want.shape
    assert np.array_equal(got.values.astype(object), want)
    if isinstance(node.output, Code):
        assert got.values.dtype == (np.uint8 if node.output.bits <= 8 else np.uint16)
    else:
        assert got.values.dtype == np.int32


@FEW
@given(SEEDS, BITS, BITS, st.integers(2, 8), st.sampled_from(list(Activation)), st.booleans())
def test_conv(seed, bits, out_bits, weight_bits, activation, term):
    rng = np.random.default_rng(seed)
    groups, per_in, per_out = (int(rng.integers(1, 3)) for _ in range(3))
    ins, outs = groups * per_in, groups * per_out
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    attrs = ConvAttrs(
        padding=tuple(int(p) for p in rng.integers(0, 3, 4)),
        stride=int(rng.integers(1, 3)),
        dilation=int(rng.integers(1, 3)),
        groups=groups,
        activation=activation,
    )
    x = code(bits, zero_point(rng, bits), ins)
    out = code(out_bits, zero_point(rng, out_bits), outs)
    limit = (1 << (weight_bits - 1)) - 1
    spread = (1 << bits) * limit
    params = {
        "weight": rng.integers(-limit, limit + 1, (*kernel, per_in, outs)).astype(np.int8),
        "bias": rng.integers(-spread, spread + 1, outs).astype(np.int32),
        "pad": codes(rng, ins, bits).astype(np.uint16),
        "m": rng.uniform(0.1, 4 * (1 << out_bits), outs).astype(np.float32) / np.float32(spread),
        **bounds(out, outs),
    }
    table_bits, table_zero, form = 0, 0, out
    if activation is Activation.LEAKY:
        params["m_neg"] = (params["m"] * rng.uniform(-0.5, 1, outs)).astype(np.float32)
    if activation.is_table:
        table_bits, table_zero = 5, int(rng.integers(0, 32))
        params |= bounds(code(5, table_zero, outs), outs)
        params["table"] = rng.integers(0, 1 << out_bits, 32).astype(np.uint16)
    elif term:
        form = Term(4)
        params |= {"lo": np.full(outs, -TERM_LIMIT, np.float32), "hi": np.full(outs, TERM_LIMIT, np.float32)}
    node = IntegerNode("c", "conv", ("x",), attrs, params, form, outs, table_bits=table_bits, table_zero=table_zero)
    same(node, [codes(rng, (5, 6, ins), bits)], [x])


@FEW
@given(SEEDS, BITS, BITS, BITS, st.integers(0, 8), st.booleans())
def test_add(seed, left, right, out_bits, fraction, with_term):
    rng = np.random.default_rng(seed)
    out = code(out_bits, zero_point(rng, out_bits), 3)
    forms = [code(left, zero_point(rng, left), 3), code(right, zero_point(rng, right), 3)]
    xs = [codes(rng, (3, 4, 3), form.bits) for form in forms]
    params = bounds(out, 3)
    for i in range(2):
        params[f"m{i}"] = (rng.uniform(0.01, 3, 3) * 2**fraction).astype(np.float32)
    if with_term:
        forms.append(Term(fraction))
        xs.append(rng.integers(-TERM_LIMIT, TERM_LIMIT + 1, (3, 4, 3)).astype(np.int32))
    same(IntegerNode("a", "add", ("x",) * len(xs), AddAttrs(), params, out, 3, fraction=fraction), xs, forms)


@FEW
@given(SEEDS, BITS, BITS, st.booleans())
def test_requantize(seed, bits, out_bits, leaky):
    rng = np.random.default_rng(seed)
    out, x = code(out_bits, zero_point(rng, out_bits), 3), code(bits, zero_point(rng, bits), 3)
    params = bounds(out, 3) | {"m0": rng.uniform(0, 2.0 ** (out_bits - bits + 1), 3).astype(np.float32)}
    if leaky:
        params["m_neg0"] = rng.uniform(-1, 1, 3).astype(np.float32)
    same(IntegerNode("r", "requantize", ("x",), Attrs(), params, out, 3), [codes(rng, (4, 5, 3), bits)], [x])


@FEW
@given(SEEDS, st.integers(2, 15), st.integers(2, 16), BITS)
def test_mul(seed, left, right, out_bits):
    rng = np.random.default_rng(seed)
    out = code(out_bits, zero_point(rng, out_bits), 2)
    forms = [code(bits, zero_point(rng, bits), 2) for bits in (left, right)]
    params = bounds(out, 2) | {"m": rng.uniform(0, 2.0 ** (out_bits - left - right + 1), 2).astype(np.float32)}
    same(
        IntegerNode("m", "mul", ("x", "y"), Attrs(), params, out, 2),
        [codes(rng, (3, 4, 2), f.bits) for f in forms],
        forms,
    )


@FEW
@given(SEEDS, BITS, BITS, BITS)
def test_concat(seed, left, right, out_bits):
    rng = np.random.default_rng(seed)
    out = code(out_bits, zero_point(rng, out_bits), 5)
    forms = [code(left, zero_point(rng, left), 2), code(right, zero_point(rng, right), 3)]
    params = bounds(out, 5) | {
        f"m{i}": rng.uniform(0, 2.0 ** (out_bits - f.bits + 1), len(f.equal)).astype(np.float32)
        for i, f in enumerate(forms)
    }
    xs = [codes(rng, (3, 4, len(f.equal)), f.bits) for f in forms]
    same(IntegerNode("c", "concat", ("x", "y"), Attrs(), params, out, 5), xs, forms)


@FEW
@given(SEEDS, BITS, BITS)
def test_table_and_moves(seed, bits, out_bits):
    rng = np.random.default_rng(seed)
    x = code(bits, zero_point(rng, bits), 8)
    values = codes(rng, (3, 4, 8), bits)
    table = rng.integers(0, 1 << out_bits, 1 << bits).astype(np.uint16)
    same(IntegerNode("t", "table", ("x",), Attrs(), {"table": table}, code(out_bits, 0, 8), 8), [values], [x])
    chosen = tuple(int(c) for c in rng.integers(0, 8, 5))
    same(IntegerNode("g", "gather", ("x",), GatherAttrs(chosen), {}, replace(x, equal=x.equal[:5]), 5), [values], [x])
    same(
        IntegerNode("d", "depth_to_space", ("x",), ShuffleAttrs(2), {}, replace(x, equal=x.equal[:2]), 2), [values], [x]
    )


def test_float32_of_a_sum_rounds_to_even():
    # 2**24 + 1 and + 3 lie half way between two float32.
    node = IntegerNode(
        "c",
        "conv",
        ("x",),
        ConvAttrs(),
        {
            "weight": np.zeros((1, 1, 1, 2), np.int8),
            "bias": np.array([2**24 + 1, 2**24 + 3], np.int32),
            "pad": np.zeros(1, np.uint16),
            "m": np.full(2, 2.0**-8, np.float32),
            "lo": np.zeros(2, np.float32),
            "hi": np.full(2, 65535, np.float32),
        },
        Code(16, np.float32(1), 0, np.ones(2, np.float32)),
        2,
    )
    x = Held(np.zeros((1, 1, 1), np.uint8), code(8, 0, 1))
    assert execute(node, (x,)).values.ravel().tolist() == [65535, 65535]
    node = replace(node, params={**node.params, "m": np.full(2, 2.0**-10, np.float32)})
    assert execute(node, (x,)).values.ravel().tolist() == [2**14, 2**14]


@pytest.mark.parametrize("name", networks.ALL)
def test_networks_node_by_node(name):
    model = networks.ALL[name](width=4)
    graph = bind(model, calibrate(model, [networks.picture(s) for s in range(3)]))
    tensors = run_tensors(graph, networks.picture(9, 5, 6))
    forms = {"input": graph.input} | {node.name: node.output for node in graph}
    for node in graph:
        want = slow.execute(node, [tensors[i] for i in node.inputs], [forms[i] for i in node.inputs])
        assert np.array_equal(tensors[node.name].astype(object), want), node.name


def test_rows_in_blocks_give_the_same(monkeypatch):
    model = networks.residual()
    graph = bind(model, calibrate(model, [networks.picture(0)]))
    image = networks.picture(5, 30, 17)
    whole = run(graph, image)
    monkeypatch.setattr("tvmsr.quant.reference._BLOCK_VALUES", 1)
    assert np.array_equal(run(graph, image), whole)


def test_run_keeps_and_visits():
    model = networks.plain()
    graph = bind(model, calibrate(model, [networks.picture(0)]))
    seen = []
    kept = run(graph, networks.picture(1), keep=["c0", "sum"], visit=lambda name, values: seen.append(name))
    assert set(kept) == {"c0", "sum"}
    assert seen == ["input", *(node.name for node in graph)]


def test_run_refuses_what_is_no_picture():
    graph = IntegerGraph((), code(8, 0, 3), "input", 1, Colour.RGB)
    for image in (np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.float32), np.zeros((2, 2, 4), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            run(graph, image)


def test_table_has_a_row_for_every_operation():
    assert set(INTEGER_REFERENCE) == {
        "conv", "add", "concat", "requantize", "table", "mul", "gather", "depth_to_space", "max_pool", "resize",
        "statistic", "layer_norm",
    }  # fmt: skip


@pytest.mark.parametrize("over", [0, 1])
def test_sums_up_to_the_last_integer_of_float32(over):
    """The largest sums that float32 products may make are exact, and beyond them they are float64 ones."""
    count, rng = 2056 + over, np.random.default_rng(0)
    weight = np.full((1, 1, count, 2), 32, np.int8)
    weight[0, 0, :, 1] = rng.integers(-32, 33, count)
    codes = rng.integers(0, 256, (3, 4, count)).astype(np.uint8)
    codes[0] = 255
    node = SimpleNamespace(
        name="c",
        attrs=ConvAttrs(),
        params={"weight": weight, "bias": np.array([7, -7], np.int32), "pad": np.zeros(count, np.uint16)},
    )
    x = Held(codes, Code(8, np.float32(1), 0, np.ones(count, np.float32)))
    ((_, sums),) = conv_blocks(node, x)
    exact = codes.astype(np.int64) @ weight.reshape(count, 2).astype(np.int64) + [7, -7]
    assert np.array_equal(sums, exact) and sums[0, 0, 0] == 255 * 32 * count + 7
    assert _exact_type(x, weight, node.params["pad"]) is (np.float64 if over else np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_float32_sums_wherever_their_products_allow_it(seed):
    """Of the codes that are there, channel by channel, pads among them; products of both signs never add up."""
    rng, ins, groups, zero = np.random.default_rng(seed), 5, int(1 + seed % 2), 300
    weight = rng.integers(-127, 128, (3, 2, ins, 4)).astype(np.int8)
    channels = np.arange(1, ins * groups + 1)
    values = (rng.integers(0, 4096, (4, 6, ins * groups)) // channels).astype(np.uint16)
    pad = rng.integers(0, 4096, ins * groups).astype(np.uint16)
    seen = np.concatenate([values.reshape(-1, ins * groups), pad[None]]).astype(np.int64) - zero
    largest = 0
    for out in range(4):
        first = out // (4 // groups) * ins
        met = seen[:, first : first + ins]
        ends = [end * weight[..., out].astype(np.int64) for end in (met.min(0), met.max(0))]
        products = np.stack([*ends, np.zeros_like(ends[0])])  # a partial sum may lack any of them
        largest = max(largest, products.max(0).sum(), -products.min(0).sum())
    x = Held(values, Code(12, np.float32(1), zero, np.ones(ins * groups, np.float32)))
    for limit, kind in ((largest, np.float64), (largest + 1, np.float32)):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(reference, "_FLOAT32_LIMIT", limit)
            assert _exact_type(x, weight, pad) is kind


@pytest.mark.parametrize("bias", [(1 << 24) + 256, (1 << 24) + 257])
def test_a_bias_joins_the_sum_before_it_is_rounded(bias):
    """The second is no float32 number: sum and bias are float64 until both are added."""
    codes = np.arange(12, dtype=np.uint8).reshape(2, 6, 1)
    params = {
        "weight": np.ones((1, 1, 1, 1), np.int8),
        "bias": np.array([bias], np.int32),
        "pad": np.zeros(1, np.uint16),
        "m": np.full(1, 2.0**-9, np.float32),
    }
    node = IntegerNode("c", "conv", ("x",), ConvAttrs(), params | bounds(code(16, 0, 1), 1), code(16, 0, 1), 1)
    found = execute(node, (Held(codes, code(8, 0, 1)),)).values
    exact = (codes.astype(np.int64) + bias).astype(np.float32)
    assert np.array_equal(found, np.rint(exact / 512)) and len(np.unique(found)) == 2
