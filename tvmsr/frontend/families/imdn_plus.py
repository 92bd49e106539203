"""IMDN+: six stages of narrowing convolutions with SiLU a block, no attention, a long skip."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import distilled, long_skip, shuffled
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_BLOCK = "FEM.1.sub.{}.c1.weight"
_STAGE = "FEM.1.sub.0.c{}.weight"


def _stages(state: State) -> list[str]:
    """c1, c2 and so on; the last one is the 1x1 convolution that joins the others."""
    count = 1
    while _STAGE.format(count) in state:
        count += 1
    return [f"c{n}" for n in range(1, count)]


def _recognise(state: State) -> bool:
    blocks, tail = numbered(state, _BLOCK), state.get("RM.0.weight")
    if not blocks or tail is None or "FEM.0.weight" not in state or len(_stages(state)) < 3:
        return False
    return f"FEM.1.sub.{len(blocks)}.weight" in state and whole_root(tail.shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks = numbered(state, _BLOCK)
    *stages, fuse = _stages(state)
    scale = whole_root(state["RM.0.weight"].shape[0], 3)
    assert scale is not None

    def block(net: NetBuilder, x: Any, key: str) -> Any:
        joined = distilled(net, x, key, stages, "silu", last=True)
        return net.add(net.conv(joined, f"{key}.{fuse}"), x, f"{key}.add")

    def write(net: NetBuilder, x: Any) -> Any:
        return shuffled(net, long_skip(net, x, "FEM.0", "FEM.1.sub", blocks, block), "RM.0", scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("imdn_plus", "IMDN+: narrowing information multi-distillation with SiLU", _recognise, _recipe)
