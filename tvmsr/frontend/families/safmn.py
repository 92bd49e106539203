"""SAFMN: gates made of features at four sizes, convolutional channel mixers (Sun et al., 2023)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_BLOCK = "feats.{}.safm.aggr.weight"
_EPSILON = 1e-6


def _recognise(state: State) -> bool:
    needed = ("to_feat.weight", "to_img.0.weight", "feats.0.norm1.weight", "feats.0.ccm.ccm.2.weight")
    if not numbered(state, _BLOCK) or not all(key in state for key in needed):
        return False
    return whole_root(state["to_img.0.weight"].shape[0], 3) is not None


def _modulated(net: NetBuilder, x: Any, key: str) -> Any:
    """A gate of x: parts of its channels pooled by 1, 2, 4 and so on, convolved each for itself, enlarged again."""
    levels = len(numbered(net.state, f"{key}.mfr.{{}}.weight"))
    rest, width, made = x, net.channels(x) // levels, []
    for n in range(levels):
        part, rest = net.split(rest, width) if n < levels - 1 else (rest, rest)
        pooled = net.max_pool(part, 2**n, 2**n) if n else part
        y = net.conv(pooled, f"{key}.mfr.{n}")
        made.append(net.as_large_as(net.nearest(y, 2**n), x) if n else y)
    gate = net.activate(net.conv(net.concat(made, f"{key}.concat"), f"{key}.aggr"), "gelu")
    return net.mul(gate, x, f"{key}.mul")


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    normed = net.layer_norm(x, f"{key}.norm1", _EPSILON)
    x = net.add(_modulated(net, normed, f"{key}.safm"), x, f"{key}.safm.add")
    inner = net.activate(net.conv(net.layer_norm(x, f"{key}.norm2", _EPSILON), f"{key}.ccm.ccm.0"), "gelu")
    return net.add(net.conv(inner, f"{key}.ccm.ccm.2"), x, f"{key}.ccm.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["to_img.0.weight"].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        first = y = net.conv(x, "to_feat")
        for n in numbered(state, _BLOCK):
            y = _block(net, y, f"feats.{n}")
        return net.pixel_shuffle(net.conv(net.add(y, first, "feats.add"), "to_img.0"), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("safmn", "SAFMN: spatially-adaptive feature modulation", _recognise, _recipe)
