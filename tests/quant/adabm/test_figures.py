"""Average bits and shares, against sums by hand."""

from __future__ import annotations

import pytest

from tests.quant import networks
from tests.quant.adaptive_plans import adaptive_plan
from tvmsr.graph.analysis import macs_by_node
from tvmsr.quant.adabm.figures import SETTINGS, figures
from tvmsr.quant.calibrate import calibrate


def test_figures_of_a_plan():
    model = networks.plain()
    plan = calibrate(model, [networks.picture()], bits="a6w4", rounding=False)
    for edited in (3, {"kept": 3}, {"kept": [["c1"]]}):
        assert figures(model, plan.model_copy(update={"settings": {SETTINGS: edited}})) == figures(model, plan)
    plan = plan.model_copy(update={"settings": {SETTINGS: {"kept": ["c1"]}}})
    found, macs = figures(model, plan), {name: float(n) for name, n in macs_by_node(model.graph).items()}
    whole = sum(macs.values())
    assert {name: (one.activations, one.weights, one.kept) for name, one in found.layers.items()} == {
        "c0": (8, 4, True), "c1": (6, 4, True), "c2": (6, 4, False),
    }  # fmt: skip
    assert found.fab == pytest.approx(20 / 3) and found.adapted_fab == 6
    assert found.activations == pytest.approx((8 * macs["c0"] + 6 * macs["c1"] + 6 * macs["c2"]) / whole)
    assert found.weights == pytest.approx(4) and found.at_8_bits == 0
    assert found.bit_operations == pytest.approx(found.activations * 4 / 64)
    assert found.kept == pytest.approx((macs["c0"] + macs["c1"]) / whole)


def test_figures_of_choices_and_of_8_bits():
    model = networks.residual(blocks=1)
    plan = adaptive_plan(model, (4, 6, 8), weight_bits=8)
    fabs = [figures(model, plan, choice).adapted_fab for choice in range(3)]
    assert fabs[1] < fabs[0] < fabs[2]
    with pytest.raises(IndexError):
        figures(model, plan, 3)
    eight = figures(model, calibrate(model, [networks.picture()], rounding=False, max_drop=None))
    assert (eight.fab, eight.adapted_fab, eight.bit_operations) == (8, 8, 1)
    assert eight.at_8_bits == pytest.approx(1)
