"""EFDN: edge-enhanced feature distillation (Wang, 2022), with its branches of training and as deployed."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import spatial_attention
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.fold import edge_branches, folded_conv, linear
from tvmsr.frontend.state import State, numbered, whole_root

_CELL = "cells.{}.fuse.weight"


def _recognise(state: State) -> bool:
    needed = ("head.weight", "tail.0.weight", "cells.0.conv2.rep_conv.weight", "cells.0.att.conv_max.weight")
    if len(numbered(state, _CELL)) != 4 or not all(key in state for key in (*needed, "local_fuse.2.weight")):
        return False
    return whole_root(state["tail.0.weight"].shape[0], 3) is not None


def _edges(net: NetBuilder, x: Any, key: str, identity: float) -> Any:
    """EDBB: a 3x3 convolution, and in training 1x1 and edge-oriented branches beside it."""
    one = linear(net.state, f"{key}.rep_conv")
    if f"{key}.conv1x1_3x3.k0" in net.state:
        one = one + linear(net.state, f"{key}.conv1x1") + edge_branches(net.state, key)
        one = one.with_identity(identity) if identity else one
    return net.prelu(folded_conv(net, x, f"{key}.rep_conv", one), f"{key}.act.weight")


def _cell(net: NetBuilder, x: Any, key: str, identity: float) -> Any:
    first = net.prelu(net.conv(x, f"{key}.conv1.conv1x1"), f"{key}.conv1.act.weight")
    second = _edges(net, first, f"{key}.conv2", identity)
    third = _edges(net, second, f"{key}.conv3", identity)
    parts = [net.conv(y, f"{key}.branch.{n}") for n, y in enumerate((x, first, second, third))]
    y = net.conv(net.concat(parts, f"{key}.concat"), f"{key}.fuse")
    return net.add(spatial_attention(net, y, f"{key}.att"), x, f"{key}.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["tail.0.weight"].shape[0], 3)
    assert scale is not None
    identity = 0.0
    if "cells.0.conv2.conv1x1_3x3.k0" in state:
        identity = choose.take("residual_scale", 0.0, "blocks without their input added, as published; 1 with it")

    def write(net: NetBuilder, x: Any) -> Any:
        def fused(n: int, a: Any, b: Any) -> Any:
            return net.conv(net.concat([a, b], f"local_fuse.{n}.concat"), f"local_fuse.{n}")

        head = net.conv(x, "head")
        first = _cell(net, head, "cells.0", identity)
        second = _cell(net, first, "cells.1", identity)
        third = _cell(net, fused(0, first, second), "cells.2", identity)
        fourth = _cell(net, fused(1, second, third), "cells.3", identity)
        y = net.add(fused(2, second, fourth), head, "body.add")
        return net.clip(net.pixel_shuffle(net.conv(y, "tail.0"), scale), 0.0, 1.0)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "it ends in a clip to 0..1, as published"))


FAMILY = Family("efdn", "EFDN: edge-enhanced feature distillation (training and deployed form)", _recognise, _recipe)
