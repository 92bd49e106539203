"""FMEN: re-parameterised convolutions in pairs, each followed by attention from a narrow branch; a long skip."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import shuffled
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_PAIR = "ERBs.{}.conv1.rep_conv.weight"


def _recognise(state: State) -> bool:
    pairs, tail = numbered(state, _PAIR), state.get("tail.0.weight")
    needed = ["head.weight", "warmup.0.weight", "lr_conv.weight", *(f"HFABs.{n}.squeeze.weight" for n in pairs)]
    if not pairs or tail is None or not all(key in state for key in needed):
        return False
    return whole_root(tail.shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["tail.0.weight"].shape[0], 3)
    assert scale is not None
    slope = choose.take("slope", 0.1, "LeakyReLU as published")

    def pair(net: NetBuilder, x: Any, key: str) -> Any:
        inner = net.activate(net.conv(x, f"{key}.conv1.rep_conv"), "leaky", slope)
        return net.conv(inner, f"{key}.conv2.rep_conv")

    def attention(net: NetBuilder, x: Any, key: str) -> Any:
        y = net.activate(net.conv(x, f"{key}.squeeze"), "leaky", slope)
        for n in numbered(state, f"{key}.convs.{{}}.conv1.rep_conv.weight"):
            y = pair(net, y, f"{key}.convs.{n}")
        gate = net.conv(net.activate(y, "leaky", slope), f"{key}.excitate")
        return net.mul(x, net.activate(gate, "sigmoid"), f"{key}.mul")

    def write(net: NetBuilder, x: Any) -> Any:
        first = net.conv(x, "head")
        y = attention(net, net.conv(first, "warmup.0"), "warmup.1")
        for n in numbered(state, _PAIR):
            y = attention(net, pair(net, y, f"ERBs.{n}"), f"HFABs.{n}")
        return shuffled(net, net.add(net.conv(y, "lr_conv"), first, "lr_conv.add"), "tail.0", scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 255.0, "as published"))


FAMILY = Family("fmen", "FMEN: fast and memory-efficient network, re-parameterised", _recognise, _recipe)
