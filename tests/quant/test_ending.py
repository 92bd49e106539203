"""Ends of a network that are not the picture's own code."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.graph.execute import run_fp32
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.ending import Ending, ended, ends_at_white
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import as_float
from tvmsr.quant.reference import run_tensors
from tvmsr.quant.structure import analyse

CROPS = [np.random.default_rng(5).integers(0, 256, (24, 20, 3), dtype=np.uint8) for _ in range(2)]


@pytest.mark.parametrize("ending", [Ending.FREE, Ending.CLIPPED])
def test_appends_once_and_leaves_the_function(ending):
    model = networks.residual()
    found = ended(model, ending)
    assert ended(found, ending) is found and ended(model, Ending.PINNED) is model
    assert found.checksum == model.checksum and found.graph.measured == model.graph.output
    exact = run_fp32(model, as_float(CROPS[0]))
    clipped = np.clip(exact, 0, 1) if ending is Ending.CLIPPED else exact
    np.testing.assert_array_equal(run_fp32(found, as_float(CROPS[0])), clipped)
    assert ends_at_white(found.graph) == (ending is Ending.CLIPPED) and not ends_at_white(model.graph)


@pytest.mark.parametrize(("method", "bits"), [("free-minmax", 8), ("clip-minmax", 8), ("cfqp-paper", "a6w4")])
def test_the_end_has_eight_bits_over_what_was_measured_and_becomes_bytes(method, bits):
    model = networks.residual(blocks=2)
    plan = calibrate(model, CROPS, bits=bits, method=method)
    assert Plan.from_json(plan.to_json()) == plan, "the ending is in the file"
    graph = bind(model, plan)
    source = analyse(ended(model, Ending.FREE).graph).measured
    code = plan.tensors[source]
    assert code.bits == 8 and code.equal is None
    exact = np.stack([run_fp32(model, as_float(crop)) for crop in CROPS])
    if method == "free-minmax":
        assert (code.low, code.high) == pytest.approx((min(exact.min(), 0), exact.max()), rel=1e-6)
    if method == "clip-minmax":
        assert code.high == pytest.approx(min(1.0, exact.max()))
    tensors = run_tensors(graph, CROPS[0])
    held = (tensors[model.graph.output].astype(np.int32) - code.zero).astype(np.float32)
    step = np.float32(float(np.float32(code.scale)) / float(np.float32(1 / 255)))
    np.testing.assert_array_equal(tensors[graph.output], np.rint(np.clip(held * step, 0, 255)).astype(np.uint8))


def test_pinned_plans_are_written_as_before():
    plan = calibrate(networks.residual(), CROPS, method="minmax", max_drop=None)
    assert plan.ending is None and '"ending"' not in plan.to_json()


def test_names_that_are_taken():
    model = networks.residual()
    twice = ended(model, Ending.FREE)
    from dataclasses import replace

    again = ended(replace(twice, graph=replace(twice.graph, measured="")), Ending.CLIPPED)
    assert again.graph.output == "to_bytes_"
