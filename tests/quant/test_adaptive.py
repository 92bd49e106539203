"""Plans with several choices: what they say, what is refused, their graphs, and which one a picture takes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.quant import networks
from tests.quant.adaptive_plans import adaptive_plan, busy, flat
from tvmsr.quant.adaptive import ONE, Choosing, bind_choices, choosing_of
from tvmsr.quant.bind import bind
from tvmsr.quant.complexity import MOST, complexity
from tvmsr.quant.picture import upscale_picture
from tvmsr.quant.plan import Plan, PlanError


@pytest.fixture(scope="module")
def model():
    return networks.residual(blocks=2)


@pytest.fixture(scope="module")
def plan(model):
    return adaptive_plan(model)


def edited(plan: Plan, *changes: tuple[str, object]) -> str:
    """The plan's JSON with fields of `adaptive` set; a slash separates."""
    data = json.loads(plan.to_json())
    for path, value in changes:
        place = data["adaptive"]
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
        for parent in parents:
            place = place[parent]
        place[last] = value
    return json.dumps(data)


def test_round_trip(plan, tmp_path):
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan


def test_a_plan_with_one_choice_says_nothing(plan):
    alone = plan.of_choice(0)
    assert alone.adaptive is None and "adaptive" not in alone.to_json()
    assert alone.of_choice(0) is alone
    with pytest.raises(IndexError):
        alone.of_choice(1)
    with pytest.raises(IndexError):
        plan.of_choice(3)


def test_a_choice_has_what_differs(plan):
    """Bits and ranges are its own; factors per channel, weights and all that it does not name are the plan's."""
    low, base = plan.of_choice(1), plan.of_choice(0)
    given = plan.adaptive.choices[0]
    assert low.layers == base.layers and low.reads.keys() == base.reads.keys() and low.bits == "a4w8"
    for name, tensor in low.tensors.items():
        assert tensor.equal == base.tensors[name].equal
        assert (tensor == base.tensors[name]) == (name not in given.tensors)
    assert given.tensors and all(low.tensors[name].bits == 4 for name in given.tensors)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("low", 9), ("high", 8)], "low 9 is above high 8"),
        ([("low", -1)], "adaptive.low"),
        ([("high", MOST + 1)], "adaptive.high"),
        ([("low", float("nan"))], "adaptive.low"),
        ([("high", 10.5)], "adaptive.high"),
        ([("mode", "row")], "adaptive.mode"),
        ([("tile", 15)], "adaptive.tile"),
        ([("tile", 4097)], "adaptive.tile"),
        ([("tile", 64.5)], "adaptive.tile"),
        ([("choices", [])], "adaptive.choices"),
        ([("choices/0/factor", 1)], "two choices have the factor 1"),
        ([("choices/0/factor", 0)], "adaptive.choices.0.factor"),
        ([("choices/0/name", "base")], "not all different"),
        ([("choices/1/name", "auto")], "different from auto"),
        ([("choices/1/name", "a b")], "adaptive.choices.1.name"),
        ([("choices/0/tensors/elsewhere", {"bits": 4, "low": 0, "high": 1})], "low: tensors.elsewhere"),
        ([("choices/1/reads/elsewhere", {"bits": 4, "low": 0, "high": 1})], "high: reads.elsewhere"),
        ([("choices/0/layers/elsewhere", {})], "low: layers.elsewhere"),
        ([("choices/0/layers/head", {"weight_bits": 4})], "weight_bits cannot be given: all choices share"),
        ([("choices/0/layers/head", {"weight_codes": ""})], "weight_codes cannot be given: all choices share"),
        ([("choices/0/tensors/head", {"bits": 4, "low": 0, "high": 1, "equal": [1]})], "equal cannot be given"),
    ],
)
def test_refused(plan, changes, words):
    with pytest.raises(PlanError, match=words):
        Plan.from_json(edited(plan, *changes))


def test_refused_for_the_model(model, plan):
    """What only the model tells is said with the choice's name."""
    wrong = edited(plan, ("choices/0/layers", {"head": {"bias_correction": [0.0]}}))
    with pytest.raises(PlanError, match=r"layers\.head\.bias_correction: 1 values .*\(in the choice 'low'\)"):
        bind_choices(model, Plan.from_json(wrong))


def test_other_weights_are_refused(model, plan):
    """Without scales in the plan a large bias sets them, by the scale of the input."""
    data = json.loads(plan.to_json())
    name = next(layer for layer in data["layers"] if layer != "head")
    source = next(n.inputs[0] for n in model.graph if n.name == name)
    data["layers"][name].pop("weight_codes", None), data["layers"][name].pop("weight_scales")
    changed = {"bits": 4, "low": 0.0, "high": 1e-9}
    data["adaptive"]["choices"][0]["reads" if source in data["reads"] else "tensors"][source] = changed
    with pytest.raises(PlanError, match=f"layers.{name}: the choice 'low' would need other weight codes"):
        bind_choices(model, Plan.from_json(json.dumps(data)))


def test_graphs(model, plan):
    graphs = bind_choices(model, plan)
    assert len(graphs) == 3
    image = networks.picture(0)
    for number, graph in enumerate(graphs):
        alone = bind(model, plan.of_choice(number))
        for ours, theirs in zip(graph, alone, strict=True):
            assert ours.name == theirs.name
        np.testing.assert_array_equal(upscale_picture(graph, image), upscale_picture(alone, image))
    results = [upscale_picture(graph, image) for graph in graphs]
    assert not np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])
    assert len(bind_choices(model, plan.of_choice(2))) == 1


@pytest.mark.parametrize(
    ("factors", "wanted"),
    [((0, -1, 1), (1, 1, 0, 0, 0, 2, 2)), ((0, 1), (0, 0, 0, 0, 0, 1, 1)), ((0, -1), (1, 1, 0, 0, 0, 0, 0))],
)
def test_thresholds(factors, wanted):
    """Below low, at it, between, at high, above; a factor that no choice has falls to the nearest."""
    choosing = Choosing(("base", "x", "y")[: len(factors)], factors, 100, 200)
    found = [
        next(choice for below, choice in choosing.bounds if value < below)
        for value in (0, 99, 100, 150, 200, 201, MOST)
    ]
    assert tuple(found) == wanted


def test_edges_of_thresholds():
    everything = Choosing(("a", "b", "c"), (0, -1, 1), 0, MOST).bounds
    assert everything[0] == (0, 1) and everything[1][1] == 0
    assert ONE.bounds == ((2**32 - 1, 0),) and Choosing(("a", "b"), (0, 1), 5, 5).bounds[0] == (6, 0)


def test_a_picture_chooses(plan):
    choosing = choosing_of(plan)
    assert choosing.names == ("base", "low", "high")
    assert complexity(flat()) < choosing.low and complexity(busy()) > choosing.high
    assert (choosing.of(flat()), choosing.of(busy())) == (1, 2)
    assert choosing_of(plan.of_choice(0)) is ONE and ONE.of(busy()) == 0
