"""Ranges drawn in for few bits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.quant.adabm.clips import SHARES, best_range, clips_of, stark
from tvmsr.quant.adabm.sites import sites_of
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.ranges import BINS, Histogram, rounding_error

PICTURES = [networks.picture(seed) for seed in range(2)]


def bell(low: float, high: float) -> Histogram:
    histogram = Histogram(low, high, np.zeros(BINS))
    return Histogram(low, high, 1e4 * np.exp(-0.5 * histogram.centres**2))


@pytest.mark.parametrize("bits", [2, 4])
def test_no_pair_of_ends_is_better_than_those_found_in_turns(bits):
    histogram = bell(-4.0, 6.0)
    (low, high), error = best_range(histogram, bits)
    every = [rounding_error(histogram, low_ * -4.0, high_ * 6.0, bits) for low_ in SHARES for high_ in SHARES]
    assert error == rounding_error(histogram, low, high, bits) <= 1.02 * min(every)


def test_fewer_bits_cover_less_and_err_more():
    found = [best_range(bell(-6.0, 6.0), bits) for bits in (2, 4, 6, 8)]
    widths = [high - low for (low, high), _ in found]
    errors = [error for _, error in found]
    assert widths == sorted(widths) and widths[0] < 0.6 * widths[-1]
    assert errors == sorted(errors, reverse=True)


def test_values_that_are_all_alike_have_a_range_and_an_error():
    flat = Histogram(0.0, 0.0, np.zeros(BINS))
    (low, high), error = best_range(flat, 4)
    assert (low, high, error) == (0.0, 0.0, 0.0)


def test_strength_goes_from_what_was_seen_to_the_best():
    model = networks.residual(blocks=1)
    plan = calibrate(model, PICTURES, bits="a4w8", rounding=False)
    sites = sites_of(model, plan)
    clips = clips_of(model.graph, plan, sites, PICTURES, lambda: None)
    bits = {site.name: 3 for site in sites}
    none, half, full = (clips.drawn_in(sites, bits, strength) for strength in (0.0, 0.5, 1.0))
    for site in sites:
        assert none[site.name] == site.range and full[site.name] == clips.ranges[site.name][3]
        assert half[site.name] == pytest.approx(np.mean([site.range, full[site.name]], axis=0))
        assert list(clips.errors[site.name]) == [2, 3, 4, 5, 6, 7, 8]
        assert clips.errors[site.name][3] > clips.errors[site.name][6] > 0
    eight = {site.name: 8 for site in sites}
    assert clips.drawn_in(sites, eight, 1.0) == {site.name: site.range for site in sites}


def test_a_stark_picture_is_black_and_white():
    seen = stark(PICTURES[0])
    assert seen.shape == PICTURES[0].shape and seen.dtype == np.uint8
    assert set(np.unique(seen)) == {0, 255} and 0.3 < (seen == 255).mean() < 0.6
    assert (stark(np.full((3, 3, 3), 7, np.uint8)) == 0).all()
