"""Bits by layer: which sites stay at 8 bits, and which of the others get one more or one fewer than the base."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tvmsr.quant.adabm.sites import FULL_BITS, LEAST_BITS, Site
from tvmsr.quant.adabm.table import SITE_BITS, Costs, Table
from tvmsr.quant.bits import Bits

#: Multiplications that may stay at 8 bits, as a share of the network's; how many times as large a share of the noise as
#: of what 8 bits cost more such layers have at least; and a share of the whole cost that is none.
MOST_KEPT, WORTH_KEEPING, LEAST_PRICE = 0.2, 1.0, 1e-6
#: What `layer_factors` is tried with.
CAUTIONS = (1.0, 4.0, 16.0)
#: The site of the convolutions that read the picture: 8 bits already, so only their weights can be kept.
PICTURE = "the picture"


def clamped(bits: int) -> int:
    return min(max(bits, LEAST_BITS), FULL_BITS)


def with_factor(table: Table, site: Site, base: Bits, factor: int) -> int:
    """Activation bits of a site: base plus factor, and what more costs nothing."""
    return table.free(site, Bits(clamped(base.activations + factor), base.weights))


def kept_sites(table: Table, base: Bits, picture: Site, most: float = MOST_KEPT) -> tuple[Site, ...]:
    """The sites whose readers stay at 8 bits, weights too: the most noise for what they cost first.

    Where one large layer does not fit behind smaller ones and carries more than these, it comes first. picture: the
    convolutions that read it, as a site of its own, with costs in the table. most: the share of all multiplications;
    layers that cost no more at 8 bits do not count. 0: none at all.
    """
    sites = (*table.sites, picture) if most > 0 else ()
    worth, price = ({site.name: of(table, site, base) for site in sites} for of in (_worth, _price))
    noise, cost = sum(worth.values()), sum(price.values())

    def is_worth_it(site: Site) -> bool:
        has_more = worth[site.name] * cost > WORTH_KEEPING * price[site.name] * noise
        return worth[site.name] > 0 and (has_more or price[site.name] == 0)

    ranked = sorted(filter(is_worth_it, sites), key=lambda s: worth[s.name] / max(price[s.name], 1e-12), reverse=True)
    shares = {site.name: site.macs if price[site.name] > 0 else 0.0 for site in sites}
    every = [_within(ranked, shares, most), *(_within([first, *ranked], shares, most) for first in ranked)]
    return max(every, key=lambda kept: sum(worth[site.name] for site in kept))


def _within(ranked: Iterable[Site], shares: Mapping[str, float], most: float) -> tuple[Site, ...]:
    """Each site once, as long as there is room for its share."""
    kept: dict[str, Site] = {}
    for site in ranked:
        if site.name not in kept and sum(shares[name] for name in kept) + shares[site.name] <= most:
            kept[site.name] = site
    return tuple(kept.values())


def _worth(table: Table, site: Site, base: Bits) -> float:
    """The noise that 8 bits save."""
    noise = table.noise.get(site.name)
    saved = 0.0 if noise is None else noise[with_factor(table, site, base, 0)] - noise[FULL_BITS]
    weights = (table.weights[name] for name in site.readers if name in table.weights)
    return saved + sum(one[base.weights] - one[FULL_BITS] for one in weights)


def _price(table: Table, site: Site, base: Bits) -> float:
    """What 8 bits cost more, at least 0. The picture has 8 bits already: only its readers' weights can cost."""
    cost = table.cost[site.name]
    now = FULL_BITS if site.name == PICTURE else with_factor(table, site, base, 0)
    more = cost[Bits(FULL_BITS, FULL_BITS)] - cost[Bits(now, base.weights)]
    return more if more > LEAST_PRICE else 0.0


@dataclass(frozen=True)
class _Step:
    """From one factor of a site to a higher one."""

    site: Site
    before: int
    factor: int
    saved: float
    cost: float

    @property
    def worth(self) -> float:
        return self.saved / self.cost if self.cost > 0 else float("inf")


def layer_factors(table: Table, sites: Sequence[Site], base: Bits, caution: float = 1.0) -> dict[str, int]:
    """Factors -1, 0, 1 by site: the least noise that costs no more than factor 0 everywhere does.

    The steps that save most noise for their cost are taken first, all others left out: best but for the last one.
    Factors that make no difference are 0. caution: how many times as much as measured alone the noise of a bit less is
    taken for, as at few bits the noise of layers that feed one stream is not independent.
    """
    budget = sum(_cost(table, site, base, 0) for site in sites)
    chosen = {site.name: _lowest(table, site, base) for site in sites}
    spent = sum(_cost(table, site, base, chosen[site.name]) for site in sites)
    for step in sorted(_steps(table, sites, base, caution), key=lambda s: s.worth, reverse=True):
        if chosen[step.site.name] == step.before and spent + step.cost <= budget * (1 + 1e-9):
            spent += step.cost
            chosen[step.site.name] = step.factor
    flat = dict.fromkeys(chosen, 0)
    return chosen if _noise(table, sites, base, chosen) < _noise(table, sites, base, flat) else flat


def weight_factors(
    table: Table, layers: Mapping[str, float], base: Bits, slower: Collection[str] = (), caution: float = 1.0
) -> dict[str, int]:
    """Factors -1, 0, 1 of weight bits by convolution: the least noise that has no more bits than the base in the mean.

    layers: by convolution, its share of what the mean is over; the table has the noise of their weights. slower: those
    that one bit more makes slower: they get none. caution: as of `layer_factors`, whose way this is.
    """
    sites = tuple(Site(name, (name,), (name,), share, (0.0, 1.0)) for name, share in layers.items())
    noise = {name: dict(table.weights[name]) for name in layers}
    for name in slower:
        noise[name][clamped(base.weights + 1)] = noise[name][base.weights]
    cost = {name: {Bits(bits, base.weights): share * bits for bits in SITE_BITS} for name, share in layers.items()}
    alone = Table(sites, noise, {}, cost, Costs.BITS)
    return layer_factors(alone, sites, Bits(base.weights, base.weights), caution)


def _lowest(table: Table, site: Site, base: Bits) -> int:
    """The least factor that makes a difference."""
    return -1 if with_factor(table, site, base, -1) < with_factor(table, site, base, 0) else 0


def _steps(table: Table, sites: Sequence[Site], base: Bits, caution: float) -> list[_Step]:
    found = []
    for site in sites:
        before = _lowest(table, site, base)
        ups = [factor for factor in (0, 1) if factor > before]
        steps = [_step(table, site, base, before, up, caution) for up in ups]
        if len(steps) == 2 and steps[1].worth > steps[0].worth:  # what lies between is not worth it alone
            found.append(steps[1])
            continue
        for up in ups:
            found.append(_step(table, site, base, before, up, caution))
            before = up
    return [step for step in found if step.saved > 0]


def _step(table: Table, site: Site, base: Bits, before: int, factor: int, caution: float) -> _Step:
    noise = {one: table.noise[site.name][with_factor(table, site, base, one)] for one in (before, 0, factor)}
    saved = caution * (noise[before] - noise[0]) + noise[0] - noise[factor]
    return _Step(site, before, factor, saved, _cost(table, site, base, factor) - _cost(table, site, base, before))


def _cost(table: Table, site: Site, base: Bits, factor: int) -> float:
    return table.cost[site.name][Bits(with_factor(table, site, base, factor), base.weights)]


def _noise(table: Table, sites: Sequence[Site], base: Bits, factors: Mapping[str, int]) -> float:
    return sum(table.noise[site.name][with_factor(table, site, base, factors[site.name])] for site in sites)
