"""Bits by picture: the choices beside a plan, and the complexities that decide between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tvmsr.quant.adabm.sites import Range, Site, with_bits
from tvmsr.quant.complexity import of_published
from tvmsr.quant.plan import ChoiceCode, ChoiceLayer, ChoicePlan, Plan

#: Pictures below the first and above the second percentile of the complexities get a bit less and a bit more.
PERCENTILES = (10.0, 90.0)
#: Thresholds of the published AdaBM on DIV2K, in its own unit: what there is where fewer pictures tell too little.
PUBLISHED = (9.39, 47.11)
LEAST_PICTURES = 5
#: What `--choice` calls them, by factor.
NAMES: Mapping[int, str] = {-1: "fewer", 0: "base", 1: "more"}


@dataclass(frozen=True)
class Thresholds:
    """Complexities below and above which a picture has the factor -1 and 1. words: where they come from."""

    low: int
    high: int
    words: str


def parting(complexities: Sequence[int]) -> tuple[int, int] | None:
    """PERCENTILES of complexities, rounded; None of so few or so like ones that they tell too little.

    Alike are those of which nearly all are as busy: both would be the same, and leave the base no picture.
    """
    if len(complexities) < LEAST_PICTURES:
        return None
    low, high = (round(float(value)) for value in np.percentile(complexities, PERCENTILES))
    return (low, high) if low < high else None


def thresholds_of(complexities: Sequence[int]) -> Thresholds:
    """From those of the calibration pictures. Of few or alike ones: the published ones, widened to hold all of them."""
    count, found = len(complexities), parting(complexities)
    if found is None:
        pictures = f"only {count} picture{'' if count == 1 else 's'}"
        why = pictures if count < LEAST_PICTURES else "pictures of which nearly all are as busy"
        published = [of_published(value) for value in PUBLISHED]
        low, high = min([published[0], *complexities]), max([published[1], *complexities])
        what = "the published ones" if [low, high] == published else "the published ones, widened to hold these"
        says = "says" if count == 1 else "say"
        return Thresholds(low, high, f"{what}, as {why} {says} too little: calibrate with more and other ones")
    return Thresholds(*found, f"percentiles {PERCENTILES[0]:g} and {PERCENTILES[1]:g} of {count} pictures")


def choice_plan(
    plan: Plan, sites: Sequence[Site], bits: Mapping[str, int], ranges: Mapping[str, Range], factor: int
) -> Plan:
    """The plan of one choice alone: other bits and ranges at its sites, the weights the plan's."""
    reasons = {name: f"{width} activation bits: image factor {factor:+d}" for name, width in bits.items()}
    changed = with_bits(plan, sites, bits, ranges, reasons)
    return changed.model_copy(update={"bits": f"{plan.bits} {factor:+d}"})


def as_choice(alone: Plan, plan: Plan, factor: Literal[-1, 1]) -> ChoicePlan:
    """What differs from the plan in that of a choice alone."""
    changed = {
        field: {
            name: ChoiceCode(**code.model_dump(exclude={"equal"}))
            for name, code in getattr(alone, field).items()
            if code != getattr(plan, field)[name]
        }
        for field in ("tensors", "reads")
    }
    layers = {
        name: ChoiceLayer(bias_correction=layer.bias_correction)
        for name, layer in alone.layers.items()
        if layer.bias_correction != plan.layers[name].bias_correction
    }
    return ChoicePlan(name=NAMES[factor], factor=factor, bits=alone.bits, layers=layers, **changed)
