"""One thing quantized in the FP32 network: nothing but what lies behind it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.graph.execute import run_fp32
from tvmsr.quant.adabm.alone import Change, Exact, coded
from tvmsr.quant.judge import LUMA
from tvmsr.quant.plan import TensorPlan
from tvmsr.quant.ranges import as_float

PICTURE = networks.picture(3)
CODE = TensorPlan.model_validate({"bits": 3, "low": -1.0, "high": 2.0})


def luma_noise(model, changed) -> float:
    both = [run_fp32(one, as_float(PICTURE)).astype(np.float64) for one in (model, changed)]
    return float((((both[1] - both[0]) * 255 @ LUMA) ** 2).mean())


def test_codes_without_their_mean_error():
    value = np.random.default_rng(0).normal(size=(9, 7, 4)).astype(np.float32)
    made = coded(value, CODE)
    np.testing.assert_allclose((made - value).mean(axis=(0, 1)), 0, atol=1e-6)
    shifted = made - made[:1, :1]
    np.testing.assert_allclose(shifted / CODE.scale, np.rint(shifted / CODE.scale), atol=1e-4)


def test_no_change_no_noise():
    model = networks.residual(blocks=1)
    assert Exact.of(model, [PICTURE]).noise(Change()) == 0


def test_weights_alone_are_what_a_network_with_them_makes_but_for_means():
    b = networks.Builder()
    model = b.model(b.shuffle("out", b.conv("c1", b.conv("c0", "input", 4), 12), 2))
    node = model.graph.nodes[0]
    coarse = np.rint(node.weights["weight"] * 4) / np.float32(4)
    tensors = Exact.of(model, [PICTURE]).tensors[0]
    bare = replace(node, weights={**node.weights, "weight": coarse})
    from tvmsr.operations.table import operation_of

    shift = (operation_of(bare).reference((tensors["input"],), bare) - tensors["c0"]).mean(axis=(0, 1))
    weights = {**bare.weights, "bias": bare.weights["bias"] - shift}
    changed = replace(model, graph=model.graph.with_nodes((replace(bare, weights=weights), *model.graph.nodes[1:])))
    found = Exact.of(model, [PICTURE]).noise(Change(weights={"c0": coarse}))
    assert found == pytest.approx(luma_noise(model, changed), rel=1e-3) and found > 0


def test_a_reading_is_another_for_its_readers_only():
    model = networks.residual(blocks=1)
    exact = Exact.of(model, [PICTURE])
    code = TensorPlan.model_validate({"bits": 2, "low": -2.0, "high": 2.0})
    read, stored = exact.noise(Change(read={"b0a": code})), exact.noise(Change(tensors={"head": code}))
    assert 0 < read < stored


def test_noise_falls_by_a_quarter_with_a_bit():
    model = networks.plain()
    exact = Exact.of(model, [networks.picture(seed, 40, 40) for seed in range(2)])
    top = float(max(one["c0"].max() for one in exact.tensors))
    codes = {bits: TensorPlan.model_validate({"bits": bits, "low": 0.0, "high": top}) for bits in (5, 6, 7)}
    noise = {bits: exact.noise(Change(tensors={"c0": code})) for bits, code in codes.items()}
    assert noise[5] / noise[6] == pytest.approx(4, rel=0.2) and noise[6] / noise[7] == pytest.approx(4, rel=0.2)
