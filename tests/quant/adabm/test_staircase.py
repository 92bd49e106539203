"""Costs of all bits from few looks, beside a clock whose costs are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.quant import networks
from tvmsr.quant.adabm.sites import sites_of
from tvmsr.quant.adabm.staircase import stairs
from tvmsr.quant.bits import Bits
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.widen import Clock

Cost = Callable[[int, int], float]


class Counted:
    """A clock of convolutions alone, by the bits that each reads and has. looks: how often it was asked."""

    def __init__(self, cost: Cost) -> None:
        self.cost, self.looks = cost, 0

    def __call__(self, graph: IntegerGraph) -> Mapping[str, float]:
        self.looks += 1
        bits = {"input": 8} | {node.name: getattr(node.output, "bits", 8) for node in graph}
        return {
            node.name: self.cost(bits[node.inputs[0]], node.weight_bits)
            for node in graph
            if node.weight_bits is not None
        }


@pytest.mark.parametrize(
    ("cost", "most"),
    [
        (lambda a, w: 10.0, 10),
        (lambda a, w: 7.0 if a <= 6 and w <= 5 else 10.0, 14),
        (lambda a, w: 10.0 - (w <= 4) - (a <= 5), 20),
    ],
)
def test_every_pair_of_bits(cost: Cost, most: int):
    model = networks.residual()
    plan = calibrate(model, [networks.picture(0)], max_drop=None, rounding=False)
    sites = [site for site in sites_of(model, plan) if site.readers]
    clock, ticks = Counted(cost), []
    found = stairs(model, plan, sites, Clock("made up", clock), lambda: ticks.append(1))
    looks = clock.looks
    whole = sum(clock(networks_graph(model, plan)).values())
    assert len(ticks) == 5 and looks <= most
    for site in sites:
        assert found[site.name].keys() == {Bits(a, w) for a in range(2, 9) for w in range(4, 9)}
        for bits, share in found[site.name].items():
            assert share == pytest.approx(len(site.readers) * cost(max(bits.activations, 4), bits.weights) / whole)


def networks_graph(model, plan) -> IntegerGraph:
    from tvmsr.quant.bind import bind

    return bind(model, plan)
