"""WDSR-A and WDSR-B: wide activations, a linear 5x5 shortcut (Yu et al., 2018); weight norm is folded before."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.tails import DIV2K_MEAN
from tvmsr.frontend.state import State, numbered, whole_root

_BLOCK = "body.{}.body.0.weight"


def _recognise(state: State) -> bool:
    needed = ("head.0.weight", "body.0.body.0.weight", "body.0.body.2.weight", "tail.0.weight", "skip.0.weight")
    if not all(key in state for key in needed) or state["head.0.weight"].shape[1] != 3:
        return False
    tail, skip = state["tail.0.weight"].shape, state["skip.0.weight"].shape
    return tail[0] == skip[0] and skip[1] == 3 and whole_root(tail[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["tail.0.weight"].shape[0], 3)
    assert scale is not None
    scaling = choose.take("residual_scale", 1.0, "blocks without scaling, as published")
    level = choose.take("value_range", 255.0, "it maps 0..255 to about -1..1, as published")

    def write(net: NetBuilder, x: Any) -> Any:
        x = net.affine(x, 2.0 / level, -2.0 * DIV2K_MEAN)
        y = net.conv(x, "head.0")
        for n in numbered(state, _BLOCK):
            inner = net.conv(net.activate(net.conv(y, f"body.{n}.body.0"), "relu"), f"body.{n}.body.2")
            if f"body.{n}.body.3.weight" in state:
                inner = net.conv(inner, f"body.{n}.body.3")
            y = net.add(net.affine(inner, scaling, 0.0), y, f"body.{n}.add")
        y = net.pixel_shuffle(net.conv(y, "tail.0"), scale)
        y = net.add(y, net.pixel_shuffle(net.conv(x, "skip.0"), scale), "skip.add")
        return net.affine(y, level / 2.0, level * DIV2K_MEAN)

    return Recipe(write, scale, value_range=level)


FAMILY = Family("wdsr", "WDSR-A and WDSR-B: wide activation", _recognise, _recipe)
