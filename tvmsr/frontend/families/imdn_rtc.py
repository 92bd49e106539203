"""IMDN_RTC: information multi-distillation blocks without attention, 12 channels."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import distilled, long_skip, shuffled
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_BLOCK = "model.1.sub.{}.c1.weight"


def _recognise(state: State) -> bool:
    blocks, tail = numbered(state, _BLOCK), state.get("model.2.weight")
    if not blocks or tail is None or any(".cca." in key for key in state):
        return False
    closing = state.get(f"model.1.sub.{len(blocks)}.weight")
    fuse = state.get("model.1.sub.0.c5.weight")
    return closing is not None and fuse is not None and whole_root(tail.shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks = numbered(state, _BLOCK)
    scale = whole_root(state["model.2.weight"].shape[0], 3)
    assert scale is not None
    slope = choose.take("slope", 0.05, "LeakyReLU as published")

    def block(net: NetBuilder, x: Any, key: str) -> Any:
        joined = distilled(net, x, key, ("c1", "c2", "c3", "c4"), "leaky", slope)
        return net.add(net.conv(joined, f"{key}.c5"), x, f"{key}.add")

    def write(net: NetBuilder, x: Any) -> Any:
        return shuffled(net, long_skip(net, x, "model.0", "model.1.sub", blocks, block), "model.2", scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("imdn_rtc", "IMDN_RTC: information multi-distillation, real-time size", _recognise, _recipe)
