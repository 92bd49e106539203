"""Options of sites, the order of steps, and how far along them one may go; all figures are made up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tvmsr.quant.adabm.frontier import FULL, Frontier, Line, Option, Point, Step, bits_after, options_of, steps_of
from tvmsr.quant.adabm.sites import Site
from tvmsr.quant.adabm.table import Costs, Table
from tvmsr.quant.bits import Bits
from tvmsr.quant.plan import Plan

A, B = Site("a", ("a",), ("conv1", "conv2"), 0.6, (0.0, 1.0)), Site("b", ("b",), ("conv3",), 0.4, (0.0, 1.0))
CHEAP = Bits(6, 5)


def table(cost: dict[str, dict[Bits, float]], scale: float = 1.0) -> Table:
    """Noise divides by 4 with each bit; that of weights too."""
    noise = {name: {bits: own * scale * 4.0**-bits for bits in range(2, 9)} for name, own in (("a", 1.0), ("b", 2.0))}
    weights = {name: {bits: scale * 4.0**-bits for bits in range(2, 9)} for name in ("conv1", "conv2", "conv3")}
    return Table((A, B), noise, weights, cost, Costs.TIME, "a CPU")


def stair(share: float, saved: float) -> dict[Bits, float]:
    """What costs less where activations have at most 6 bits and weights at most 5."""
    return {Bits(a, w): share * (1 - saved if a <= 6 and w <= 5 else 1.0) for w in range(8, 3, -1) for a in range(2, 9)}


def test_bits_below_a_step_buy_nothing():
    options = options_of(table({"a": stair(0.6, 0.2), "b": stair(0.4, 0.0)}), A)
    assert [option.bits for option in options] == [FULL, CHEAP]
    added = (4.0**-6 - 4.0**-8) + 2 * (4.0**-5 - 4.0**-8)
    assert options[1] == Option(CHEAP, pytest.approx(added), pytest.approx(0.48))
    assert [option.bits for option in options_of(table({"a": stair(0.6, 0.2), "b": stair(0.4, 0.0)}), B)] == [FULL]


def test_options_are_convex():
    """Each is cheaper than the one before, and noise for what it saves only rises."""
    cost = {Bits(a, w): 0.6 * a * w / 64 for w in range(2, 9) for a in range(2, 9)}
    options = options_of(table({"a": cost, "b": cost}), A)
    assert options[0].bits == FULL and len(options) > 5
    prices = [(y.noise - x.noise) / (x.cost - y.cost) for x, y in pairwise(options)]
    assert all(price > 0 for price in prices) and prices == sorted(prices)
    for option in options:
        better = [bits for bits in cost if cost[bits] <= option.cost]
        of = {bits: 4.0**-bits.activations + 2 * 4.0**-bits.weights for bits in better}
        assert of[option.bits] == min(of.values())


def test_steps_of_all_sites_by_price():
    steps = steps_of(table({"a": stair(0.6, 0.2), "b": stair(0.4, 0.5)}))
    assert [step.site for step in steps] == ["b", "a"] and steps[0].price < steps[1].price
    assert bits_after((A, B), steps[:1]) == {"a": FULL, "b": CHEAP}
    assert bits_after((A, B), steps) == {"a": CHEAP, "b": CHEAP} and bits_after((A, B), ()) == {"a": FULL, "b": FULL}
    line = Line(steps)
    assert [line.cost(n) for n in range(3)] == pytest.approx([1.0, 0.8, 0.68])
    assert line.noise(0) == 0 and line.noise(2) == pytest.approx(sum(step.added for step in steps))


def line_of(count: int, saved: float = 0.03) -> Line:
    """Each step adds more noise than the one before."""
    return Line(tuple(Step(f"s{n}", Option(CHEAP, 0.0, 0.0), saved, 0.1 * (n + 1)) for n in range(count)))


class Asked:
    def __init__(self, figures: list[float]) -> None:
        self.figures, self.seen = figures, []

    def __call__(self, count: int) -> float:
        self.seen.append(count)
        return self.figures[count]


@pytest.mark.parametrize("truth", [0.25, 1.0, 2.5])
@pytest.mark.parametrize("limit", [0.5, 1.0, 3.0, 7.0, 100.0])
def test_furthest_within_a_noise(truth: float, limit: float):
    """What is expected may be wrong by a factor, which the first plan tells."""
    line = line_of(16)
    noise = Asked([0.6 + truth * line.noise(n) for n in range(17)])
    found = line.furthest(noise, limit)
    assert found == max([n for n in range(17) if noise.figures[n] <= limit], default=0)
    assert len(noise.seen) <= 6 and noise.seen[0] == 0 and len(set(noise.seen)) == len(noise.seen)


def test_furthest_where_nothing_goes_as_expected():
    line = line_of(16)
    for jump in range(1, 17):
        noise = Asked([0.0 if n < jump else 5.0 for n in range(17)])
        found = line.furthest(noise, 1.0)
        assert found < jump and noise.figures[found] == 0.0 and len(noise.seen) <= 9


def test_steps_that_save_next_to_nothing_are_not_looked_for():
    noise = Asked([0.1 * n for n in range(101)])
    line = Line(tuple(Step(f"s{n}", Option(CHEAP, 0.0, 0.0), 0.0002, 0.2) for n in range(100)))
    found = line.furthest(noise, 5.0)
    assert line.cost(found) - line.cost(50) < 0.01 and noise.figures[found] <= 5.0 and len(noise.seen) <= 4


@pytest.mark.parametrize("gain", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("limit", [99.0, 91.0, 75.0, 30.0])
def test_first_within_a_time(gain: float, limit: float):
    """Steps may save more or less than the model says."""
    line = line_of(16)
    times = Asked([100 * (1 - gain * (1 - line.cost(n))) for n in range(17)])
    wanted = next((n for n in range(17) if times.figures[n] <= limit), None)
    assert line.first_within(times, limit) == wanted
    assert len(times.seen) <= 6 and len(set(times.seen)) == len(times.seen)


def test_first_within_asks_for_no_more_than_it_must():
    line = line_of(16)
    assert line.first_within(times := Asked([100.0] * 17), 100.0) == 0 and times.seen == [0]
    assert line.first_within(times := Asked([100.0] * 17), 50.0) is None and times.seen == [0, 16]
    assert Line(()).first_within(times := Asked([100.0]), 50.0) is None and times.seen == [0]


def plan_with(settings: dict[str, object]) -> Plan:
    return Plan(model="m", checksum="c", method="adabm", settings=settings, tensors={}, layers={})


def test_what_a_plan_says_of_its_frontier():
    points = (Point(1.0, 8.0, 8.0, drop=0.01, psnr=60.0), Point(0.9, 7.5, 6.0, milliseconds=3.5, chosen=True))
    frontier = Frontier(points, "x86_64 avx2")
    again = Frontier.of(plan_with({"adabm": {"where": frontier.where, "frontier": frontier.as_json()["points"]}}))
    assert again == frontier and again.unit == "modelled time on x86_64 avx2" and Frontier(()).unit == "bit operations"


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {},
        {"frontier": None},
        {"frontier": [3]},
        {"frontier": [{"cost": 1.0}]},
        {"frontier": [{"x": 1}]},
        {"frontier": [{"cost": "1", "activations": 8.0, "weights": 8.0}]},
        {"frontier": [{"cost": 1.0, "activations": None, "weights": 8.0}]},
    ],
)
def test_what_cannot_be_read_is_none(said: object):
    assert Frontier.of(plan_with({} if said is None else {"adabm": said})) is None
