"""Costs and noise by site and bits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.graph.execute import run_fp32
from tvmsr.quant.adabm.alone import Exact
from tvmsr.quant.adabm.clips import clips_of
from tvmsr.quant.adabm.sites import sites_of, with_bits, with_weight_bits
from tvmsr.quant.adabm.table import (
    SITE_BITS,
    bit_costs,
    cost_of,
    deviations,
    measured_noise,
    measured_weights,
    time_costs,
)
from tvmsr.quant.bits import Bits
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.ranges import as_float
from tvmsr.quant.widen import Clock

PICTURES = [networks.picture(seed) for seed in range(2)]


@pytest.fixture(scope="module")
def made():
    model = networks.residual(blocks=1)
    plan = calibrate(model, PICTURES, bits="a6w4", rounding=False)
    sites = sites_of(model, plan)
    return model, plan, sites, clips_of(model.graph, plan, sites, PICTURES, lambda: None)


def read_bits(graph: IntegerGraph) -> dict[str, float]:
    """As a clock: activation bits of each convolution, times those of its weights."""
    held = {node.name: node.output.bits for node in graph if hasattr(node.output, "bits")}
    return {n.name: float(held.get(n.inputs[0], 8) * n.weight_bits) for n in graph if n.op == "conv"}


def test_time_is_that_of_the_readers_beside_the_whole_network_at_8_bits(made):
    model, plan, sites, _ = made
    found = time_costs(model, plan, sites, Clock("", read_bits), [4])
    whole = sum(64.0 if name != "head" else 8.0 * plan.layers["head"].weight_bits for name in plan.layers)
    for site in sites:
        assert set(found[site.name]) == {Bits(a, w) for a in SITE_BITS for w in (4, 8)}
        assert found[site.name][Bits(5, 4)] == pytest.approx(20 * len(site.readers) / whole)


def test_bit_costs_and_those_of_a_whole_plan(made):
    model, plan, sites, _ = made
    costs = bit_costs(sites, [4, 8])
    assert costs[sites[0].name][Bits(8, 8)] == pytest.approx(sites[0].macs)
    assert costs[sites[0].name][Bits(4, 4)] == pytest.approx(sites[0].macs / 4)
    all_8 = with_bits(plan, sites, {site.name: 8 for site in sites})
    assert cost_of(model, with_weight_bits(model, all_8, dict.fromkeys(plan.layers, 8)), None) == pytest.approx(64)
    assert cost_of(model, all_8, None) == pytest.approx(32)
    assert cost_of(model, plan, Clock("", lambda graph: {"a": 2.0, "b": 3.0})) == 5


def test_noise_goes_with_the_errors_of_codes_and_is_none_where_nothing_varies(made):
    model, plan, sites, clips = made
    ticks = []
    found = measured_noise(plan, sites, clips, Exact.of(model, PICTURES), 6, lambda: ticks.append(1))
    assert len(ticks) == len(sites)
    for site in sites:
        noise = [found[site.name][bits] for bits in SITE_BITS]
        assert noise == sorted(noise, reverse=True) and noise[-1] > 0
    black = [np.zeros((20, 20, 3), np.uint8)]
    flat = clips_of(model.graph, plan, sites, black, lambda: None)
    for noise in measured_noise(plan, sites, flat, Exact.of(model, black), 6, lambda: None).values():
        assert all(np.isfinite(value) for value in noise.values())


def test_noise_of_weights(made):
    model, plan, _, _ = made
    found = measured_weights(model, plan, ["head", "last"], Exact.of(model, PICTURES), 4, lambda: None)
    for noise in found.values():
        assert noise[4] > 100 * noise[8] > 0


def test_deviations_are_of_what_is_read(made):
    model, _, sites, _ = made
    found = deviations(model.graph, sites, PICTURES)
    seen: list[float] = []

    def visit(name, value):
        if name == "b0a":
            seen.append(float(value.std(dtype=np.float64)))

    for picture in PICTURES:
        run_fp32(model.graph, as_float(picture), visit=visit)
    assert found["b0a"][3] == pytest.approx(np.mean(seen) ** 2 / 64)
