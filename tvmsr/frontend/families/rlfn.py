"""RLFN, RLFN-S and the network of NTIRE 2022: three convolutions a block, spatial attention, a long skip."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import shuffled, spatial_attention
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, counted, whole_root

_BLOCK = "block_{}.c1_r.weight"


def _recognise(state: State) -> bool:
    needed = ("conv_1.weight", "conv_2.weight", "upsampler.0.weight", "block_1.c5.weight", "block_1.esa.conv1.weight")
    if not counted(state, _BLOCK) or not all(key in state for key in needed):
        return False
    return whole_root(state["upsampler.0.weight"].shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks = counted(state, _BLOCK)
    scale = whole_root(state["upsampler.0.weight"].shape[0], 3)
    assert scale is not None
    slope = choose.take("slope", 0.05, "LeakyReLU as published")

    def block(net: NetBuilder, x: Any, key: str) -> Any:
        y = x
        for stage in ("c1_r", "c2_r", "c3_r"):
            y = net.activate(net.conv(y, f"{key}.{stage}"), "leaky", slope)
        y = net.conv(net.add(y, x, f"{key}.add"), f"{key}.c5")
        return spatial_attention(net, y, f"{key}.esa")

    def write(net: NetBuilder, x: Any) -> Any:
        first = y = net.conv(x, "conv_1")
        for n in blocks:
            y = block(net, y, f"block_{n}")
        return shuffled(net, net.add(net.conv(y, "conv_2"), first, "conv_2.add"), "upsampler.0", scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 255.0, "as published"))


FAMILY = Family("rlfn", "RLFN: residual local feature network", _recognise, _recipe)
