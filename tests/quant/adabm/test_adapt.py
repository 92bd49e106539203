"""Plans for named bits, from a handful of pictures to choices on the same weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks
from tvmsr.errors import InputFileError, UsageError
from tvmsr.quant.adabm import adapt, words
from tvmsr.quant.adabm.choices import NAMES
from tvmsr.quant.adabm.figures import SETTINGS, figures
from tvmsr.quant.adabm.table import Sensitivity
from tvmsr.quant.adaptive import bind_choices, choosing_of
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.complexity import complexity
from tvmsr.quant.draft import SoFar
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.judge import make_judge
from tvmsr.quant.plan import DEFAULT_TILE, Plan, PlanError
from tvmsr.quant.reference import run
from tvmsr.quant.widen import Clock

CROPS = [networks.picture(seed, 32, 32) for seed in range(6)]
HELD = [networks.picture(seed, 32, 32) for seed in range(10, 13)]


def made(model, bits="auto:a5w4", **options) -> Plan:
    """Weights to the nearest unless options say otherwise, which takes half as long."""
    return calibrate(model, CROPS, held=HELD, bits=bits, **{"costs": "bits", "rounding": False, **options})


@pytest.fixture(scope="module")
def model():
    return networks.residual(blocks=2)


@pytest.fixture(scope="module")
def plan(model) -> Plan:
    return made(model, rounding=True)


@pytest.fixture(scope="module")
def nearest(model) -> Plan:
    return made(model)


def test_a_plan_has_three_choices_on_the_same_weights(model, plan):
    assert plan.bits == "auto:a5w4" and plan.method == "adabm"
    assert choosing_of(plan).names == (NAMES[0], NAMES[-1], NAMES[1]) and choosing_of(plan).factors == (0, -1, 1)
    found = [figures(model, plan, choice) for choice in range(3)]
    assert found[1].fab < found[0].fab < found[2].fab
    assert found[1].bit_operations < found[0].bit_operations < found[2].bit_operations
    assert found[0].kept <= 0.2 + 1e-9 and found[0].adapted_fab <= 5.5
    graphs = bind_choices(model, plan)
    exact = [run(graph, HELD[0]).astype(int) for graph in graphs]
    assert all((exact[0] != other).any() for other in exact[1:])
    biases = [choice.layers["close"].bias_correction for choice in plan.adaptive.choices]
    assert biases[0] != biases[1] != plan.layers["close"].bias_correction
    assert all(layer.weight_codes is not None for layer in plan.layers.values())


def test_it_says_what_it_did_and_survives_a_file(plan, tmp_path):
    notes = [note for note in plan.notes if note.startswith(words.NOTED)]
    assert "feature average bit" in notes[0] and "expected drop" in notes[1]
    assert sum("choice" in note for note in notes) == 2 and "percentiles 10 and 90 of 9 pictures" in notes[-1]
    assert "layer factor" in plan.tensors["b0a"].reason and "bit operations at 8 bits" in plan.tensors["b0a"].reason
    plan.save(tmp_path / "p.json")
    assert Plan.load(tmp_path / "p.json") == plan


def test_it_is_the_same_again_and_better_than_the_same_bits_everywhere(model, plan):
    assert made(model, rounding=True) == plan
    exact = made(model, "8", costs="time", max_drop=None)
    outputs = [
        run(bind_choices(model, one)[0], HELD[1]).astype(float)
        for one in (exact, plan, made(model, "a5w4", rounding=True))
    ]
    errors = [float(((output - outputs[0]) ** 2).mean()) for output in outputs]
    assert errors[1] < errors[2]


def test_thresholds_come_from_the_complexities_given(model):
    plan = made(model, complexities=range(0, 10100, 100))
    assert (plan.adaptive.low, plan.adaptive.high) == (1000, 9000)


def test_tiles(model, nearest):
    tiles = made(model, adaptive="tile")
    assert tiles.adaptive.mode == "tile" and tiles.adaptive.choices == nearest.adaptive.choices
    assert choosing_of(tiles).tile == DEFAULT_TILE


def test_8_bits_are_the_most(model):
    plan = made(model, "auto:a8w8")
    assert choosing_of(plan).factors == (0, -1) and figures(model, plan).fab == 8
    (left_out,) = [note for note in plan.notes if repr(NAMES[1]) in note]
    assert "left out: no layer can have other bits" in left_out


def test_where_bits_cost_no_time_all_have_8_and_nothing_is_chosen(model):
    flat = Clock("flat", lambda graph: {node.name: 1.0 for node in graph})
    plan = made(model, costs="time", clock=flat)
    assert plan.adaptive is None and figures(model, plan).fab == 8
    assert sum("it changes nothing" in note for note in plan.notes) == 2
    assert all(layer.weight_bits == 8 for layer in plan.layers.values())
    assert plan.settings[SETTINGS]["where"] == "flat"


def test_where_weights_alone_cost_time_activations_have_8_bits(model):
    weights = Clock("weighty", lambda graph: {n.name: float(n.weight_bits) for n in graph if n.op == "conv"})
    plan = made(model, costs="time", clock=weights, max_drop=None)
    found = figures(model, plan)
    assert (found.fab, found.weights) == (8, 4) and plan.adaptive is None
    assert "7 of them above it, as that costs nothing" in " ".join(plan.notes)
    assert "base 5, layer factor +0, more as that costs nothing" in plan.tensors["b0a"].reason


def test_without_a_clock_bits_are_the_cost(model, nearest):
    timed = made(model, costs="time")
    assert words.NO_CLOCK in timed.notes and timed.reads == nearest.reads and words.NO_CLOCK not in nearest.notes


def test_a_choice_that_the_weights_do_not_fit_is_left_out(model, monkeypatch):
    def refuse(*_args):
        raise PlanError("sums")

    monkeypatch.setattr(adapt, "bind_choices", refuse)
    plan = made(model)
    assert plan.adaptive is None and sum(words.NO_FIT in note for note in plan.notes) == 2


def test_no_more_bits_than_asked_keeps_none(model):
    plan = made(model, max_drop=None)
    assert plan.settings[SETTINGS]["kept"] == [] and "no layer is kept" in " ".join(plan.notes)


@pytest.mark.parametrize("most", [0.0, 0.13])
def test_no_more_is_kept_than_one_says(model, nearest, most):
    """The layer that is kept otherwise has 0.138 of the multiplications."""
    plan = made(model, kept=most)
    assert nearest.settings[SETTINGS]["kept"] == ["last"] and plan.settings[SETTINGS]["kept"] == []
    assert plan.settings[SETTINGS]["most_kept"] == most


def test_weight_bits_by_layer_are_as_many_in_the_mean(model, monkeypatch):
    uneven = {"b0a": 1, "b0b": -1, "b1a": 1, "b1b": -1}
    monkeypatch.setattr(adapt, "weight_factors", lambda *_: uneven)
    tried = made(model, "auto:a6w4", weight_bits="layer", kept=0.0)
    settings, fixed = tried.settings[SETTINGS], made(model, "auto:a6w4", kept=0.0)
    assert settings["weight_bits"] == "layer"
    held = make_judge(model, HELD)
    if settings["weight_factors"]:
        assert settings["weight_factors"] == uneven and held.noise(tried) < held.noise(fixed)
        assert [tried.layers[name].weight_bits for name in uneven] == [5, 3, 5, 3]
        assert "5 weight bits: base 4, layer factor +1" in tried.layers["b0a"].reason
        assert figures(model, tried).weights == pytest.approx(figures(model, fixed).weights)
    else:
        assert tried.layers == fixed.layers and any("are left out" in note for note in tried.notes)


@pytest.mark.parametrize("bits", ["auto:a5w4", "auto"])
def test_sensitivity_from_a_gradient_gives_a_plan(model, bits):
    installed("torch", "pip install 'tvmsr[torch]'")
    plan = made(model, bits, sensitivity="gradient", max_drop=3.0)
    assert plan.settings[SETTINGS]["sensitivity"] == "gradient"
    assert figures(model, plan).bit_operations < 0.7


def test_pinned_layers_keep_their_bits_in_every_choice(model):
    plan = made(model, layer_bits={"b0b": 7})
    assert [figures(model, plan, choice).layers["b0b"].activations for choice in range(3)] == [7, 7, 7]


@pytest.mark.parametrize("without", ["clipping", "layers", "pictures"])
def test_parts_can_be_left_out(model, monkeypatch, without):
    real = adapt.adapted
    monkeypatch.setattr(
        "tvmsr.quant.calibrate.adapted",
        lambda draft, how, tell: real(draft, replace(how, **{without: False}, sensitivity=Sensitivity.DEVIATION), tell),
    )
    plan = made(model)
    settings = plan.settings[SETTINGS]
    assert settings["sensitivity"] == "deviation"
    said = {
        "clipping": settings["clipping"] == 0,
        "layers": settings["layer_factors"] == {},
        "pictures": plan.adaptive is None,
    }
    assert said[without]


def _single():
    b = networks.Builder()
    return b.model(b.shuffle("out", b.conv("only", "input", 12, gain=0.3), 2))


def test_a_network_of_one_layer_has_nothing_to_adapt():
    plan = made(_single())
    assert plan.adaptive is None and words.NO_SITES in plan.notes
    assert plan.layers["only"].weight_bits == 4


@pytest.mark.parametrize(
    "crops",
    [
        [CROPS[0]],
        [CROPS[0]] * 5,
        [np.full((32, 32, 3), 90, np.uint8)] * 5,
        [np.zeros((32, 32, 3), np.uint8)],
        [networks.picture(0, 9, 7)] * 2,
    ],
    ids=["one", "identical", "flat", "black", "small"],
)
def test_poor_pictures_give_a_plan(model, crops):
    plan = calibrate(model, crops, bits="auto:a4w4", costs="bits", rounding=len(crops) == 1)
    graphs = bind_choices(model, plan)
    assert all(run(graph, CROPS[0]).shape == (64, 64, 3) for graph in graphs)
    if plan.adaptive is not None:
        assert plan.adaptive.low <= complexity(crops[0]) <= plan.adaptive.high
        assert "too little" in plan.notes[-2]


def test_gates_tables_and_concats():
    for model in (networks.split_concat(), networks.tables()):
        plan = made(model, "auto:a6w4")
        graphs: tuple[IntegerGraph, ...] = bind_choices(model, plan)
        assert len(graphs) > 1


def test_ctrl_c_finds_whole_plans_on_the_way(model):
    """As soon as bits are chosen with the drop to expect, which the rounding of weights makes smaller."""
    kept: list[SoFar] = []
    plan = made(model, better=kept.append, rounding=True)
    first, chosen, rounded = kept
    assert all("not finished" in one.plan.notes[-1] for one in kept)
    assert rounded.plan.layers["close"].weight_codes is not None and rounded.plan.adaptive is None
    assert chosen.plan.tensors == rounded.plan.tensors and chosen.plan.layers["close"].weight_codes is None
    assert first.drop is None and chosen.drop > rounded.drop
    assert any(f"expected drop {rounded.drop:.3f} dB" in note for note in plan.notes)


def test_what_cannot_be(model):
    with pytest.raises(InputFileError, match="at least one picture"):
        calibrate(model, [], bits="auto:a4w4")
    with pytest.raises(UsageError, match="--costs money: expected time or bits"):
        made(model, costs="money")
    with pytest.raises(UsageError, match="--adaptive row: expected image or tile"):
        made(model, adaptive="row")
    with pytest.raises(UsageError, match="--method minmax: --bits auto:a6w4 has a method of its own"):
        made(model, "auto:a6w4", method="minmax")
    with pytest.raises(UsageError, match="--method adabm: it chooses bits itself"):
        made(model, "6", method="adabm")
