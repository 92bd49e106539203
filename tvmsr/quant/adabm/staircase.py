"""What sites cost at every pair of activation and weight bits, from few looks: modelled time falls in steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tvmsr.graph.model import Model
from tvmsr.quant.adabm.sites import FULL_BITS, LEAST_BITS, Site, with_bits, with_weight_bits
from tvmsr.quant.bind import bind
from tvmsr.quant.bits import Bits
from tvmsr.quant.plan import Plan
from tvmsr.quant.widen import Clock

#: Fewer bits than these are never faster: no kernel has a use for them (docs/kernels.md).
LEAST_FASTER = 4

Shares = Mapping[str, float]


def stairs(
    model: Model, plan: Plan, sites: Sequence[Site], clock: Clock, done: Callable[[], None] = lambda: None
) -> dict[str, dict[Bits, float]]:
    """{site: {bits: modelled time of the convolutions that read it}}, as shares of the whole network's at 8 bits.

    plan: with 8 bits at the sites. Looked at are plans with the same bits at all sites; between two activation bits at
    which all cost the same, they cost that. For 4 to 8 weight bits; below 4 activation bits, what 4 cost. `done` is
    called after each weight bits. Raises WorkError where the network cannot be compiled.
    """
    layers = [name for site in sites for name in site.readers]
    whole = 0.0

    def look(weighed: Plan, activations: int) -> Shares:
        nonlocal whole
        cycles = clock.cycles(bind(model, with_bits(weighed, sites, {site.name: activations for site in sites})))
        whole = whole or sum(cycles.values())
        return {site.name: sum(cycles.get(name, 0.0) for name in site.readers) / whole for site in sites}

    found: dict[str, dict[Bits, float]] = {site.name: {} for site in sites}
    for weights in range(FULL_BITS, LEAST_FASTER - 1, -1):
        weighed = plan if weights == FULL_BITS else with_weight_bits(model, plan, dict.fromkeys(layers, weights))
        for activations, costs in _row(lambda bits, weighed=weighed: look(weighed, bits)).items():  # type: ignore[misc]
            for name, cost in costs.items():
                found[name][Bits(activations, weights)] = cost
        done()
    return found


def _row(look: Callable[[int], Shares]) -> dict[int, Shares]:
    """By activation bits: all of them, looked at only where ends of what is between them differ."""
    known = {bits: look(bits) for bits in (FULL_BITS, LEAST_FASTER)}

    def fill(low: int, high: int) -> None:
        if high - low < 2:
            return
        if known[low] == known[high]:
            known.update(dict.fromkeys(range(low + 1, high), known[low]))
            return
        middle = (low + high) // 2
        known[middle] = look(middle)
        fill(low, middle)
        fill(middle, high)

    fill(LEAST_FASTER, FULL_BITS)
    return known | dict.fromkeys(range(LEAST_BITS, LEAST_FASTER), known[LEAST_FASTER])
