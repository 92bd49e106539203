"""IMDN as its authors entered AIM 2019 with it: more blocks, no attention, a long skip."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import distilled, long_skip, shuffled
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_BLOCK = "model.1.sub.{}.conv1.0.weight"
_STAGES = ("conv1.0", "conv2.0", "conv3.0", "conv4")


def _recognise(state: State) -> bool:
    blocks, tail = numbered(state, _BLOCK), state.get("model.2.weight")
    needed = [f"model.1.sub.0.{stage}.weight" for stage in (*_STAGES, "conv1x1")]
    closed = f"model.1.sub.{len(blocks)}.weight" in state and "model.0.weight" in state
    whole = tail is not None and whole_root(tail.shape[0], 3) is not None
    return closed and whole and all(key in state for key in needed)


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks = numbered(state, _BLOCK)
    scale = whole_root(state["model.2.weight"].shape[0], 3)
    assert scale is not None
    slope = choose.take("slope", 0.05, "LeakyReLU as published")

    def block(net: NetBuilder, x: Any, key: str) -> Any:
        joined = distilled(net, x, key, _STAGES, "leaky", slope)
        return net.add(net.conv(joined, f"{key}.conv1x1"), x, f"{key}.add")

    def write(net: NetBuilder, x: Any) -> Any:
        return shuffled(net, long_skip(net, x, "model.0", "model.1.sub", blocks, block), "model.2", scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("imdn_aim", "IMDN, the variant of AIM 2019 without attention", _recognise, _recipe)
