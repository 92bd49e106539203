"""IMDN_RTC: information multi-distillation blocks without attention, 12 channels."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
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
        kept, rest = [], x
        for stage in ("c1", "c2", "c3"):
            wanted = state[f"{key}.c{int(stage[1]) + 1}.weight"].shape[1]
            made = net.activate(net.conv(rest, f"{key}.{stage}"), "leaky", slope)
            part, rest = net.split(made, state[f"{key}.{stage}.weight"].shape[0] - wanted)
            kept.append(part)
        kept.append(net.conv(rest, f"{key}.c4"))
        return net.add(net.conv(net.concat(kept, f"{key}.concat"), f"{key}.c5"), x, f"{key}.add")

    def write(net: NetBuilder, x: Any) -> Any:
        first = y = net.conv(x, "model.0")
        for n in blocks:
            y = block(net, y, f"model.1.sub.{n}")
        y = net.add(net.conv(y, f"model.1.sub.{len(blocks)}"), first, "model.1.add")
        return net.pixel_shuffle(net.conv(y, "model.2"), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("imdn_rtc", "IMDN_RTC: information multi-distillation, real-time size", _recognise, _recipe)
