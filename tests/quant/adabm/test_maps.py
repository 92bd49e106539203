"""Factors of layers and layers kept at 8 bits, against all there are."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tvmsr.quant.adabm.maps import PICTURE, kept_sites, layer_factors, weight_factors, with_factor
from tvmsr.quant.adabm.sites import Site
from tvmsr.quant.adabm.table import Costs, Table, bit_costs
from tvmsr.quant.bits import Bits

BASE = Bits(4, 8)


def site(name: str, macs: float = 0.1) -> Site:
    return Site(name, (name,), (f"{name} reader",), macs, (0.0, 1.0))


PICTURE_SITE = site(PICTURE, 0.02)


def table_of(noise: dict[str, float], macs: dict[str, float] | None = None, cost=None, weights=None) -> Table:
    """noise: of each site at the base bits."""
    sites = tuple(site(name, (macs or {}).get(name, 0.1)) for name in noise)
    by_bits = {name: {bits: value * 4.0 ** (4 - bits) for bits in range(2, 9)} for name, value in noise.items()}
    every = (*sites, PICTURE_SITE)
    costs = {one.name: cost for one in every} if cost else bit_costs(every, [4, 8])
    return Table(sites, by_bits, weights or {}, costs, Costs.BITS)


def summed(table: Table, base: Bits, factors) -> tuple[float, float]:
    bits = {one.name: with_factor(table, one, base, factors[one.name]) for one in table.sites}
    noise = sum(table.noise[name][width] for name, width in bits.items())
    return noise, sum(table.cost[name][Bits(width, base.weights)] for name, width in bits.items())


@pytest.mark.parametrize("seed", range(6))
def test_factors_are_next_to_the_best_that_cost_no_more(seed):
    rng = np.random.default_rng(seed)
    noise = {f"s{n}": float(rng.lognormal(sigma=2)) for n in range(6)}
    table = table_of(noise, {name: float(rng.choice([0.05, 0.1, 0.2])) for name in noise})
    found = layer_factors(table, table.sites, BASE)
    flat = summed(table, BASE, dict.fromkeys(noise, 0))
    every = (dict(zip(noise, some, strict=True)) for some in itertools.product((-1, 0, 1), repeat=6))
    best = min(summed(table, BASE, some)[0] for some in every if summed(table, BASE, some)[1] <= flat[1] + 1e-9)
    mine = summed(table, BASE, found)
    assert mine[1] <= flat[1] + 1e-9
    assert best <= mine[0] <= flat[0] and mine[0] <= best + 0.3 * (flat[0] - best)


def test_caution_gives_up_fewer_bits():
    table = table_of({"a": 10.0, "b": 5.0, "c": 0.5, "d": 0.01})
    assert layer_factors(table, table.sites, BASE) == {"a": 1, "b": 1, "c": -1, "d": -1}
    assert layer_factors(table, table.sites, BASE, 4.0) == {"a": 1, "b": 0, "c": 0, "d": -1}
    assert layer_factors(table, table.sites, BASE, 1e6) == {"a": 0, "b": 0, "c": 0, "d": 0}


def test_equal_sites_keep_the_base():
    table = table_of(dict.fromkeys("abcd", 1.0))
    assert layer_factors(table, table.sites, BASE) == dict.fromkeys("abcd", 0)


def test_on_a_staircase_bits_that_cost_nothing_are_taken_and_others_not_given_up():
    steps = {Bits(a, w): (1.0 if a > 6 else 0.7) for a in range(2, 9) for w in (4, 8)}
    table = table_of({"a": 100.0, "b": 1.0}, cost=steps)
    assert table.free(table.sites[0], Bits(4, 8)) == 6 and table.free(table.sites[0], Bits(7, 8)) == 8
    assert layer_factors(table, table.sites, BASE) == {"a": 0, "b": 0}
    assert with_factor(table, table.sites[0], BASE, 1) == 6
    assert layer_factors(table, table.sites, Bits(7, 8)) == {"a": 0, "b": 0}


def test_kept_are_the_noisiest_within_the_share():
    table = table_of({"a": 8.0, "b": 4.0, "c": 0.01, "d": 5.0}, {"a": 0.15, "b": 0.04, "c": 0.01, "d": 0.3})
    assert {one.name for one in kept_sites(table, BASE, PICTURE_SITE)} == {"a", "b"}
    assert [one.name for one in kept_sites(table, BASE, PICTURE_SITE, 0.1)] == ["b"]
    assert kept_sites(table, BASE, PICTURE_SITE, 0.0) == ()


def test_a_large_layer_comes_before_smaller_ones_that_carry_less():
    """By noise for their cost a and b come first, and leave no room for c."""
    noise, macs = {"a": 2.0, "b": 1.5, "c": 4.0, "d": 0.01}, {"a": 0.02, "b": 0.05, "c": 0.175, "d": 0.7}
    table = table_of(noise, macs)
    assert [one.name for one in kept_sites(table, BASE, PICTURE_SITE)] == ["c", "a"]
    assert [one.name for one in kept_sites(table, BASE, PICTURE_SITE, 0.1)] == ["a", "b"]


def test_weights_count_for_what_is_kept_and_no_noise_keeps_nothing():
    weights = {"the picture reader": {4: 9.0, 8: 0.1}, "a reader": {4: 0.1, 8: 0.0}}
    table = table_of({"a": 1.0}, {"a": 0.5}, weights=weights)
    (kept,) = kept_sites(table, Bits(4, 4), PICTURE_SITE)
    assert kept.name == PICTURE
    assert kept_sites(table_of({"a": 0.0, "b": 0.0}), BASE, PICTURE_SITE) == ()


def test_layers_that_take_as_long_at_8_bits_are_kept_beside_the_share():
    steps = {Bits(a, w): (1.0 if a > 6 and w > 4 else 0.7) for a in range(2, 9) for w in (4, 8)}
    weights = {name: {4: 1.0, 8: 0.0} for name in ("a reader", "b reader")}
    table = table_of({"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 0.5}, weights=weights)
    costs = {"a": steps, "b": dict.fromkeys(steps, 0.1), PICTURE: dict.fromkeys(steps, 0.1)}
    table = replace(table, cost=costs)
    assert [one.name for one in kept_sites(table, Bits(4, 4), PICTURE_SITE)] == ["b"]
    assert kept_sites(table, Bits(4, 4), PICTURE_SITE, 0.0) == ()


def weighed(noise: dict[str, float], base: int = 4) -> Table:
    """noise: of each convolution's weights at the base bits."""
    by_bits = {name: {bits: value * 4.0 ** (base - bits) for bits in range(2, 9)} for name, value in noise.items()}
    return table_of({}, weights=by_bits)


def test_weights_that_matter_more_have_a_bit_more_and_the_mean_stays():
    table = weighed({"a": 10.0, "b": 1.0, "c": 0.01, "d": 1.0})
    shares = {"a": 0.1, "b": 0.3, "c": 0.1, "d": 0.5}
    assert weight_factors(table, shares, Bits(6, 4)) == {"a": 1, "b": 0, "c": -1, "d": 0}
    assert weight_factors(table, {**shares, "c": 0.05}, Bits(6, 4), caution=100.0) == dict.fromkeys("abcd", 0)


def test_weights_that_a_bit_more_makes_slower_get_none():
    table = weighed({"a": 10.0, "b": 8.0, "c": 0.01})
    shares = dict.fromkeys("abc", 0.2)
    assert weight_factors(table, shares, Bits(6, 4)) == {"a": 1, "b": 0, "c": -1}
    assert weight_factors(table, shares, Bits(6, 4), {"a"}) == {"a": 0, "b": 1, "c": -1}
    assert not any(weight_factors(table, shares, Bits(6, 4), {"a", "b", "c"}).values())


@pytest.mark.parametrize("base", [2, 8])
def test_weights_have_2_to_8_bits(base):
    found = weight_factors(weighed({"a": 10.0, "b": 0.001}, base), {"a": 0.5, "b": 0.5}, Bits(6, base))
    assert not any(found.values())
