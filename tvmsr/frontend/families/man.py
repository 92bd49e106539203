"""MAN: multi-scale large kernel attention, which is depthwise convolutions and products (Wang et al., 2022)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_BLOCK = "body.{}.body.0.LKA.proj_first.0.weight"
_EPSILON = 1e-6
#: Of the second convolution of a large kernel; its weights do not tell it, its name does.
_DILATION = {"LKA3": 2, "LKA5": 3, "LKA7": 4, "att": 3}


def _recognise(state: State) -> bool:
    needed = ("head.weight", "tail.0.weight", "body.0.body.0.LFE.DWConv1.weight", "body.0.body_t.att.1.weight")
    if not numbered(state, _BLOCK) or not all(key in state for key in needed):
        return False
    return whole_root(state["tail.0.weight"].shape[0], 3) is not None


def _large(net: NetBuilder, x: Any, key: str) -> Any:
    """Depthwise, depthwise with dilation, 1x1."""
    dilation = _DILATION[key.rpartition(".")[2]]
    return net.conv(net.conv(net.conv(x, f"{key}.0"), f"{key}.1", dilation=dilation), f"{key}.2")


def _scaled(net: NetBuilder, y: Any, x: Any, key: str) -> Any:
    """Y times a learnt factor per channel, plus x."""
    return net.add(net.affine(y, net.state[f"{key}.scale"].reshape(-1), 0.0), x, f"{key}.add")


def _attended(net: NetBuilder, x: Any, key: str) -> Any:
    y = net.conv(net.layer_norm(x, f"{key}.norm", _EPSILON), f"{key}.proj_first.0")
    gate, value = net.split(y, net.channels(y) // 2)
    third, gates = net.channels(gate) // 3, []
    for n in (3, 5, 7):
        part, gate = net.split(gate, third) if n < 7 else (gate, gate)
        gates.append(net.mul(_large(net, part, f"{key}.LKA{n}"), net.conv(part, f"{key}.X{n}")))
    y = net.mul(value, net.concat(gates, f"{key}.concat"), f"{key}.mul")
    return _scaled(net, net.conv(y, f"{key}.proj_last.0"), x, key)


def _gated(net: NetBuilder, x: Any, key: str) -> Any:
    y = net.conv(net.layer_norm(x, f"{key}.norm", _EPSILON), f"{key}.Conv1")
    gate, value = net.split(y, net.channels(y) // 2)
    y = net.mul(value, net.conv(gate, f"{key}.DWConv1"), f"{key}.mul")
    return _scaled(net, net.conv(y, f"{key}.Conv2"), x, key)


def _group(net: NetBuilder, x: Any, key: str) -> Any:
    y = x
    for n in numbered(net.state, f"{key}.body.{{}}.LKA.proj_first.0.weight"):
        y = _gated(net, _attended(net, y, f"{key}.body.{n}.LKA"), f"{key}.body.{n}.LFE")
    inner = net.activate(net.conv(y, f"{key}.body_t.conv0.0"), "gelu")
    y = net.mul(inner, _large(net, inner, f"{key}.body_t.att"), f"{key}.body_t.mul")
    return net.add(net.conv(y, f"{key}.body_t.conv1"), x, f"{key}.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["tail.0.weight"].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        first = y = net.conv(x, "head")
        for n in numbered(state, _BLOCK):
            y = _group(net, y, f"body.{n}")
        if "body_t.weight" in state:
            y = net.add(net.conv(y, "body_t"), first, "body.add")
        return net.pixel_shuffle(net.conv(y, "tail.0"), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("man", "MAN: multi-scale (large kernel) attention network", _recognise, _recipe)
