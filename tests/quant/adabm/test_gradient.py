"""Noise from a gradient is that which running the network with each change tells."""

from __future__ import annotations

import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks
from tvmsr.quant.adabm.alone import Change, Exact, coded
from tvmsr.quant.plan import TensorPlan

installed("torch", "pip install 'tvmsr[torch]'")

import torch  # noqa: E402

from tvmsr.quant.adabm.gradient import coding_error, gradient_noise  # noqa: E402

PICTURES = [networks.picture(seed, 40, 40) for seed in range(4)]


def code(bits: int, low: float, high: float, equal=None) -> TensorPlan:
    return TensorPlan.model_validate({"bits": bits, "low": low, "high": high, "equal": equal})


@pytest.mark.parametrize("equal", [None, [1.0, 0.5, 2.0, 1.5]])
def test_codes_are_the_same_as_where_they_are_run(equal):
    value = np.random.default_rng(0).normal(size=(9, 7, 4)).astype(np.float32)
    one = code(3, -1.0, 2.0, equal)
    found = coding_error(torch.tensor(value).permute(2, 0, 1)[None], one)
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), coded(value, one) - value, atol=1e-6)


def test_of_one_channel_that_one_pixel_reads_it_is_what_is_measured():
    b = networks.Builder()
    model = b.model(b.conv("last", b.conv("narrow", "input", 1), 3, k=1), scale=1)
    changes = {"site": Change(tensors={"narrow": code(4, -1.0, 1.0)})}
    measured = Exact.of(model, PICTURES).noise(changes["site"])
    found = gradient_noise(model, changes, PICTURES, 0, lambda: None)
    assert found["site"] == pytest.approx(measured, rel=1e-4) and measured > 0


def test_without_changes_there_is_no_noise():
    assert gradient_noise(networks.residual(blocks=1), {}, PICTURES, 0, pytest.fail) == {}


def test_sites_readings_and_weights_are_near_what_is_measured_alone():
    model = networks.residual(blocks=1)
    exact = Exact.of(model, PICTURES)
    weight = next(node for node in model.graph if node.name == "b0b").weights["weight"]
    signs = np.random.default_rng(1).choice([-1, 1], (16, *weight.shape))
    rounded = [Change(weights={"b0b": (weight + 0.01 * one).astype(np.float32)}) for one in signs]
    top = max(float(np.abs(one["head"]).max()) for one in exact.tensors)
    changes = {
        "reading": Change(read={"b0a": code(6, -top, top)}),
        "site": Change(tensors={"b0a": code(6, 0.0, max(float(one["b0a"].max()) for one in exact.tensors))}),
        "weights": rounded[0],
    }
    measured = {name: exact.noise(change) for name, change in changes.items()}
    measured["weights"] = float(np.mean([exact.noise(change) for change in rounded]))
    ticks: list[int] = []
    found = gradient_noise(model, changes, PICTURES, 0, lambda: ticks.append(1))
    assert found == {name: pytest.approx(noise, rel=0.3) for name, noise in measured.items()}
    assert len(ticks) == len(PICTURES)
    assert gradient_noise(model, changes, PICTURES, 0, lambda: None) == found
    assert gradient_noise(model, changes, PICTURES, 1, lambda: None) != found
