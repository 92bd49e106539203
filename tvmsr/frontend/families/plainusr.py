"""PlainUSR, ultra: plain blocks on a part of the channels (Wang et al., 2024), with its branches and as deployed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.fold import Linear, folded_conv, linear
from tvmsr.frontend.state import State, whole_root

_SLOPE = 0.05


def _attention(state: State) -> str | None:
    """The key of the convolution that makes the gate of the middle block."""
    for n in (3, 4):
        weight = state.get(f"blockm.body.{n}.body.0.weight")
        if weight is not None and weight.shape[2:] == (3, 3):
            return f"blockm.body.{n}.body.0"
    return None


def _recognise(state: State) -> bool:
    tail = state.get("tail.0.weight")
    blocks = all(any(key.startswith(f"{block}.body.0.") for key in state) for block in ("block1", "block2"))
    if tail is None or "head.weight" not in state or not blocks or _attention(state) is None:
        return False
    return whole_root(tail.shape[0], 3) is not None


def _mobile(state: State, key: str) -> Linear:
    """A block that widens, convolves, scales by a constant made of a vector, narrows, and adds its input."""
    if f"{key}.expand_conv.weight" not in state:
        return linear(state, key)
    vector = state[f"{key}.se.tensor"].reshape(-1).astype(np.float64)
    hidden = state[f"{key}.se.se.1.weight"].astype(np.float64) @ vector
    hidden = hidden / (1.0 + np.exp(-hidden))
    gate = 1.0 / (1.0 + np.exp(-(state[f"{key}.se.se.3.weight"].astype(np.float64) @ hidden)))
    wide = linear(state, f"{key}.fea_conv").scaled(gate).with_identity()
    return linear(state, f"{key}.expand_conv").then(wide).then(linear(state, f"{key}.reduce_conv")).with_identity()


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    """On the first channels, as many as its convolutions read."""
    first, second = (_mobile(net.state, f"{key}.body.{n}") for n in (0, 2))
    part, rest = net.split(x, first.kernel.shape[2])
    y = net.activate(folded_conv(net, part, f"{key}.body.0", first), "leaky", _SLOPE)
    y = folded_conv(net, y, f"{key}.body.2", second)
    attention = _attention(net.state)
    if key == "blockm" and attention is not None:
        y = _gated(net, y, attention)
    return net.concat([y, rest], f"{key}.concat")


def _gated(net: NetBuilder, x: Any, key: str) -> Any:
    """Times a gate for every value, and the gate of the first channel, which in training a 1x1 convolution makes."""
    partial = key.replace(".body.0", "").replace("body.4", "body.3") + ".conv"
    if f"{partial}.weight" in net.state:
        _, rest = net.split(x, 1)
        x = net.concat([net.conv(x, partial), rest])
    one, _ = net.split(x, 1)
    gated = net.mul(x, net.activate(one, "sigmoid"))
    return net.mul(gated, net.activate(net.conv(x, key), "sigmoid"), "blockm.mul")


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["tail.0.weight"].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.conv(x, "head")
        for key in ("block1", "blockm", "block2"):
            y = _block(net, y, key)
        return net.pixel_shuffle(net.conv(y, "tail.0"), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("plainusr", "PlainUSR, ultra (training and deployed form)", _recognise, _recipe)
