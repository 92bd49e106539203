"""Bit-aware clipping: the fewer bits a site has, the narrower the range that its codes lie best in.

Ranges come from histograms of what the FP32 network holds there: each end is drawn in on its own until the mean square
difference between values and codes is least. Published AdaBM draws both in alike, on two crops. Photographs alone would
draw ranges in so far that print and drawings saturate: some of the crops are seen in black and white, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import Graph
from tvmsr.quant.adabm.sites import FULL_BITS, LEAST_BITS, Range, Site
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import Histogram, Watched, observe_histograms, rounding_error
from tvmsr.quant.structure import READ_SUFFIX

U8 = NDArray[np.uint8]

#: One crop in so many is seen as a stark one, too.
STARK_EVERY = 16
#: Shares of an end that are tried, in turns with those of the other: as often as it takes, which is twice or so.
SHARES = tuple(1 - 0.04 * step for step in range(24))
MOST_TURNS = 4


@dataclass(frozen=True, eq=False)
class Clips:
    """By site and bits: the range with the least error, and that error: a mean square, in the units of the plan."""

    ranges: Mapping[str, Mapping[int, Range]]
    errors: Mapping[str, Mapping[int, float]]

    def drawn_in(self, sites: Sequence[Site], bits: Mapping[str, int], strength: float) -> dict[str, Range]:
        """Ranges of sites at these bits. strength: 0 leaves them, 1 takes the best ones; published is 0.5.

        At 8 bits they stay: finer codes gain less than what is cut off can cost on pictures of another kind.
        """
        found = {}
        for site in sites:
            best = self.ranges[site.name][bits[site.name]] if bits[site.name] < FULL_BITS else site.range
            low, high = (full + strength * (end - full) for full, end in zip(site.range, best, strict=True))
            found[site.name] = (low, high)
        return found


def clips_of(graph: Graph, plan: Plan, sites: Sequence[Site], crops: Sequence[U8], done: Callable[[], None]) -> Clips:
    """Measured on LR crops, uint8 (H, W, 3), of a size that the network runs on. `done` is called after each."""
    watched = [Watched(_watched(plan, site), *site.range) for site in sites]
    seen = [*crops, *(stark(crop) for crop in crops[::STARK_EVERY])]
    histograms = observe_histograms(graph, seen, watched, done)
    ranges: dict[str, dict[int, Range]] = {}
    errors: dict[str, dict[int, float]] = {}
    for site, histogram in zip(sites, histograms, strict=True):
        total = max(float(histogram.counts.sum()), 1.0)
        ranges[site.name], errors[site.name] = {}, {}
        for bits in range(LEAST_BITS, FULL_BITS + 1):
            best, error = best_range(histogram, bits)
            ranges[site.name][bits], errors[site.name][bits] = best, error / total
    return Clips(ranges, errors)


def stark(crop: U8) -> U8:
    """The crop in black and white, each channel for itself: as far from one pixel to the next as pictures can go."""
    return np.where(crop > np.median(crop, axis=(0, 1)), np.uint8(255), np.uint8(0))


def best_range(histogram: Histogram, bits: int) -> tuple[Range, float]:
    """The range within the histogram's whose codes lie nearest to the values, and the sum of squared differences."""
    ends = [histogram.low, histogram.high]
    best = rounding_error(histogram, ends[0], ends[1], bits)
    for _ in range(MOST_TURNS):
        before = best
        for end, whole in enumerate((histogram.low, histogram.high)):
            for share in SHARES if whole else ():
                tried = [*ends]
                tried[end] = share * whole
                error = rounding_error(histogram, tried[0], tried[1], bits)
                if error < best:
                    best, ends = error, tried
        if best == before:
            break
    return (float(ends[0]), float(ends[1])), best


def _watched(plan: Plan, site: Site) -> dict[str, NDArray[np.float64]]:
    """The tensors of a site with their factors per channel."""
    found = {}
    for slot in site.slots:
        name = slot if slot in plan.tensors else slot.removesuffix(READ_SUFFIX)
        code = plan.tensors[name] if slot in plan.tensors else plan.reads[name]
        found[name] = np.ones(1) if code.equal is None else np.asarray(code.equal, np.float64)
    return found
