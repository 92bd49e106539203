"""Which share of codes is at an end of its range."""

from __future__ import annotations

import numpy as np

from tests.quant import networks
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.reference import run_tensors
from tvmsr.quant.saturation import saturation, saturation_note

CROPS = [np.random.default_rng(3).integers(0, 256, (24, 20, 3), dtype=np.uint8) for _ in range(2)]


def test_counts_both_ends_but_not_zeros():
    model = networks.residual()
    plan = calibrate(model, CROPS[:1], max_drop=None)
    graph = bind(model, plan)
    found = saturation(graph, CROPS)
    for name, share in found.items():
        code = plan.tensors[name] if name in plan.tensors else plan.reads[name.removesuffix(".read")]
        values = np.concatenate([run_tensors(graph, crop)[name].reshape(-1) for crop in CROPS])
        ends = values == 2**code.bits - 1
        if code.zero:
            ends |= values == 0
        assert share == ends.mean()
    assert graph.output not in found and found


def test_narrow_ranges_saturate_and_are_named():
    model = networks.residual()
    plan = calibrate(model, CROPS, max_drop=None)
    before = saturation(bind(model, plan), CROPS)
    name = next(n for n, t in plan.tensors.items() if t.bits == 8 and n in before)
    narrow = plan.tensors[name].model_copy(update={"scale": plan.tensors[name].scale / 8})
    plan = plan.model_copy(update={"tensors": {**plan.tensors, name: narrow}})
    after = saturation(bind(model, plan), CROPS)
    assert after[name] > 0.05 > before[name]
    assert f"{name} {100 * after[name]:.2f} %" in saturation_note(after)
    assert saturation_note({"a": 0.0}).startswith("saturated: no tensor")
