"""Plain auto bits, on a small network and a clock that gains by fewer bits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quant import networks
from tests.quant.adabm.test_staircase import Counted
from tvmsr.graph.model import Model
from tvmsr.quant import calibrate as calibration
from tvmsr.quant.adabm.auto import Budget
from tvmsr.quant.adabm.figures import figures
from tvmsr.quant.adabm.frontier import Frontier
from tvmsr.quant.adaptive import bind_choices
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.draft import SoFar
from tvmsr.quant.judge import make_judge, psnr_of
from tvmsr.quant.plan import Plan
from tvmsr.quant.widen import Clock

CROPS = [networks.picture(seed) for seed in range(4)]
HELD = [networks.picture(seed) for seed in range(8, 10)]


def gaining(activations: int, weights: int) -> float:
    return 6.0 if activations <= 6 and weights <= 5 else 10.0


@pytest.fixture(scope="module")
def model() -> Model:
    return networks.residual()


def made(model: Model, cost=gaining, **how) -> Plan:
    return calibrate(model, CROPS, held=HELD, bits="auto", clock=Clock("made up", Counted(cost)), **how)


def frontier_of(plan: Plan) -> Frontier:
    found = Frontier.of(plan)
    assert found is not None
    return found


def chosen(plan: Plan):
    (point,) = (point for point in frontier_of(plan).points if point.chosen)
    return point


@pytest.fixture(scope="module")
def plans(model) -> dict[float, Plan]:
    return {drop: made(model, max_drop=drop) for drop in (0.0043, 0.02, 30.0)}


def test_the_more_may_be_lost_the_faster(model, plans):
    costs = [chosen(plan).cost for plan in plans.values()]
    assert 1 >= costs[0] > costs[1] > costs[2]
    for drop, plan in list(plans.items())[1:]:
        assert plan.bits == "auto" and plan.method == "adabm" and plan.judged is not None
        assert plan.judged.drop <= drop == plan.judged.limit and chosen(plan).drop == plan.judged.drop
        assert figures(model, plan).bit_operations < 1


def test_it_is_what_the_judge_finds(model, plans):
    """On crops that were held back, of the plan as it is given."""
    plan = plans[0.02]
    noise = make_judge(model, HELD).noise(plan.of_choice(0))
    assert chosen(plan).psnr == pytest.approx(psnr_of(noise), abs=0.01)


def test_the_walk_is_told(plans):
    frontier = frontier_of(plans[0.02])
    assert frontier.where == "made up" and len(frontier.points) >= 2
    assert [point.cost for point in frontier.points] == sorted((p.cost for p in frontier.points), reverse=True)
    (note,) = (note for note in plans[0.02].notes if "the least within 0.02 dB" in note)
    assert all(f"{point.cost:.1%} (expected drop {point.drop:.3f} dB)" in note for point in frontier.points)


def test_the_same_again(model, plans):
    assert made(model, max_drop=0.02) == plans[0.02]


def test_choices_by_picture_stand_on_it(model, plans):
    plan = plans[30.0]
    assert plan.adaptive is not None
    graphs = bind_choices(model, plan)
    assert len(graphs) == 1 + len(plan.adaptive.choices)


def test_what_is_not_faster_keeps_8_bits(model):
    plan = made(model, lambda a, w: 10.0, max_drop=30.0)
    assert figures(model, plan).bit_operations == 1 and plan.adaptive is None
    assert any("fewer bits save no modelled time on made up" in note for note in plan.notes)


def test_bits_as_costs(model):
    plan = made(model, max_drop=3.0, costs="bits")
    assert chosen(plan).cost < 1 and frontier_of(plan).where == "" and plan.judged.drop <= 3.0


def test_where_8_bits_lose_too_much_layers_read_more(model):
    plan = made(model, max_drop=0.0)
    assert plan.bits == "auto" and plan.judged is not None and Frontier.of(plan) is None
    assert plan.judged.wider is not None
    _, before = plan.judged.before
    assert f"8 bits everywhere: they lose {before:.3f} dB already, and 0 dB were to be kept to" in plan.notes[-2]


def test_a_choice_for_flat_pictures_keeps_to_the_drop(model):
    """Its cost falls with each bit, so that there would be one."""
    plan = made(model, max_drop=0.3, costs="bits")
    assert [choice.name for choice in plan.adaptive.choices] == ["more"]
    (note,) = (note for note in plan.notes if "'fewer'" in note)
    assert "left out: on the crops held back it loses more than --max-drop allows" in note
    roomy = made(model, max_drop=100.0, costs="bits")
    assert all("--max-drop" not in note for note in roomy.notes)


def test_8_bits_that_lose_too_much_and_no_layer_may_read_more(model, monkeypatch):
    monkeypatch.setattr(calibration, "MAX_DROP", 1e-4)
    plan = made(model, max_drop=None)
    assert chosen(plan).cost == 1 and plan.judged.is_missed
    assert any("8 bits everywhere: they lose" in note for note in plan.notes)
    assert not any("save no" in note for note in plan.notes)


class Timer:
    """Milliseconds of a plan: a hundredth of its cost, times so much."""

    def __init__(self, model: Model, slower: float = 1.0) -> None:
        self.model, self.slower, self.plans = model, slower, []

    def __call__(self, plan: Plan) -> float:
        self.plans.append(plan)
        whole = Counted(gaining)(bind(self.model, plan))
        return self.slower * sum(whole.values()) / 10


@pytest.mark.parametrize("limit", [19.0, 17.5, 16.4])
def test_the_best_within_a_time(model, limit):
    timer = Timer(model)
    plan = made(model, budget=Budget(limit, timer, "a picture"))
    point = chosen(plan)
    assert point.milliseconds <= limit and plan.adaptive is None
    assert timer(plan) == pytest.approx(point.milliseconds, abs=1e-3)
    slower = [other for other in frontier_of(plan).points if other.cost > point.cost]
    assert all(other.milliseconds > limit for other in slower)
    assert any(f"the best within {limit:g} ms takes {point.milliseconds:.2f} ms for a picture" in x for x in plan.notes)


def test_a_time_that_8_bits_keep_to(model):
    timer = Timer(model)
    plan = made(model, budget=Budget(1000.0, timer, "a picture"))
    assert chosen(plan).cost == 1.0 and len(timer.plans) == 1 and figures(model, plan).bit_operations == 1


def test_a_time_that_nothing_keeps_to(model):
    plan = made(model, budget=Budget(0.1, Timer(model), "a picture of 9x9 on a board"))
    (note,) = (note for note in plan.notes if "--max-time 0.1 was missed" in note)
    assert "the fastest plan takes" in note and "for a picture of 9x9 on a board" in note
    least = min(point.cost for point in frontier_of(plan).points)
    assert chosen(plan).cost == least == chosen(made(model, max_drop=100.0)).cost


def test_where_fewer_bits_are_no_faster_and_nothing_is_fast_enough_it_is_8_bits(model):
    plan = made(
        model, budget=Budget(0.1, lambda plan: 0.34 if figures(model, plan).bit_operations == 1 else 0.36, "it")
    )
    assert chosen(plan).cost == 1 and len(frontier_of(plan).points) > 1
    assert any("--max-time 0.1 was missed: the fastest plan takes 0.34 ms for it" in note for note in plan.notes)


def test_plans_on_the_way(model):
    """What Ctrl-C leaves: each that is within the limit, and the last of them is the fastest until then."""
    seen: list[SoFar] = []
    plan = made(model, max_drop=0.02, better=seen.append)
    found = [figures(model, one.plan).bit_operations for one in seen]
    assert found[0] == 1 and min(found) == found[-1] == figures(model, plan).bit_operations
    assert chosen(plan).drop == pytest.approx(seen[-1].drop, abs=1e-4) and seen[-1].drop <= 0.02
    nearest, eight = [one.drop for one in seen if one.drop is not None][:2]
    assert nearest > eight == pytest.approx(frontier_of(plan).points[0].drop, abs=1e-4), "before anything is chosen"


def test_with_a_time_to_keep_to_the_drop_is_known_on_the_way(model):
    seen: list[SoFar] = []
    plan = made(model, budget=Budget(0.1, Timer(model), "a picture"), better=seen.append)
    _, *drops = [one.drop for one in seen if one.drop is not None]
    assert drops == pytest.approx([frontier_of(plan).points[0].drop, chosen(plan).drop], abs=1e-4)


def test_a_network_of_a_single_layer():
    """It reads the picture, so nothing can have fewer bits; within no time either."""
    builder = networks.Builder()
    model = builder.model(builder.shuffle("out", builder.conv("only", "input", 12, gain=0.5), 2))
    for plan in (made(model, max_drop=1.0), made(model, budget=Budget(1e-3, Timer(model), "a picture"))):
        assert len(frontier_of(plan).points) == 1 and chosen(plan).cost == 1 and plan.adaptive is None
        assert figures(model, plan).bit_operations == 1
    assert any("--max-time 0.001 was missed" in note for note in plan.notes)


def test_flat_pictures_and_no_held_ones(model):
    flat = [np.full((24, 20, 3), 100, np.uint8)] * 2
    plan = calibrate(model, flat, bits="auto", max_drop=0.1, clock=Clock("made up", Counted(gaining)))
    assert plan.judged is not None and plan.judged.drop <= 0.1 and not plan.judged.held
    assert len(bind_choices(model, plan)) == 1 + len(plan.adaptive.choices if plan.adaptive else ())
