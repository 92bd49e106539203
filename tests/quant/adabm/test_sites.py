"""Sites of small networks, and plans with other bits there."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.quant.adabm.sites import bits_of, read_at_8_bits, sites_of, with_bits, with_weight_bits
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.plan import Plan
from tvmsr.quant.reference import run

PICTURES = [networks.picture(seed) for seed in range(2)]


def plan_of(model, bits="a6w4") -> Plan:
    return calibrate(model, PICTURES, bits=bits, rounding=False)


def test_sites_of_a_residual_network_are_readings_and_what_only_convolutions_read():
    model = networks.residual(blocks=2)
    sites = sites_of(model, plan_of(model))
    assert {site.name: (site.slots, site.readers) for site in sites} == {
        "head.read": (("head.read",), ("b0a",)),
        "b0a": (("b0a",), ("b0b",)),
        "b0.read": (("b0.read",), ("b1a",)),
        "b1a": (("b1a",), ("b1b",)),
        "b1.read": (("b1.read",), ("close",)),
        "long.read": (("long.read",), ("up",)),
        "up": (("up",), ("last",)),
    }
    assert read_at_8_bits(model, plan_of(model)) == ("head",)
    assert 0 < sum(site.macs for site in sites) < 1


def test_a_concat_is_one_site_with_its_operands():
    model = networks.split_concat()
    sites = sites_of(model, plan_of(model))
    shared = next(site for site in sites if "merged" in site.slots)
    assert set(shared.slots) == {"c0", "c1", "merged"} and set(shared.readers) == {"c1", "c2", "gate"}


def test_pinned_layers_and_wide_plans_leave_none():
    model = networks.plain()
    plan = plan_of(model)
    assert [site.name for site in sites_of(model, plan, pinned={"c1"})] == ["c1"]
    assert sites_of(model, plan_of(model, "12")) == ()


def test_other_bits_are_those_of_a_plan_made_with_them_and_weights_stay():
    model = networks.split_concat()
    plan, other = plan_of(model, "a6w8"), plan_of(model, "a4w8")
    sites = sites_of(model, plan)
    changed = with_bits(plan, sites, dict.fromkeys((site.name for site in sites), 4), reasons={sites[0].name: "why"})
    for site in sites:
        for slot in site.slots:
            mine = changed.tensors.get(slot) or changed.reads[slot.removesuffix(".read")]
            wanted = other.tensors.get(slot) or other.reads[slot.removesuffix(".read")]
            assert (mine.bits, mine.scale, mine.zero) == (4, wanted.scale, wanted.zero)
        assert bits_of(changed, site) == 4
    assert changed.tensors[sites[0].slots[0]].reason.startswith("why; range: ")
    assert changed.layers == plan.layers
    bind(model, changed)


def test_other_ranges():
    model = networks.plain()
    plan = plan_of(model)
    (site, *_) = sites_of(model, plan)
    changed = with_bits(plan, [site], {site.name: 3}, {site.name: (0.0, 0.7)})
    code = changed.tensors[site.name]
    assert (code.low, code.high, code.zero) == (0.0, 0.7, 0) and code.scale == pytest.approx(0.1)


def test_other_weight_bits_are_those_of_a_plan_made_with_them():
    model = networks.residual()
    plan, fine = (calibrate(model, PICTURES, bits=b, equalise=False, bias_correction=False) for b in ("a6w4", "a6w8"))
    every = {name: layer.weight_bits * 2 for name, layer in plan.layers.items()}
    changed = with_weight_bits(model, plan, every, "why")
    for name, layer in changed.layers.items():
        assert layer.weight_bits == 8 and layer.reason == "why"
        np.testing.assert_array_equal(layer.weight_scales, fine.layers[name].weight_scales)
    outputs = [run(bind(model, one), PICTURES[0]).astype(int) for one in (plan, changed, fine)]
    assert np.abs(outputs[1] - outputs[2]).mean() < np.abs(outputs[0] - outputs[2]).mean()


def test_what_only_moves_codes_keeps_its_weights():
    b = networks.Builder()
    x = b.put_unshuffle("down", "input", 2)
    model = b.model(b.shuffle("up", b.conv("c", x, 48), 4))
    plan = plan_of(model)
    assert with_weight_bits(model, plan, {"down": 8}).layers == plan.layers
