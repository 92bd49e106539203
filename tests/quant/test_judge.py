"""What a plan loses: the drop to expect and the PSNR against the FP32 output are one figure."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.graph.analysis import macs_per_pixel
from tvmsr.graph.model import Activation
from tvmsr.quant import judge
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.judge import (
    FEW_CROPS,
    LEAST_CROPS,
    LEAST_JUDGED,
    TYPICAL_ERROR,
    affordable,
    expected_drop,
    few,
    few_for,
    least_psnr,
    make_judge,
    psnr_of,
)
from tvmsr.quant.plan import PlanError

CROPS = [networks.picture(s) for s in range(6)]


@pytest.mark.parametrize("scale", TYPICAL_ERROR)
@pytest.mark.parametrize("drop", [0.01, 0.05, 0.1, 1.0])
def test_a_drop_is_a_psnr_against_the_fp32_output(scale, drop):
    typical = 10 * math.log10(255**2 / TYPICAL_ERROR[scale])
    least = least_psnr(drop, scale)
    assert least == pytest.approx(typical - 10 * math.log10(10 ** (drop / 10) - 1))
    assert expected_drop(255**2 / 10 ** (least / 10), scale) == pytest.approx(drop)


def test_the_figures_of_the_page():
    """docs/calibration.md."""
    table = {0.02: [61.2, 57.2, 55.3], 0.05: [57.2, 53.2, 51.3], 0.1: [54.1, 50.1, 48.2]}
    for drop, row in table.items():
        assert [round(least_psnr(drop, scale), 1) for scale in (2, 3, 4)] == row
    assert round(expected_drop(255**2 / 10**5.72, 2), 2) == 0.05
    assert psnr_of(0.0) == psnr_of(-0.1) == 100.0


def test_large_networks_are_judged_on_less(monkeypatch):
    model, crops = networks.plain(), [np.zeros((96, 80, 3), np.uint8)] * 8
    macs = float(macs_per_pixel(model.graph))
    assert [crop.shape for crop in affordable(crops, model)] == [(96, 80, 3)] * 8
    monkeypatch.setattr(judge, "JUDGED_WORK", macs * 8 * 64**2)
    assert [crop.shape for crop in affordable(crops, model)] == [(64, 64, 3)] * 8
    monkeypatch.setattr(judge, "JUDGED_WORK", 1.0)
    assert affordable(crops, model)[0].shape == (LEAST_JUDGED, LEAST_JUDGED, 3)
    assert few_for(model, 10) == FEW_CROPS == len(few(crops, few_for(model, 10)))
    monkeypatch.setattr(judge, "REPEATED_WORK", macs * 10 * 48**2 * 3)
    assert few_for(model, 10) == 3
    assert few_for(model, 1000) == LEAST_CROPS


def test_networks_without_a_convolution_are_judged():
    b, crops = networks.Builder(), [np.full((24, 20, 3), 7, np.uint8)]
    model = b.model(b.activate("dark", "input", Activation.SQUARE), 1)
    assert affordable(crops, model)[0].shape == (24, 20, 3)
    assert calibrate(model, crops, held=crops).judged.drop == 0.0
    moved = networks.Builder()
    with pytest.raises(PlanError, match="the model's output is its input"):
        calibrate(moved.model(moved.gather("all", "input", [2, 1, 0]), 1), crops)


@pytest.mark.parametrize("name", ["residual", "split_concat", "tables"])
def test_noise_beside_a_known_plan_is_its_noise(name):
    model = networks.ALL[name]()
    plan = calibrate(model, CROPS, max_drop=None, rounding=False)
    other = calibrate(model, CROPS, bits="a6w8", max_drop=None, rounding=False)
    judged = make_judge(model, CROPS[:3])
    known = judged.known(plan)
    assert judged.noise_of(known) == judged.noise(plan) == judged.noise_beside(plan, known)
    assert judged.noise_beside(other, known) == judged.noise(other) != judged.noise(plan)
