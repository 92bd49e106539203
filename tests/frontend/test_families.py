"""Recognition from keys and shapes, conventions, and the network itself against an independent one in torch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.frontend import states
from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend import load_model
from tvmsr.frontend.families.family import Family
from tvmsr.frontend.families.registry import REGISTRY, Registry
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Activation, Colour, ConvAttrs, Model

CASES: list[tuple[str, dict[str, np.ndarray], int, dict[str, Any]]] = [
    ("abpn", states.abpn(3), 3, {}),
    ("abpn", states.abpn(2), 2, {"value_range": 1.0}),
    ("espcn", states.espcn(3), 3, {}),
    ("espcn", states.espcn(2, channels=3), 2, {"colour": "rgb", "activation": "relu"}),
    ("srvgg", states.srvgg(4), 4, {}),
    ("srvgg", states.srvgg(2, prelu=False), 2, {"activation": "leaky", "slope": 0.2}),
    ("imdn_rtc", states.imdn_rtc(2), 2, {}),
    ("imdn_rtc", states.imdn_rtc(4, blocks=1, width=12, kept=3), 4, {"slope": 0.1}),
    ("edsr", states.edsr(4), 4, {}),
    ("edsr", states.edsr(3), 3, {"residual_scale": 0.1}),
    ("edsr", states.edsr(2, mean=False), 2, {"value_range": 255.0}),
    ("edsr_mxnet", states.edsr_mxnet(), 2, {}),
    ("srresnet", states.srresnet(), 4, {}),
    ("srresnet_mxnet", states.srresnet_mxnet(steps=1), 2, {}),
    ("plain_anchor", states.plain_anchor(2), 2, {}),
    ("plain_anchor", states.plain_anchor(3), 3, {}),
]


@pytest.mark.parametrize(("family", "state", "scale", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_is_recognised(family: str, state: dict[str, np.ndarray], scale: int, options: dict[str, Any]):
    assert [f.name for f in REGISTRY if f.recognise(state)] == [family], "by one family, and by no other"
    model = load_model(state, **options)
    assert (model.family, model.scale) == (family, scale)
    assert {node.op for node in model.graph} <= {"conv", "add", "concat", "gather", "depth_to_space", "activate"}
    assert load_model(state, **options).checksum == model.checksum
    assert all(question not in " ".join(model.assumed) for question in options), "what was given is not assumed"


def output(model: Model, x: np.ndarray) -> np.ndarray:
    y = run_fp32(model, x)
    assert isinstance(y, np.ndarray)
    return np.clip(y, 0, 1) if model.clip else y


@pytest.mark.parametrize(("family", "state", "scale", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_computes_what_torch_computes(
    torch: ModuleType, family: str, state: dict[str, np.ndarray], scale: int, options: dict[str, Any]
):
    from tests.frontend import torch_networks

    x = np.random.default_rng(0).random((10, 12, 3), np.float32)
    wanted = getattr(torch_networks, family)(state, x, scale, options)
    assert np.abs(output(load_model(state, **options), x) - wanted).max() < 2e-5


def test_conventions():
    y = load_model(states.espcn(3))
    assert y.colour is Colour.Y and len(y.assumed) == 3
    assert np.allclose(y.graph.nodes[0].weights["pad"], -16 / 219)
    edsr = load_model(states.edsr(4))
    assert np.allclose(edsr.graph.node("head.0").weights["pad"], [0.4488, 0.4371, 0.4040])
    assert load_model(states.abpn()).clip and not load_model(states.plain_anchor()).clip


def test_names_come_from_the_checkpoint():
    names = [node.name for node in load_model(states.imdn_rtc(2, blocks=1)).graph]
    assert {"model.0", "model.1.sub.0.c1", "model.1.sub.0.add", "model.1.add", "model.2"} <= set(names)


def test_activations_are_fused():
    for state, count in ((states.srvgg(), 2), (states.imdn_rtc(), 6), (states.srresnet(), 6), (states.abpn(), 3)):
        convs = [node for node in load_model(state).graph if isinstance(node.attrs, ConvAttrs)]
        assert sum(node.attrs.activation is not Activation.NONE for node in convs) == count


@pytest.mark.parametrize(
    ("state", "options", "says"),
    [
        (states.srvgg(prelu=False), {}, "--activation"),
        (states.espcn(channels=3), {}, "--colour"),
        (states.edsr(mean=False), {}, "--range"),
        (states.edsr(width=128), {}, "--residual-scale"),
        (states.abpn(3), {"scale": 4}, "contradicts"),
        (states.abpn(3), {"scale": 99}, "scales from 1 to 16"),
        (states.abpn(3), {"value_range": -1}, "--range"),
        (states.abpn(3), {"activation": "swish"}, "known are"),
        (states.abpn(3), {"family": "imdn_huge"}, "no family"),
    ],
)
def test_asks_rather_than_guesses(state: dict[str, np.ndarray], options: dict[str, Any], says: str):
    with pytest.raises(UsageError, match=says):
        load_model(state, **options)


def test_unknown_architecture():
    with pytest.raises(InputFileError, match=r"no known architecture.*ONNX"):
        load_model({"a.weight": np.zeros((3, 3), np.float32)})


def test_several_fit(monkeypatch: pytest.MonkeyPatch):
    from tvmsr.frontend import checkpoint

    plain = next(f for f in REGISTRY if f.name == "plain_anchor")
    twin = Family("twin", "a twin", plain.recognise, plain.recipe)
    monkeypatch.setattr(checkpoint, "REGISTRY", REGISTRY.with_families(twin))
    with pytest.raises(UsageError, match=r"--family \(plain_anchor, twin\)"):
        load_model(states.plain_anchor())
    assert load_model(states.plain_anchor(), family="twin").family == "twin"


def test_registry_is_atomic():
    plain = next(f for f in REGISTRY if f.name == "plain_anchor")
    with pytest.raises(ValueError, match="plain_anchor"):
        REGISTRY.with_families(Family("new", "", plain.recognise, plain.recipe), plain)
    assert "new" not in [f.name for f in REGISTRY]
    assert list(Registry()) == []
