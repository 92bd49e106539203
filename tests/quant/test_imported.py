"""Scales that a file brings, as the plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant.networks import Builder
from tvmsr.graph.model import Activation, Mark
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.imported import METHOD, grid_scales, imported_plan

RNG = np.random.default_rng(8)


@given(
    codes=st.lists(st.integers(-127, 127), min_size=4, max_size=30).filter(any),
    scale=st.floats(2**-20, 10, width=32),
)
@settings(deadline=None)
def test_codes_are_found_again(codes: list[int], scale: float):
    weight = (np.asarray(codes, np.float32) * np.float32(scale)).reshape(-1, 1)
    found = grid_scales(weight, 8)
    assert found is not None
    again = np.rint(weight[:, 0] / found[0])
    assert np.abs(again).max() <= 127 and np.allclose(again * found[0], weight[:, 0], rtol=1e-5)


def test_weights_of_no_grid():
    assert grid_scales(RNG.normal(size=(40, 2)).astype(np.float32), 8) is None
    assert grid_scales(np.zeros((4, 2), np.float32), 8) is not None


@pytest.fixture(scope="module")
def codes() -> dict[str, np.ndarray]:
    return {
        name: RNG.integers(-127, 128, (3, 3, ins, 8 if name != "c" else 3))
        for name, ins in zip("abc", (3, 8, 8), strict=True)
    }


def test_marks_become_the_plan(codes: dict[str, np.ndarray]):
    net = Builder()
    first = net.conv("a", "input", 8, activation=Activation.RELU)
    net.conv("c", net.add("s", net.conv("b", first, 8), first), 3)
    plain = net.model("c", scale=1)
    scales = {name: RNG.uniform(1e-4, 1e-3, value.shape[3]).astype(np.float32) for name, value in codes.items()}
    quantized = [
        replace(n, weights={**n.weights, "weight": (codes[n.name] * scales[n.name]).astype(np.float32)})
        if n.op == "conv"
        else n
        for n in plain.graph
    ]
    marks = {"a": Mark(8, 0.01, 0), "b": Mark(8, 0.02, 128), "s": Mark(8, 0.03, 77)}
    model = replace(plain, graph=replace(plain.graph, nodes=tuple(quantized), marks=marks))
    crops = [RNG.integers(0, 256, (24, 24, 3), np.uint8)]
    plan = imported_plan(model, calibrate(model, crops, equalise=False, bias_correction=False, max_drop=None))
    assert plan.method == METHOD and not plan.reads
    assert (plan.tensors["a"].scale, plan.tensors["s"].scale, plan.tensors["s"].zero) == (0.01, 0.03, 77)
    bound = {node.name: node for node in bind(model, plan)}
    for name, wanted in codes.items():
        weight = bound[name].params["weight"].astype(np.float64)
        ratio = np.gcd.reduce(wanted.reshape(-1, wanted.shape[3]), axis=0)
        assert np.array_equal(weight * ratio, wanted)
