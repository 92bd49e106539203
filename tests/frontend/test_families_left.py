"""Every tensor of a state dict is in the network, or known not to matter; what is missing is named."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.frontend import states, test_families_shared
from tests.frontend import states_published as published
from tests.frontend import test_families as first
from tvmsr.errors import InputFileError
from tvmsr.frontend import load_model
from tvmsr.frontend.state import Watched

State = dict[str, np.ndarray]

#: What other codes put beside a layer, in places of families that see blocks by their numbers only.
EXTRA: list[tuple[State, str]] = [
    (published.rlfn(4), "block_1.norm.weight"),
    (published.rfdn(4), "B1.extra.weight"),
    (states.imdn_rtc(2), "model.1.sub.0.c9.weight"),
    (published.bsrn(4), "B1.norm.weight"),
    (states.abpn(3), "layer_with_weights-9/kernel"),
    (states.srresnet_mxnet(steps=1), "arg:extra_weight"),
    (published.carn((4,), mobile=False, single=True), "upsample.up4.body.9.weight"),
]


@pytest.mark.parametrize(("state", "key"), EXTRA, ids=lambda v: v if isinstance(v, str) else "")
def test_more_is_another_network(state: State, key: str):
    load_model(state)
    says = rf"has a tensor that \w+ does not have: '{key}'; is it another network\? export it to ONNX$"
    with pytest.raises(InputFileError, match=says):
        load_model({**state, key: np.ones(4, np.float32)})
    with pytest.raises(InputFileError, match=rf"has 2 tensors that \w+ does not have: the first is '{key}'; is it"):
        load_model({**state, key: np.ones(4, np.float32), "z": np.ones(4, np.float32)})


def _all_cases() -> list[tuple[State, dict[str, Any]]]:
    from tests.frontend.test_families_published import CASES, network, state_of

    found = [(state, options) for _, state, _, options in first.CASES]
    found += [(state, options) for _, state, _, options in test_families_shared.CASES.values()]
    return found + [(state_of(network(build, shape)), options) for _, build, shape, options in CASES]


def test_no_family_overlooks_a_layer(torch: ModuleType):
    """Beside any layer's weights a third tensor: refused, be it that its family does not recognise it any more."""
    for state, options in _all_cases():
        keys = list(state)
        beside = keys[len(keys) // 2].rpartition(".")[0] or keys[0]
        with pytest.raises(InputFileError, match=r"is it another network|no known architecture") as caught:
            load_model({**state, f"{beside}.more": np.ones(4, np.float32)}, **options)
        assert "\n" not in str(caught.value)


def test_what_does_not_matter():
    state = states.srresnet()
    more = {"block2.total_ops": np.zeros(1), "total_params": np.zeros(1), "block2.bn1.num_batches_tracked": np.ones(1)}
    assert load_model({**state, **more}).checksum == load_model(state).checksum
    slot = {"layer_with_weights-0/kernel/.OPTIMIZER_SLOT/optimizer/m": np.ones((3, 3), np.float32)}
    assert load_model({**states.abpn(3), **slot}).checksum == load_model(states.abpn(3)).checksum
    mean = {"arg:neg_DIV2K_mean": np.ones((1, 3, 1, 1), np.float32)}
    assert load_model({**states.edsr_mxnet(), **mean}).checksum == load_model(states.edsr_mxnet()).checksum


def test_branches_beside_a_deployed_copy(torch: ModuleType):
    from tests.frontend import published_networks as plain
    from tests.frontend.test_families_published import network, state_of

    state = state_of(network(plain.span, {"blocks": 2}))
    copies = [key for key in state if ".eval_conv." in key]
    assert copies and load_model(state).checksum
    deployed = {key: value for key, value in state.items() if ".eval_conv." in key or "conv_cat" in key or "ups" in key}
    with pytest.raises(InputFileError, match=r"'block_1\.c4_r\.eval_conv\.weight'"):
        load_model({**deployed, "block_1.c4_r.eval_conv.weight": np.ones((2, 2, 3, 3), np.float32)})


@pytest.mark.parametrize(
    "key", ["conv_2.weight", "block_1.c5.weight", "block_2.esa.conv4.weight", "block_1.c2_r.weight"]
)
def test_what_is_missing_is_named(key: str):
    state = published.rlfn(4)
    del state[key]
    with pytest.raises(InputFileError, match=rf"is no rlfn: it has no tensor '{key}'$"):
        load_model(state, family="rlfn")


def test_looking_at_what_there_is_reads_nothing():
    state = Watched({"a": np.ones(1, np.float32), "b": np.zeros(1, np.float32)})
    assert "a" in state and "c" not in state and list(state) == ["a", "b"] and len(state) == 2
    assert len(state.items()) == 2 and state.get("c") is None and state.left() == ["a", "b"]
    assert state.with_tensors({"c": np.ones(1, np.float32)})["a"] == 1 and state.left() == ["b"]
