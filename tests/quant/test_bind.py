from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant import networks
from tvmsr.graph.model import Activation
from tvmsr.quant.accumulators import INT32_MAX, accumulator_bounds, offsets
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.integer import TERM_LIMIT, Code, Term
from tvmsr.quant.plan import Plan, PlanError


def bound(model, **how):
    how.setdefault("max_drop", None)
    plan = calibrate(model, [networks.picture(s) for s in range(3)], **{"rounding": False, **how})
    return plan, bind(model, plan)


def nodes(graph):
    return {node.name: node for node in graph}


def changed(plan: Plan, part: str, name: str, **values) -> Plan:
    parts = dict(getattr(plan, part))
    parts[name] = parts[name].model_copy(update=values)
    return plan.model_copy(update={part: parts})


def test_ends_are_bytes():
    for make in networks.ALL.values():
        model = make()
        graph = bound(model)[1]
        last = nodes(graph)[graph.output].output
        for end in (graph.input, last):
            assert (end.bits, end.scale, end.zero) == (8, np.float32(1 / 255), 0)
            assert np.all(end.equal == 1)


def test_a_trunk_has_one_scale_readings_and_no_fraction():
    _, graph = bound(networks.residual())
    found = nodes(graph)
    trunk = ["head", "b0", "b1", "b2", "long"]
    assert {(found[n].output.bits, float(found[n].output.scale), found[n].output.zero) for n in trunk}.__len__() == 1
    assert found["head"].output.bits == 16
    for add in trunk[1:]:
        assert found[add].fraction == 0
        ones = [p for key, p in found[add].params.items() if key.startswith("m")]
        assert all(np.all(m == 1) for m in ones)
    for conv in ("b0b", "b1b", "b2b", "close"):
        assert found[conv].output == Term(0)
        assert np.all(found[conv].params["hi"] == TERM_LIMIT)
    assert found["b1a"].inputs == ("b0.read",)
    assert found["b0.read"].op == "requantize"
    assert found["b0.read"].output.bits == 8
    order = [node.name for node in graph]
    assert order.index("b0.read") == order.index("b0") + 1


def test_anchor_shares_the_result_scale():
    found = nodes(bound(networks.plain())[1])
    assert found["c2"].output == Term(0)
    assert found["sum"].fraction == 0
    assert np.all(found["sum"].params["m1"] == 1)


def test_an_add_of_other_scales_has_a_fraction():
    b = networks.Builder()
    x = b.conv("c0", "input", 8, activation=Activation.RELU)
    y = b.add("sum", x, b.conv("c1", x, 8))
    model = b.model(b.shuffle("out", b.conv("c2", y, 12), 2))
    found = nodes(bound(model)[1])
    assert found["sum"].fraction == 8
    assert found["c1"].output == Term(8)


def test_a_convolution_with_two_readers_is_stored():
    b = networks.Builder()
    x = b.conv("c0", "input", 12)
    y = b.conv("c1", x, 12)
    z = b.conv("c2", y, 12)
    model = b.model(b.shuffle("out", b.add("sum", y, z), 2))
    found = nodes(bound(model)[1])
    assert isinstance(found["c1"].output, Code)
    assert isinstance(found["c2"].output, Term)


def test_concat_operands_share_its_code():
    found = nodes(bound(networks.split_concat())[1])
    merged = found["merged"]
    for i, name in enumerate(merged.inputs):
        assert np.all(merged.params[f"m{i}"] == 1)
        assert found[name].output.zero == merged.output.zero
    assert np.array_equal(found["kept"].output.equal, found["c0"].output.equal[:2])


def test_gates_are_wide_and_their_product_fits():
    found = nodes(bound(networks.split_concat())[1])
    assert found["c2"].output.bits == found["gate"].output.bits == 15
    assert np.all(found["gate"].output.equal == 1)


def test_product_of_too_many_bits_is_refused():
    model = networks.split_concat()
    plan, _ = bound(model)
    plan = changed(plan, "tensors", "c2", bits=16)
    plan = changed(plan, "tensors", "gate", bits=16)
    with pytest.raises(PlanError, match="int32"):
        bind(model, plan)


@pytest.mark.parametrize("activation", [Activation.TANH, Activation.SIGMOID, Activation.GELU, Activation.SILU])
def test_tables(activation):
    plan, graph = bound(networks.tables(activation=activation))
    found = nodes(graph)
    assert found["c0"].table_bits == 12
    assert len(found["c0"].params["table"]) == 4096
    assert found["c1"].output.bits == 12
    assert found["t1"].op == "table"
    assert len(found["t1"].params["table"]) == 4096
    assert plan.layers["c0"].table.bits == 12
    out = found["c0"].output
    assert found["c0"].params["table"].max() <= (1 << out.bits) - 1


def test_relu_has_no_codes_below_zero():
    found = nodes(bound(networks.plain())[1])
    assert found["c0"].output.zero == 0
    assert np.all(found["c0"].params["lo"] == 0)


def test_pad_codes_and_their_rounding():
    model = networks.plain()
    graph = bound(model)[1]
    assert np.all(nodes(graph)["c0"].params["pad"] == 102)
    assert graph.extra["pad_rounding"]["c0"] < 1e-3
    assert np.all(nodes(graph)["c1"].params["pad"] == nodes(graph)["c0"].output.zero)
    node = model.graph.nodes[0]
    shifted = dataclasses.replace(node, weights={**node.weights, "pad": np.full(3, -0.07, np.float32)})
    other = dataclasses.replace(model, graph=model.graph.with_nodes((shifted, *model.graph.nodes[1:])))
    graph = bound(other)[1]
    assert np.all(nodes(graph)["c0"].params["pad"] == 0)
    assert graph.extra["pad_rounding"]["c0"] == pytest.approx(0.07 * 255, rel=1e-4)


def test_channels_are_coarsened_until_the_sums_fit():
    b = networks.Builder(3)
    x = b.conv("c0", "input", 64, activation=Activation.RELU)
    b.conv("c1", x, 12, k=5, gain=0.1)
    node = b.nodes[-1]
    # All weights of channel 0 alike: 5*5*64 * 127 * 65535 is six times beyond int32.
    node.weights["weight"][..., 0] = 0.01
    model = b.model(b.shuffle("out", "c1", 2))
    plan, graph = bound(model, layer_bits={"c1": 16}, equalise=False)
    c1 = nodes(graph)["c1"]
    assert c1.acc_max[0] <= INT32_MAX
    assert c1.acc_min[0] >= -INT32_MAX
    assert np.abs(c1.params["weight"][..., 0].astype(int)).max() < 40
    assert np.abs(c1.params["weight"][..., 1].astype(int)).max() == 127
    assert "coarsened" in plan.layers["c1"].reason
    assert graph.extra["coarsened"] == {}  # the plan says what is used
    finer = changed(
        plan,
        "layers",
        "c1",
        weight_scales=[s / (4 if i == 0 else 1) for i, s in enumerate(plan.layers["c1"].weight_scales)],
    )
    assert list(bind(model, finer).extra["coarsened"]["c1"]) == [0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 16))
def test_accumulator_bounds_hold_for_every_order_and_form(seed, bits):
    rng = np.random.default_rng(seed)
    top = (1 << bits) - 1
    zero = int(rng.choice([0, top, rng.integers(0, top + 1)]))
    weight = rng.integers(-127, 128, (2, 2, 3, 4)).astype(np.int8)
    bias = rng.integers(-(1 << 20), 1 << 20, 4)
    x = Code(bits, np.float32(1), zero, np.ones(3, np.float32))
    lowest, highest = accumulator_bounds(weight, bias, x)
    flat = weight.reshape(-1, 4).astype(np.int64)
    for offset in offsets(bits):
        start = bias - (zero - offset) * flat.sum(axis=0)
        for q in (
            rng.integers(0, top + 1, len(flat)),
            rng.choice([0, top], len(flat)),
            np.where(flat[:, 0] > 0, top, 0),
        ):
            order = rng.permutation(len(flat))
            sums = np.cumsum(((q - offset)[:, None] * flat)[order], axis=0)
            for partial in (sums, sums + start):
                assert np.all(partial >= lowest)
                assert np.all(partial <= highest)
        assert np.array_equal(sums[-1] + start, bias + ((q - zero)[:, None] * flat).sum(axis=0))


def test_binding_is_deterministic():
    model = networks.split_concat()
    first, second = bound(model), bound(model)
    assert first[0] == second[0]
    for left, right in zip(first[1], second[1], strict=True):
        assert left.params.keys() == right.params.keys()
        assert all(np.array_equal(left.params[k], right.params[k]) for k in left.params)


def test_depth_to_space_refuses_factors_that_differ_between_phases():
    model = networks.residual()
    plan, _ = bound(model)
    plan = changed(plan, "tensors", "up", equal=[1.0] * 31 + [0.5])
    with pytest.raises(PlanError, match="phases"):
        bind(model, plan)


def test_factors_cancel_between_producer_and_reader():
    model = networks.plain()
    plan, graph = bound(model, equalise=False)
    plan = changed(plan, "layers", "c1", weight_scales=None)
    even = changed(plan, "tensors", "c0", equal=[0.5] * 8)
    c0 = nodes(bind(model, even))["c0"]
    assert np.array_equal(c0.params["m"], 2 * nodes(graph)["c0"].params["m"])
    assert np.array_equal(nodes(bind(model, even))["c1"].params["weight"], nodes(graph)["c1"].params["weight"])
