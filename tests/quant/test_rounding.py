from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant import networks
from tests.quant.test_patches import CROPS as SMALL
from tests.quant.test_patches import KINDS, distance, met, network
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Statistic
from tvmsr.quant import rounding
from tvmsr.quant.accumulators import INT32_MAX, accumulator_bounds
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.correct import corrected
from tvmsr.quant.judge import make_judge
from tvmsr.quant.patches import Moments
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import as_float
from tvmsr.quant.reference import run
from tvmsr.quant.rounding import (
    Made,
    Remembered,
    Rounding,
    best_rounded,
    choose_codes,
    data_codes,
    rounded,
    ways_for,
)

CROPS = [networks.picture(s) for s in range(6)]


def nothing():
    pass


def noise(model, plan):
    """Mean square distance from the FP32 network on pictures that nothing was measured on."""
    graph, found = bind(model, plan), []
    for seed in range(50, 54):
        image = networks.picture(seed, 40, 36)
        exact = np.clip(run_fp32(model, as_float(image)) * 255, 0, 255)
        found.append(np.mean((run(graph, image) - exact.astype(np.float64)) ** 2))
    return np.mean(found)


@pytest.mark.parametrize("name", networks.ALL)
@pytest.mark.parametrize("bits", [8, "a8w4", "a4w4"])
def test_networks_are_nearer_to_fp32(name, bits):
    model = networks.ALL[name]()
    plan = calibrate(model, CROPS, bits=bits, max_drop=None, rounding=False)
    assert noise(model, rounded(plan, model, CROPS, nothing)) < noise(model, plan)


def test_both_steps_help_where_earlier_layers_are_coarse():
    model = networks.residual()
    plan = calibrate(model, CROPS, bits="a4w4", max_drop=None, rounding=False)
    of = {
        (fit, feed): noise(model, rounded(plan, model, CROPS, nothing, Rounding(fit, feed)))
        for fit in (False, True)
        for feed in (False, True)
    }
    assert of[True, True] < min(of[True, False], of[False, True])
    assert max(of[True, False], of[False, True]) < of[False, False]


def test_below_eight_bits_the_judge_decides_whether_to_fit():
    model = networks.residual()
    judge = make_judge(model, CROPS)
    for bits, ways in ((8, [True]), ("a8w4", [True]), ("a4w4", [True, False])):
        plan = calibrate(model, CROPS, bits=bits, max_drop=None, rounding=False)
        assert [way.fit for way in ways_for(plan)] == ways
        steps = iter(range(100))
        tried = [rounded(plan, model, CROPS, nothing, Rounding(fit)) for fit in ways]
        best = best_rounded(plan, model, CROPS, judge, lambda steps=steps: next(steps))
        assert next(steps) == len(ways) * len(plan.layers)
        assert best in tried
        assert judge.noise(best) == min(judge.noise(one) for one in tried)


def test_without_its_steps_it_is_bias_correction():
    model = networks.split_concat()
    plan = calibrate(model, CROPS, bits="a4w4", max_drop=None, rounding=False)
    known, bare = corrected(plan, model, CROPS, nothing), rounded(plan, model, CROPS, nothing, Rounding(False, False))
    for name, layer in bare.layers.items():
        assert layer.bias_correction == known.layers[name].bias_correction
    for mine, theirs in zip(bind(model, bare), bind(model, known), strict=True):
        for key, value in theirs.params.items():
            assert np.array_equal(mine.params[key], value)


@pytest.mark.parametrize("bits", ["a8w2", "a8w4", "a4w4", 8])
@pytest.mark.parametrize("kind", KINDS)
def test_the_error_of_a_layer_is_at_most_that_of_nearest_codes(kind, bits):
    """All patches are seen here: the spread of the executor's own sums around the FP32 network's."""
    model = network(kind)
    node, seen = met(model, "c1", bits=bits)
    exact = next(n for n in model.graph if n.name == "c1")
    codes = data_codes(node, exact, seen)
    limit = 2 ** (node.weight_bits - 1) - 1
    assert np.abs(codes.astype(int)).max() <= limit
    assert not np.array_equal(codes, node.params["weight"])
    nearest = distance(node, seen).var(axis=0)
    against_data = distance(replace(node, params={**node.params, "weight": codes}), seen).var(axis=0)
    assert np.all(against_data <= nearest * (1 + 1e-9))
    assert against_data.sum() < nearest.sum()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4), st.sampled_from([1, 7, 127]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_channel_is_worse_than_nearest(seed, count, groups, limit, few):
    """Also where there are fewer patches than columns, and columns without data."""
    rng = np.random.default_rng(seed)
    patches = 3 if few else 50
    data = np.rint(rng.normal(size=(groups, patches, count)) * 20 + rng.normal(size=(groups, patches, 1)) * 20)
    data[:, :, rng.integers(count)] = 0
    weights = rng.normal(size=(groups, count, 3)) * limit / 2
    wanted = data @ (weights + rng.normal(size=weights.shape)) + rng.normal(size=(groups, patches, 3)) * 9
    data, wanted = (x - x.mean(axis=1, keepdims=True) for x in (data, wanted))
    turned = data.transpose(0, 2, 1)
    found = Moments(turned @ data, turned @ wanted, (wanted**2).sum(axis=1), patches)
    nearest = np.clip(np.rint(weights), -limit, limit)
    codes = choose_codes(weights, nearest, found, limit)
    assert np.array_equal(codes, np.clip(np.rint(codes), -limit, limit))
    assert np.all(found.error(codes) <= found.error(nearest))


def test_nearest_where_inputs_are_unrelated_and_exact():
    rng = np.random.default_rng(0)
    inputs = np.diag(rng.uniform(10, 1000, 30))[None]
    weights = rng.normal(size=(1, 30, 4)) * 50
    cross = inputs @ weights
    found = Moments(inputs, cross, (weights * cross).sum(axis=1), 100)
    nearest = np.clip(np.rint(weights), -127, 127)
    assert np.array_equal(choose_codes(weights, nearest, found, 127), nearest)


def test_the_plan_says_what_was_done_and_binds():
    model, steps = networks.residual(), []
    plan = calibrate(model, CROPS, bits="a8w4", max_drop=None, rounding=False)
    made = rounded(plan, model, CROPS, lambda: steps.append(1))
    assert len(steps) == len(plan.layers)
    bound = {node.name: node for node in bind(model, Plan.from_json(made.to_json()))}
    for name, layer in made.layers.items():
        shape = bound[name].params["weight"].shape
        assert np.array_equal(bound[name].params["weight"], layer.codes(shape))
        assert layer.weight_scales == plan.layers[name].weight_scales
        assert layer.reason == f"{plan.layers[name].reason}; weights rounded against data"
        assert layer.bias_correction


def test_the_same_crops_give_the_same_plan_whatever_it_was_before():
    model = networks.plain()
    plan = calibrate(model, CROPS, max_drop=None, rounding=False)
    made = rounded(plan, model, CROPS, nothing)
    assert rounded(plan, model, CROPS, nothing).to_json() == made.to_json()
    assert rounded(made, model, CROPS, nothing).to_json() == made.to_json()


def test_what_is_remembered_changes_no_plan(monkeypatch):
    """Of a plan with a wider layer, what lies in front of it is not measured again; nor is a plan that was seen."""
    model, remembered, measured = networks.residual(), Remembered(), []
    real = rounding.data_codes
    monkeypatch.setattr(rounding, "data_codes", lambda node, *rest: measured.append(node.name) or real(node, *rest))
    plans = [calibrate(model, CROPS, max_drop=None, rounding=False, layer_bits=p) for p in (None, {"b1b": 12})]
    alone = [rounded(plan, model, CROPS, nothing).to_json() for plan in plans]
    measured.clear()
    assert rounded(plans[0], model, CROPS, nothing, remembered=remembered).to_json() == alone[0]
    everything = list(measured)
    measured.clear()
    assert rounded(plans[0], model, CROPS, nothing, remembered=remembered).to_json() == alone[0] and not measured
    assert rounded(plans[1], model, CROPS, nothing, remembered=remembered).to_json() == alone[1] != alone[0]
    assert 0 < len(measured) < len(everything) and everything[0] not in measured and "b1b" in measured
    measured.clear()
    other = rounded(plans[0], model, CROPS, nothing, Rounding(fit=False), remembered)
    assert measured == everything
    assert other.to_json() == rounded(plans[0], model, CROPS, nothing, Rounding(fit=False)).to_json()


def test_what_is_remembered_has_an_end(monkeypatch):
    monkeypatch.setattr(rounding, "_MOST_REMEMBERED", 1000)
    remembered = Remembered()
    for n in range(5):
        remembered.keep(bytes([n]), Made(np.zeros((1, 1, 1, 400), np.int8), np.zeros(400)))
        assert remembered.size <= 1000 and len(remembered.made) <= 2 and bytes([n]) in remembered.made


def test_layers_with_too_many_inputs_keep_their_nearest_codes(monkeypatch):
    monkeypatch.setattr(rounding, "MOST_COLUMNS", 27)
    model = networks.plain()
    plan = calibrate(model, CROPS, bits="a8w4", max_drop=None, rounding=False)
    made = rounded(plan, model, CROPS, nothing)
    assert made.layers["c0"].weight_codes is not None
    assert made.layers["c1"].weight_codes is None
    assert made.layers["c1"].bias_correction
    assert "to nearest: 72 inputs of an output are more than 27" in made.layers["c1"].reason
    before, after = ({n.name: n.params.get("weight") for n in bind(model, p)} for p in (plan, made))
    assert np.array_equal(before["c1"], after["c1"])
    assert not np.array_equal(before["c0"], after["c0"])


def heavy():
    """A layer that reads 16 bits over 576 inputs with large weights: its sums are near the end of int32."""
    b = networks.Builder(5)
    x = b.conv("c0", "input", 64)
    y = b.conv("c1", x, 12, gain=0.3)
    weight = b.nodes[-1].weights["weight"]
    weight[:] = np.copysign(0.02, weight) * b.rng.uniform(0.8, 1, weight.shape)
    model = b.model(b.shuffle("out", y, 2))
    return model, calibrate(model, SMALL, layer_bits={"c1": 16}, equalise=False, max_drop=None, bias_correction=False)


def test_scales_that_bind_coarsens_are_kept():
    model, plan = heavy()
    bare = plan.layers["c1"].model_copy(update={"weight_scales": None})
    plan = plan.model_copy(update={"layers": {**plan.layers, "c1": bare}})
    assert len(bind(model, plan).extra["coarsened"]["c1"]) == 12
    made = rounded(plan, model, SMALL, nothing)
    assert made.layers["c1"].weight_codes is not None
    assert made.layers["c1"].reason.endswith(
        "against data, scales of 12 channels coarsened so that their sums fit int32"
    )
    assert not bind(model, made).extra["coarsened"]


def test_nearest_codes_where_the_others_would_overflow():
    model, plan = heavy()
    node = next(n for n in bind(model, plan) if n.name == "c1")
    x = next(n for n in bind(model, plan) if n.name == "c0").output
    scales = np.asarray(plan.layers["c1"].weight_scales)
    for _ in range(40):  # up to the last digit that still fits
        lowest, highest = accumulator_bounds(node.params["weight"], node.params["bias"].astype(np.int64), x)
        least = scales * np.maximum(highest, -lowest) / INT32_MAX
        tight = plan.layers["c1"].model_copy(update={"weight_scales": [float(s) for s in least * 1.0001]})
        plan = plan.model_copy(update={"layers": {**plan.layers, "c1": tight}})
        graph = bind(model, plan)
        node = next(n for n in graph if n.name == "c1")
        scales = node.step / float(x.scale)
    made = rounded(plan, model, SMALL, nothing)
    assert made.layers["c1"].weight_codes is None
    assert made.layers["c1"].reason.endswith("to nearest: sums would not fit int32")
    bind(model, made)


def test_maps_and_selections_are_left_alone():
    b = networks.Builder(2)
    x = b.conv("c0", "input", 12)
    x = b.chosen("moved", x, range(12), k=3, padding=(1, 1, 1, 1))
    gate = b.conv("gate", b.statistic("mean", x, Statistic.MEAN), 12, k=1)
    y = b.mul("gated", x, gate)
    model = b.model(b.shuffle("out", b.conv("c1", y, 12, gain=0.3, bias=0.3), 2))
    plan = calibrate(model, CROPS, bits="a8w4", max_drop=None, rounding=False)
    made = rounded(plan, model, CROPS, nothing)
    for name in ("moved", "gate"):
        assert made.layers[name] == plan.layers[name]
    for name in ("c0", "c1"):
        assert made.layers[name].weight_codes is not None
