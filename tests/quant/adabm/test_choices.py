"""Thresholds of complexity, and what a choice says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.quant.adabm.choices import PUBLISHED, as_choice, choice_plan, thresholds_of
from tvmsr.quant.adabm.sites import sites_of
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.complexity import of_published
from tvmsr.quant.plan import AdaptivePlan


def test_thresholds_are_percentiles():
    found = thresholds_of(list(range(0, 1010, 10)))
    assert (found.low, found.high) == (100, 900) and "101 pictures" in found.words


@pytest.mark.parametrize(
    ("complexities", "why"),
    [
        ([], "the published ones, as only 0 pictures say too little"),
        ([7], "the published ones, widened to hold these, as only 1 picture says too little"),
        ([9] * 20, "pictures of which nearly all are as busy"),
        ([20000] * 20 + [9], "pictures of which nearly all are as busy"),
    ],
)
def test_few_or_alike_pictures_leave_the_published_ones(complexities, why):
    found = thresholds_of(complexities)
    low, high = (of_published(value) for value in PUBLISHED)
    assert found.low == min([low, *complexities]) and found.high == high and why in found.words


def test_two_complexities_give_ordered_thresholds():
    found = thresholds_of([5] * 10 + [6] * 10)
    assert (found.low, found.high) == (5, 6)
    AdaptivePlan(low=found.low, high=found.high, choices=[{"name": "fewer", "factor": -1}])  # type: ignore[list-item]


def test_a_choice_says_what_differs_and_is_the_plan_that_it_came_from():
    model = networks.residual(blocks=1)
    plan = calibrate(model, [networks.picture()], bits="a6w4", rounding=False)
    site = next(one for one in sites_of(model, plan) if one.name == "head.read")
    alone = choice_plan(plan, [site], {site.name: 5}, {site.name: (-0.5, 0.5)}, -1)
    layer = plan.layers["last"].model_copy(update={"bias_correction": [0.25] * 3})
    alone = alone.model_copy(update={"layers": {**alone.layers, "last": layer}})
    choice = as_choice(alone, plan, -1)
    assert [*choice.tensors, *choice.reads] == ["head"] and list(choice.layers) == ["last"]
    whole = plan.model_copy(update={"adaptive": AdaptivePlan(low=1, high=2, choices=[choice])})
    back = whole.of_choice(1)
    assert back.tensors == alone.tensors and back.reads == alone.reads and back.layers == alone.layers
    assert back.bits == "a6w4 -1" and np.isclose(back.reads["head"].high, 0.5)
