"""SAFMN++: one gate at an eighth of the size on a third of the channels, no norms (NTIRE 2024)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_BLOCK = "feats.{}.conv1.proj.weight"
_STEP = 8


def _recognise(state: State) -> bool:
    needed = ("to_feat.weight", "to_img.0.weight", "feats.0.conv1.dwconv.weight", "feats.0.conv2.conv1.weight")
    if not numbered(state, _BLOCK) or not all(key in state for key in needed):
        return False
    return whole_root(state["to_img.0.weight"].shape[0], 3) is not None


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    part, rest = net.split(net.conv(x, f"{key}.conv1.proj"), net.state[f"{key}.conv1.dwconv.weight"].shape[0])
    small = net.conv(net.max_pool(part, _STEP, _STEP), f"{key}.conv1.dwconv")
    large = net.as_large_as(net.bilinear(small, _STEP), part)
    gated = net.mul(net.activate(large, "gelu"), part, f"{key}.conv1.mul")
    y = net.conv(net.activate(net.concat([rest, gated], f"{key}.concat"), "gelu"), f"{key}.conv1.out")
    y = net.conv(net.activate(net.conv(y, f"{key}.conv2.conv1"), "gelu"), f"{key}.conv2.conv2")
    return net.add(y, x, f"{key}.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["to_img.0.weight"].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.conv(x, "to_feat")
        for n in numbered(state, _BLOCK):
            y = _block(net, y, f"feats.{n}")
        return net.add(net.pixel_shuffle(net.conv(y, "to_img.0"), scale), net.bilinear(x, scale), "skip")

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("safmnpp", "SAFMN++ (NTIRE 2024)", _recognise, _recipe)
