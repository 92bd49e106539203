"""What is out of reach is named; no family takes another's checkpoint; spandrel is asked last, and only for tensors."""

from __future__ import annotations

import sys
from inspect import isfunction
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.frontend import states, states_published
from tvmsr.commands.models import models
from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend import load_model
from tvmsr.frontend.families.family import Family, Refused
from tvmsr.frontend.families.registry import REGISTRY, Registry, UnknownArchitectureError
from tvmsr.frontend.state import normalise

State = dict[str, np.ndarray]

_GROUP = "layers.0.residual_group."
_SWIN = ("conv_first.weight", f"{_GROUP}blocks.0.norm1.weight", f"{_GROUP}blocks.0.mlp.fc1.bias", "conv_last.weight")

#: Some of the keys of published checkpoints, as many as tell them apart.
KEYS: dict[str, tuple[str, ...]] = {
    "swinir": (*_SWIN, f"{_GROUP}blocks.0.attn.relative_position_bias_table", f"{_GROUP}blocks.0.attn.qkv.weight"),
    "swin2sr": (
        *_SWIN,
        "patch_embed.proj.weight",
        f"{_GROUP}blocks.0.attn.cpb_mlp.0.weight",
        f"{_GROUP}blocks.0.attn.logit_scale",
    ),
    "hat": (
        *_SWIN,
        f"{_GROUP}blocks.0.attn.relative_position_bias_table",
        f"{_GROUP}blocks.0.conv_block.cab.0.weight",
        f"{_GROUP}overlap_attn.qkv.weight",
    ),
    "srformer": (
        *_SWIN,
        f"{_GROUP}blocks.0.attn.relative_position_bias_table",
        f"{_GROUP}blocks.0.attn.kv.weight",
        f"{_GROUP}blocks.0.attn.q.weight",
    ),
    "dat": (
        "conv_first.weight",
        "before_RG.1.weight",
        "layers.0.blocks.0.attn.qkv.weight",
        "layers.0.blocks.0.attn.spatial_interaction.0.weight",
    ),
    "rgt": ("conv_first.weight", "before_RG.1.weight", "layers.0.blocks.0.gamma", "layers.0.blocks.0.attn.qkv.weight"),
    "atd": ("conv_first.weight", f"{_GROUP}td", f"{_GROUP}layers.0.wqkv.weight"),
    "craft": ("conv_first.weight", f"{_GROUP}hf_blocks.0.attn.temperature"),
    "grl": ("model.conv_first.weight", "model.layers.0.blocks.0.attn.window_attn.attn_transform.logit_scale"),
    "drct": ("conv_first.weight", "layers.0.swin1.attn.qkv.weight", "layers.0.adjust1.weight"),
    "omnisr": ("input.weight", "up.0.weight", "residual_layer.0.residual_layer.0.layer.0.fn.0.weight"),
    "ditn": ("sft.weight", "UFONE.0.ITLs.0.attn.temperature", "upsample.0.weight"),
    "dctlsa": ("conv1.weight", "B1.body.0.transformer_body.0.blocks.0.attn.qkv.weight"),
    "ipt": ("head.0.0.weight", "body.encoder.layers.0.self_attn.in_proj_weight", "tail.0.1.weight"),
    "fdat": ("conv_first.weight", "groups.0.blocks.0.attn.bias", "groups.0.blocks.0.ffn.fc1.weight"),
    "scunet": ("m_head.0.weight", "m_body.0.trans_block.msa.relative_position_params", "m_tail.0.weight"),
    "uformer": ("input_proj.proj.0.weight", "encoderlayer_0.blocks.0.attn.relative_position_bias_table"),
    "restormer": ("patch_embed.proj.weight", "encoder_level1.0.attn.temperature"),
    "realplksr_dysample": (
        "feats.0.weight",
        "feats.1.lk.conv.weight",
        "feats.1.channel_mixer.0.weight",
        "to_img.init_pos",
    ),
    "realplksr_groupnorm": (
        "feats.0.weight",
        "feats.1.lk.conv.weight",
        "feats.1.channel_mixer.0.weight",
        "feats.1.refine.weight",
        "feats.1.norm.weight",
        "feats.3.weight",
    ),
    "spanplus_dysample": ("feats.0.eval_conv.weight", "feats.1.conv_cat.weight", "upsampler.init_pos"),
    "mosr_dysample": ("gblocks.0.weight", "gblocks.1.fc1.weight", "upsampler.init_pos"),
    "seemore": ("conv_1.weight", "body.0.local_block.block.moe_layer.gate.body.2.weight", "upsampler.0.weight"),
    "smfanet": ("to_feat.weight", "feats.0.smfa.linear_0.weight", "feats.0.pcfn.conv_0.weight", "to_img.0.weight"),
    "plainusr_base": ("head.weight", "block1.body.0.weight", "block1.body.3.body.2.weight", "tail.0.weight"),
}


def some(keys: tuple[str, ...]) -> State:
    return {key: np.zeros((12, 3, 3, 3) if key.endswith("weight") else (12,), np.float32) for key in keys}


def test_every_refused_one_is_listed_here():
    assert sorted(KEYS) == sorted(one.name for one in REGISTRY.refused)


@pytest.mark.parametrize("name", KEYS)
def test_is_named(name: str):
    (refused,) = [one for one in REGISTRY.refused if one.name == name]
    state = some(KEYS[name])
    assert [one.name for one in (*REGISTRY.refused, *REGISTRY) if one.recognise(state)] == [name]
    with pytest.raises(InputFileError, match=rf"is {refused.title}, out of reach: .*; use a convolutional") as caught:
        load_model(state)
    assert "\n" not in str(caught.value) and not isinstance(caught.value, UnknownArchitectureError)


def test_models_lists_all_of_them():
    listed = models()
    assert [one.name for one in listed] == [*(f.name for f in REGISTRY), *(one.name for one in REGISTRY.refused)]
    assert all(("out of reach" in one.title) == bool(one.out_of_reach) for one in listed)


def test_asking_for_a_refused_family():
    with pytest.raises(InputFileError, match="out of reach"):
        load_model(some(KEYS["hat"]), family="hat")
    with pytest.raises(UsageError, match=r"no family 'hot' .*; close to it are hat"):
        load_model(some(KEYS["hat"]), family="hot")


def _samples() -> dict[str, State]:
    """A state of every family: all of states.py and states_published.py, and those of test_families_published.py."""
    found: dict[str, State] = {}
    for module in (states, states_published):
        functions = [one for one in vars(module).values() if isfunction(one) and one.__module__ == module.__name__]
        found |= {one.__name__: one() for one in functions if not one.__name__.startswith("_")}
    from tests.frontend.test_families_published import CASES, ids, network, state_of

    for case in CASES:
        found[ids(case)] = state_of(network(case[1], case[2]))
    return found


def test_no_family_takes_the_checkpoint_of_another(torch: ModuleType):
    recognised = set()
    for name, state in _samples().items():
        fitting = [one.name for one in REGISTRY if one.recognise(state)]
        assert len(fitting) == 1, (name, fitting)
        assert not [one.name for one in REGISTRY.refused if one.recognise(state)], name
        recognised |= set(fitting)
    assert recognised == {one.name for one in REGISTRY}, "every family has a sample"


def test_half_a_checkpoint_is_none(torch: ModuleType):
    """Recognition looks up keys that may be missing."""
    for state in _samples().values():
        for keep in (list(state)[::2], list(state)[1::2], list(state)[:3], list(state)[-3:]):
            for one in (*REGISTRY, *REGISTRY.refused):
                one.recognise({key: state[key] for key in keep})


def test_names_are_unique_among_refused():
    plain = next(iter(REGISTRY))
    with pytest.raises(ValueError, match=plain.name):
        REGISTRY.with_refused(Refused(plain.name, "", "", lambda state: False))
    assert Registry().with_families(Family("a", "", plain.recognise, plain.recipe)).refused == ()


def test_weight_norm_is_folded():
    rng = np.random.default_rng(0)
    v, g = rng.standard_normal((4, 3, 3, 3)).astype(np.float32), rng.random((4, 1, 1, 1)).astype(np.float32)
    wanted = g * v / np.sqrt((v**2).sum((1, 2, 3), keepdims=True))
    for length, direction in ((".weight_g", ".weight_v"), *[(f".parametrizations.weight.original{n}" for n in (0, 1))]):
        state = normalise({f"a{length}": g, f"a{direction}": v, "a.bias": g.reshape(-1)}, "it")
        assert sorted(state) == ["a.bias", "a.weight"] and np.allclose(state["a.weight"], wanted, atol=1e-6)


class Fake(ModuleType):
    """Spandrel, as far as it is asked: knows the networks that it is given, and records what it is asked about."""

    class UnsupportedModelError(Exception):
        pass

    def __init__(self, descriptor: Any) -> None:
        super().__init__("spandrel")
        self.descriptor, self.asked = descriptor, []
        self.MAIN_REGISTRY = SimpleNamespace(load=self.load)

    def load(self, tensors: dict[str, Any]) -> Any:
        self.asked.append(tensors)
        if self.descriptor is None:
            raise self.UnsupportedModelError
        if isinstance(self.descriptor, Exception):
            raise self.descriptor
        self.descriptor.model.load_state_dict(tensors)
        return self.descriptor


def _described(torch: ModuleType, scale: int = 2, **changes: Any) -> Any:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 12, 3, padding=1), torch.nn.PixelShuffle(2))
    needs = SimpleNamespace(minimum=4, multiple_of=16, square=False)
    known = {
        "model": model,
        "architecture": SimpleNamespace(id="Stub"),
        "scale": scale,
        "purpose": "SR",
        "input_channels": 3,
        "output_channels": 3,
        "size_requirements": needs,
    }
    return SimpleNamespace(**{**known, **changes})


@pytest.fixture
def unknown() -> State:
    rng = np.random.default_rng(0)
    return {"0.weight": rng.standard_normal((12, 3, 3, 3)).astype(np.float32), "0.bias": np.ones(12, np.float32)}


def test_spandrel_knows_it(torch: ModuleType, monkeypatch: pytest.MonkeyPatch, unknown: State):
    fake = Fake(_described(torch))
    monkeypatch.setitem(sys.modules, "spandrel", fake)
    model = load_model(unknown, name="x", licence="CC0-1.0")
    assert (model.family, model.scale, model.name, model.licence) == ("spandrel:Stub", 2, "x", "CC0-1.0")
    assert not model.assumed, "spandrel says what the values are"
    assert set(fake.asked[0]) == set(unknown) and all(isinstance(v, torch.Tensor) for v in fake.asked[0].values())


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"input_channels": 4}, "4 channels in"), ({"scale": 3}, "for scale 3"), ({"purpose": "Inpainting"}, "no known")],
)
def test_what_spandrel_knows_and_we_cannot_use(
    torch: ModuleType, monkeypatch: pytest.MonkeyPatch, unknown: State, changes: dict[str, Any], says: str
):
    monkeypatch.setitem(sys.modules, "spandrel", Fake(_described(torch, **changes)))
    with pytest.raises(InputFileError, match=says):
        load_model(unknown)


@pytest.mark.parametrize(
    ("answer", "says"), [(None, "no known architecture"), (RuntimeError("size mismatch"), "size mism")]
)
def test_spandrel_does_not_know_it(
    torch: ModuleType, monkeypatch: pytest.MonkeyPatch, unknown: State, answer: Any, says: str
):
    monkeypatch.setitem(sys.modules, "spandrel", Fake(answer))
    with pytest.raises(InputFileError, match=says):
        load_model(unknown)


def test_spandrel_is_asked_last(torch: ModuleType, monkeypatch: pytest.MonkeyPatch, unknown: State):
    fake = Fake(_described(torch))
    monkeypatch.setitem(sys.modules, "spandrel", fake)
    assert load_model(states.plain_anchor()).family == "plain_anchor"
    with pytest.raises(InputFileError, match="out of reach"):
        load_model(some(KEYS["swinir"]))
    with pytest.raises(InputFileError, match="is no srvgg"):
        load_model(unknown, family="srvgg")
    assert not fake.asked


def test_without_spandrel(monkeypatch: pytest.MonkeyPatch, unknown: State):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(UnknownArchitectureError, match=r"no known architecture.*ONNX"):
        load_model(unknown)
