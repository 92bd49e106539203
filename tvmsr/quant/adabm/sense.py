"""What sites and weights are to the output, the way that was asked for, and the crops that it is looked at on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.analysis import macs_per_pixel, size_rule
from tvmsr.graph.model import Model
from tvmsr.quant.adabm.adaptation import Adaptation
from tvmsr.quant.adabm.alone import Exact
from tvmsr.quant.adabm.clips import Clips
from tvmsr.quant.adabm.sites import Site
from tvmsr.quant.adabm.table import (
    ROUNDED,
    Sensitivity,
    by_site_bits,
    by_weight_bits,
    measured_noise,
    measured_weights,
    site_changes,
    weight_changes,
)
from tvmsr.quant.bits import Bits
from tvmsr.quant.draft import ticker
from tvmsr.quant.judge import LEAST_CROPS, REPEATED_WORK, few, few_for, middle
from tvmsr.quant.picture import fitted
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import spaced

if TYPE_CHECKING:
    from tvmsr.quant.calibrate import Draft

U8 = NDArray[np.uint8]

#: Histograms are of so many crops, at most so many pixels a side, and gradients, too, of networks that are not large.
SEEN_CROPS, SEEN_SIZE = 16, 64
#: A gradient computes the network and back from there, to values and to weights.
GRADIENT_PASSES = 3
#: Tells weights from sites, which are named after convolutions, too.
WEIGHTS_SUFFIX = ".weights"


@dataclass(frozen=True, eq=False)
class Sensed:
    """Noise in squared gray levels. sites: {site: {activation bits: ...}}; weights: {convolution: {weight bits: ...}}.

    Of weights it is what is left once they are rounded against data.
    """

    sites: Mapping[str, Mapping[int, float]]
    weights: Mapping[str, Mapping[int, float]]


def sensed(
    draft: Draft, how: Adaptation, plan: Plan, sites: Sequence[Site], clips: Clips, layers: Sequence[str], bits: Bits
) -> Sensed:
    """Of sites and of the weights of these convolutions, at all bits, as measured at `bits`."""
    if how.sensitivity is Sensitivity.GRADIENT:
        return _by_gradient(draft, plan, sites, clips, layers, bits)
    steps = len(sites) + len(layers)
    done = ticker(draft.progress, "sensitivity", steps)
    exact = Exact.of(draft.model, few_crops(draft, steps))
    noise = measured_noise(plan, sites, clips, exact, bits.activations, done)
    return Sensed(noise, measured_weights(draft.model, plan, layers, exact, bits.weights, done))


def _by_gradient(
    draft: Draft, plan: Plan, sites: Sequence[Site], clips: Clips, layers: Sequence[str], bits: Bits
) -> Sensed:
    from tvmsr.quant.adabm.gradient import gradient_noise
    from tvmsr.quant.learned.tune import settled

    crops = spaced(middles(draft), _gradient_crops(draft.model))
    done = ticker(draft.progress, "sensitivity", len(crops))
    of_sites = site_changes(plan, sites, clips, bits.activations)
    of_weights = weight_changes(draft.model, plan, layers, bits.weights)
    changes = of_sites | {name + WEIGHTS_SUFFIX: change for name, change in of_weights.items()}
    with settled():
        found = gradient_noise(draft.model, changes, crops, draft.seed, done)
    noise = {name: found[name] for name in of_sites}
    weights = {name: ROUNDED * found[name + WEIGHTS_SUFFIX] for name in of_weights}
    return Sensed(by_site_bits(noise, clips, bits.activations), by_weight_bits(weights, bits.weights))


def _gradient_crops(model: Model) -> int:
    """How many crops a gradient may be of: fewer where the network is large."""
    once = float(macs_per_pixel(model.graph)) * SEEN_SIZE**2 * GRADIENT_PASSES
    return int(np.clip(REPEATED_WORK / max(once, 1.0), LEAST_CROPS, SEEN_CROPS))


def middles(draft: Draft) -> list[U8]:
    """Of the draft's crops, uint8 (H, W, 3), of a size that the network runs on."""
    rule = size_rule(draft.model.graph)
    return [fitted(middle(crop, SEEN_SIZE), rule) for crop in spaced(draft.crops, SEEN_CROPS)]


def few_crops(draft: Draft, times: int) -> list[U8]:
    """Of the draft's crops what can be looked at so many times, of a size that the network runs on."""
    rule = size_rule(draft.model.graph)
    return [fitted(crop, rule) for crop in few(draft.crops, few_for(draft.model, times))]
