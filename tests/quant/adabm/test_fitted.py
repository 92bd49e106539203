"""Fitted thresholds: no more cost, no factor without pictures, least noise, and only where crops held back agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quant import networks
from tvmsr.quant.adabm import fitted, words
from tvmsr.quant.adabm.choices import thresholds_of
from tvmsr.quant.adabm.figures import figures
from tvmsr.quant.adabm.fitted import LEAST, MOST, Pictures, lines_of, with_fitted
from tvmsr.quant.adaptive import choosing_of
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.complexity import complexity, of_published
from tvmsr.quant.judge import make_judge, middle

#: From flat to busy.
CROPS, HELD = (
    [np.clip(128 + strength * (networks.picture(s) - 128.0), 0, 255).astype(np.uint8)
     for s, strength in enumerate(np.geomspace(0.1, 1, count), first)]
    for first, count in ((0, 8), (20, 7))
)  # fmt: skip
SPREAD = [of_published(value) for value in np.geomspace(2, 90, 60)]
COSTS = np.array([0.3, 0.4, 0.55])


def lines(slope: float) -> np.ndarray:
    """Each bit takes three quarters of the noise away, which rises so with complexity."""
    return np.array([[np.log(4.0), 0.0, -np.log(4.0)], [slope] * 3])


def exact(complexities: list[int], slope: float, low: int, high: int) -> float:
    """The mean noise, picture by picture."""
    noises = [
        np.exp(lines(slope)[:, 0 if one < low else 2 if one > high else 1] @ [1, np.log(max(one, fitted.LEAST_BUSY))])
        for one in complexities
    ]
    return float(np.mean(noises))


@given(
    st.lists(st.integers(0, 80000), min_size=5, max_size=80),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)
def test_thresholds_cost_no_more_and_leave_no_factor_without_pictures(complexities, less, more):
    pictures = Pictures(np.array(complexities, float), np.array([1 - less, 1, 1 + more]))
    now = thresholds_of(complexities)
    limit = pictures.cost(now.low, now.high)
    for low, high in pictures.candidates(limit):
        assert low < high and pictures.cost(low, high) <= limit + 1e-9
        shares = [np.mean([one < low for one in complexities]), np.mean([one > high for one in complexities])]
        assert min(*shares, 1 - sum(shares)) >= LEAST / 100 and max(shares) <= MOST / 100 + 1 / len(complexities)


@pytest.mark.parametrize("slope", [0.2, 0.5, 0.8, 1.0, 3.0])
def test_the_best_share_of_busy_pictures_is_found(slope, monkeypatch):
    """The last busy picture saves 3/4 of its noise, the 1.5 flat ones that pay for it get 3 times theirs more.

    So at the best share b of busy ones, beside 1.5 * b - 0.05 of flat ones (a tenth of each is what may be spent),
    their noises differ by 6 = 45**(slope * (1.05 - 2.5 * b)): logarithms of complexities are even over a range of 45.
    """
    monkeypatch.setattr(fitted, "LEAST_LESS", 1e-9)
    pictures = Pictures(np.array(SPREAD, float), COSTS)
    now = thresholds_of(SPREAD)
    limit = pictures.cost(now.low, now.high)
    tried = [*pictures.candidates(limit), (now.low, now.high)]
    assert len(tried) > 10
    for pair in tried:
        assert pictures.noise(lines(slope), *pair) == pytest.approx(exact(SPREAD, slope, *pair))
    found = fitted._better(pictures, lines(slope), lines(slope), (now.low, now.high))
    best = min(tried, key=lambda pair: exact(SPREAD, slope, *pair))
    assert found is not None and (found.low, found.high) == best
    busy = np.mean([one > found.high for one in SPREAD])
    ideal = (1.05 - np.log(6) / (slope * np.log(45))) / 2.5
    most = (MOST / 100 + 0.05) / 1.5
    assert busy == pytest.approx(np.clip(ideal, LEAST / 100, most), abs=1.1 / len(SPREAD))


def test_crops_held_back_decide(monkeypatch):
    monkeypatch.setattr(fitted, "LEAST_LESS", 1e-9)
    pictures, now = Pictures(np.array(SPREAD, float), COSTS), thresholds_of(SPREAD)
    before = now.low, now.high
    one, other = (fitted._better(pictures, lines(slope), lines(slope), before) for slope in (3.0, 0.9))
    assert (one.low, one.high) != (other.low, other.high)
    found = fitted._better(pictures, lines(3.0), lines(0.9), before)
    assert (found.low, found.high) == (one.low, one.high)
    assert fitted._better(pictures, lines(3.0), lines(-1.0), before) is None
    assert fitted._better(pictures, lines(3.0), lines(3.0), (one.low, one.high)) is None


def test_little_is_not_taken(monkeypatch):
    """What lines over a few crops say of a per cent is chance."""
    pictures, now = Pictures(np.array(SPREAD, float), COSTS), thresholds_of(SPREAD)
    found = fitted._better(pictures, lines(1.0), lines(0.75), (now.low, now.high))
    assert found is None
    monkeypatch.setattr(fitted, "LEAST_LESS", 0.0)
    assert fitted._better(pictures, lines(1.0), lines(0.75), (now.low, now.high)) is not None


def test_lines_are_those_of_the_noise():
    true, complexities = np.array([[1.0, -2.0], [0.5, 1.5]]), SPREAD[5:20]
    noises = np.exp(np.stack([np.ones(15), np.log(complexities)], axis=1) @ true)
    assert lines_of(complexities, noises) == pytest.approx(true)
    white = lines_of([0, *complexities], np.concatenate([[[0.0, 0.0]], noises]))
    assert white == pytest.approx(true)


@pytest.mark.parametrize("complexities", [[9000] * 15, np.geomspace(9000, 12000, 15), [0] * 10 + SPREAD[15:20], []])
def test_no_lines_over_crops_that_are_alike_or_few(complexities):
    assert lines_of([int(one) for one in complexities], np.ones((len(complexities), 3))) is None


@pytest.fixture(scope="module")
def made():
    """Choices for flat and busy pictures."""
    model = networks.residual(1)
    plan = calibrate(model, CROPS, bits="auto:a4w4", costs="bits", held=HELD, kept=0.0, complexities=SPREAD)
    assert choosing_of(plan).factors == (0, -1, 1)
    return model, plan


def test_a_plan_gets_thresholds_and_a_note(made, monkeypatch):
    """By lines of the crops that find them, and of those that were held back."""
    model, plan = made
    order = [choosing_of(plan).factors.index(factor) for factor in (-1, 0, 1)]
    costs = [figures(model, plan, number).bit_operations for number in order]
    given = {len(CROPS): lines(3.0), len(HELD): lines(0.9)}
    monkeypatch.setattr(fitted, "_lines", lambda model, plan, order, crops, done: given[len(crops)])
    found = with_fitted(model, plan, CROPS, HELD, SPREAD)
    new, old = choosing_of(found), choosing_of(plan)
    pictures = Pictures(np.array(SPREAD, float), np.array(costs))
    assert pictures.cost(new.low, new.high) <= pictures.cost(old.low, old.high) + 1e-9
    wanted = fitted._better(pictures, lines(3.0), lines(0.9), (old.low, old.high))
    assert (new.low, new.high) == (wanted.low, wanted.high) != (old.low, old.high)
    (note,) = [note for note in found.notes if note.startswith(words.THRESHOLDS)]
    assert f"below complexity {new.low} and busy above {new.high}" in note and wanted.words in note
    assert "of 60 pictures, fitted, in the place of 10% and 10%" in note
    assert found.model_copy(update={"adaptive": plan.adaptive, "notes": plan.notes}) == plan
    given[len(HELD)] = lines(-1.0)
    assert with_fitted(model, plan, CROPS, HELD, SPREAD).notes == [*plan.notes, words.NOT_BETTER]


def test_crops_say_what_choices_lose(made, monkeypatch):
    """Measured: of each choice alone, by the reference executor, on what of a crop is judged."""
    model, plan = made
    monkeypatch.setattr("tvmsr.quant.judge.JUDGED_WORK", 0.0)
    monkeypatch.setattr("tvmsr.quant.judge.LEAST_JUDGED", 20)
    ticks = []
    measured = fitted._lines(model, plan, [1, 0, 2], HELD, lambda: ticks.append(1))
    middles = [middle(crop, 20) for crop in HELD]
    assert len(ticks) == 3 and middles[0].shape != HELD[0].shape
    alone = [make_judge(model, middles).noises(plan.of_choice(number)) for number in (1, 0, 2)]
    assert np.array_equal(measured, lines_of([complexity(crop) for crop in middles], np.array(alone).T))


def test_the_same_crops_give_the_same_thresholds(made):
    model, plan = made
    ticks = []
    found = with_fitted(model, plan, CROPS, HELD, SPREAD, lambda *args: ticks.append(args))
    assert ticks == [("thresholds", number, 6) for number in range(1, 7)]
    assert found == with_fitted(model, plan, CROPS, HELD, SPREAD)
    moved = choosing_of(found) != choosing_of(plan)
    assert moved is (words.NOT_BETTER not in found.notes)


def test_what_there_is_no_choice_in_stays(made):
    model, plan = made
    one = plan.adaptive.model_copy(update={"choices": plan.adaptive.choices[:1]})
    bound = plan.model_copy(update={"adaptive": one})
    assert with_fitted(model, bound, CROPS, HELD, SPREAD).notes == [*plan.notes, words.ONE_SIDED]
    for few in (SPREAD[:4], [SPREAD[30]] * 50):
        assert with_fitted(model, plan, CROPS, HELD, few).notes == [*plan.notes, words.NO_SPREAD]
    without = plan.model_copy(update={"adaptive": None})
    assert with_fitted(model, without, CROPS, HELD, SPREAD) is without
    for crops, held in (([CROPS[0]] * 8, HELD), (CROPS, [])):
        assert with_fitted(model, plan, crops, held, SPREAD).notes == [*plan.notes, words.NO_LINES]
