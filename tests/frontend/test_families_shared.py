"""Families whose published weights are at hand: recognition from keys and shapes, and the network against torch's."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.frontend import states
from tests.frontend import states_published as published
from tvmsr.errors import UsageError
from tvmsr.frontend import load_model
from tvmsr.frontend.families.registry import REGISTRY
from tvmsr.graph.analysis import size_rule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Colour, Model

State = dict[str, np.ndarray]
_NAMED = ("patch_extraction", "nonlinear_map", "recon")

#: family, state dict, scale, options; all of them on a picture of 24 x 31 pixels.
CASES: dict[str, tuple[str, State, int, dict[str, Any]]] = {
    "imdn x4": ("imdn", published.imdn(4), 4, {}),
    "imdn x3, given slope": ("imdn", published.imdn(3, blocks=3, width=12, kept=3), 3, {"slope": 0.1}),
    "imdn_aim": ("imdn_aim", published.imdn_aim(4), 4, {}),
    "imdn_plus": ("imdn_plus", published.imdn_plus(2), 2, {}),
    "rfdn": ("rfdn", published.rfdn(4), 4, {}),
    "rfdn 0..1": ("rfdn", published.rfdn(2, blocks=3), 2, {"value_range": 1.0}),
    "rlfn": ("rlfn", published.rlfn(2), 2, {}),
    "rlfn-s": ("rlfn", published.rlfn(4, blocks=3, wide=10), 4, {}),
    "fmen": ("fmen", published.fmen(4), 4, {}),
    "bsrn-s": ("bsrn", published.bsrn(4), 4, {}),
    "bsrn": ("bsrn", published.bsrn(2, small=False), 2, {}),
    "carn-m x2": ("carn", published.carn(), 2, {"scale": 2}),
    "carn-m x3": ("carn", published.carn(), 3, {"scale": 3}),
    "carn-m x4": ("carn", published.carn(), 4, {"scale": 4}),
    "carn": ("carn", published.carn((4,), mobile=False, single=True), 4, {}),
    "xlsr": ("xlsr", published.xlsr(3), 3, {}),
    "fsrcnn x3": ("fsrcnn", published.fsrcnn(), 3, {"scale": 3}),
    "fsrcnn x4": ("fsrcnn", published.fsrcnn(maps=3), 4, {"scale": 4}),
    "fsrcnn ycbcr": ("fsrcnn", published.fsrcnn_ycbcr(), 2, {"scale": 2}),
    "espcn ycbcr": ("espcn", published.espcn_ycbcr(3), 3, {}),
    "srcnn": ("srcnn", published.srcnn(), 3, {}),
    "srcnn x2": ("srcnn", published.srcnn(), 2, {"scale": 2}),
    "srcnn 9-1-5 ycbcr": ("srcnn", published.srcnn(3, _NAMED, 1), 2, {"scale": 2}),
    "edsr_basicsr": ("edsr_basicsr", published.edsr_basicsr(4), 4, {}),
    "edsr_basicsr 0..1": ("edsr_basicsr", published.edsr_basicsr(3), 3, {"value_range": 1.0, "residual_scale": 0.1}),
    "msrresnet": ("msrresnet", published.msrresnet(4), 4, {}),
    "msrresnet of mmsr": ("msrresnet", published.msrresnet(3, old=True), 3, {"slope": 0.2}),
    "srresnet of a tutorial": ("srresnet", published.srresnet_tutorial(), 4, {}),
    "srresnet of a tutorial x2": ("srresnet", published.srresnet_tutorial(3, steps=1), 2, {}),
}


def renamed(state: State, *rules: tuple[str, str]) -> State:
    """The same tensors under the keys of another code."""
    made = {}
    for key, value in state.items():
        for pattern, new in rules:
            key = re.sub(pattern, new, key)  # noqa: PLW2901
        made[key] = value
    return made


#: MMagic's names for what BasicSR has: pixel shuffles are modules with a convolution inside.
_MMAGIC_EDSR = ((r"upsample\.2", "upsample.1"), (r"(upsample\.\d)", r"\1.upsample_conv"))
_MMAGIC_MSR = (("^body", "trunk_net"), (r"upconv(\d)", r"upsample\1.upsample_conv"))


@pytest.mark.parametrize(
    ("state", "rules", "options"),
    [
        (published.edsr_basicsr(4), _MMAGIC_EDSR, {"value_range": 1.0}),
        (published.edsr_basicsr(3), _MMAGIC_EDSR, {"value_range": 1.0}),
        (published.msrresnet(4), _MMAGIC_MSR, {}),
    ],
)
def test_the_same_network_under_other_keys(state: State, rules: tuple[tuple[str, str], ...], options: dict[str, Any]):
    x = np.random.default_rng(0).random((12, 9, 3), np.float32)
    other = load_model(renamed(state, *rules))
    assert np.array_equal(output(other, x), output(load_model(state, **options), x))


def output(model: Model, x: np.ndarray) -> np.ndarray:
    y = run_fp32(model, x)
    assert isinstance(y, np.ndarray)
    return np.clip(y, 0, 1) if model.clip else y


@pytest.mark.parametrize("case", CASES)
def test_is_recognised_by_one_family(case: str):
    family, state, scale, options = CASES[case]
    assert [f.name for f in REGISTRY if f.recognise(state)] == [family]
    model = load_model(state, **options)
    assert (model.family, model.scale) == (family, scale)
    assert size_rule(model.graph).multiple == 1
    wrapped = {"params_ema": {f"module.{key}": value for key, value in state.items()}}
    assert load_model(wrapped, **options).checksum == model.checksum
    assert all(question not in " ".join(model.assumed) for question in options), "what was given is not assumed"


@pytest.mark.parametrize("case", CASES)
def test_computes_what_torch_computes(torch: ModuleType, case: str):
    from tests.frontend import torch_published

    family, state, scale, options = CASES[case]
    x = np.random.default_rng(0).random((24, 31, 3), np.float32)
    wanted = getattr(torch_published, family)(state, x, scale, options)
    made = output(load_model(state, **options), x)
    assert made.shape == wanted.shape
    assert np.abs(made - wanted).max() < 1e-4 * max(1.0, float(np.abs(wanted).max()))


def test_spatial_attention_needs_fifteen_pixels():
    for state in (published.rfdn(), published.rlfn(), published.bsrn()):
        assert size_rule(load_model(state).graph).minimum == 15
    assert size_rule(load_model(published.imdn()).graph).minimum == 1


def test_value_range_is_folded_away_though_resizes_look_at_the_size():
    for state in (published.rfdn(), published.rlfn()):
        assert "to_range" not in [node.name for node in load_model(state).graph]


@pytest.mark.parametrize(
    ("state", "options", "says"),
    [
        (published.carn(), {}, r"say which with --scale \(2, 3, 4\)"),
        (published.carn((2,)), {"scale": 3}, "is a network for scale 2"),
        (published.fsrcnn(), {}, "same shapes at every scale"),
        (published.srcnn(3), {"scale": 2}, r"RGB or YCbCr; say which with --colour"),
        (published.edsr_basicsr(width=128), {}, "--residual-scale"),
    ],
)
def test_asks_rather_than_guesses(state: State, options: dict[str, Any], says: str):
    with pytest.raises(UsageError, match=says):
        load_model(state, **options)


def test_what_is_assumed_is_said():
    srcnn = load_model(published.srcnn())
    assert any(line.startswith("scale 3") for line in srcnn.assumed) and srcnn.colour is Colour.Y
    assert any(line.startswith("colour ycbcr") for line in load_model(published.espcn_ycbcr()).assumed)


def test_weights_of_fsrcnn_tell_the_scale():
    state = published.fsrcnn()
    for part in ("first_part.0", "mid_part.0", "mid_part.2", "mid_part.4", "mid_part.6"):
        weight = np.abs(state[f"{part}.weight"])
        state[f"{part}.weight"] = weight / weight.sum((1, 2, 3), keepdims=True)
        state[f"{part}.bias"] *= 0
    state["last_part.bias"] *= 0
    for scale in (2, 3, 4):
        kernel, start = np.zeros((10, 1, 9, 9), np.float32), 4 - scale // 2
        kernel[:, :, start : start + scale, start : start + scale] = 0.1  # a pixel becomes scale x scale pixels
        assert load_model({**state, "last_part.weight": kernel}).scale == scale


def test_colour_given_by_hand(torch: ModuleType):
    from tests.frontend import torch_published

    x = np.random.default_rng(0).random((9, 12, 3), np.float32)
    state = states.espcn(2, channels=3)
    names = {"first_part.0": "conv_1", "first_part.2": "conv_2", "last_part.0": "conv_3"}
    named = {f"{new}.{part}": state[f"{old}.{part}"] for old, new in names.items() for part in ("weight", "bias")}
    wanted = torch_published.espcn(named, x, 2, {"clip": False})
    model = load_model(state, colour="ycbcr")
    assert np.abs(output(model, x) - wanted).max() < 1e-5
    # Zeros of YCbCr are no colour: the padding of the first convolution would not fit into codes of the picture.
    assert model.graph.nodes[0].name == "rgb_to_ycbcr"


def test_full_range_y_becomes_studio_range():
    gray = np.random.default_rng(0).random((9, 12, 1), np.float32).repeat(3, axis=2)
    full, studio = load_model(states.espcn(2), colour="y-full"), load_model(states.espcn(2))
    assert full.colour is studio.colour is Colour.Y
    # The full-range Y of a gray is itself; its studio-range Y is that of (16 + 219 gray) / 255.
    seen = output(studio, gray)
    assert np.abs(output(full, (16 + 219 * gray) / np.float32(255)) - (16 + 219 * seen) / 255).max() < 1e-5
