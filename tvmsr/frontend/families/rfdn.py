"""RFDN: residual feature distillation blocks with spatial attention, all of them joined."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import feature_distilled, joined_blocks, shuffled, spatial_attention
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, counted, whole_root

_BLOCK = "B{}.c1_r.weight"


def _recognise(state: State) -> bool:
    needed = ("fea_conv.weight", "c.0.weight", "LR_conv.weight", "upsampler.0.weight", "B1.c1_d.weight")
    if not counted(state, _BLOCK) or not all(key in state for key in needed):
        return False
    return "B1.esa.conv1.weight" in state and whole_root(state["upsampler.0.weight"].shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    keys = [f"B{n}" for n in counted(state, _BLOCK)]
    scale = whole_root(state["upsampler.0.weight"].shape[0], 3)
    assert scale is not None
    slope = choose.take("slope", 0.05, "LeakyReLU as published")

    def block(net: NetBuilder, x: Any, key: str) -> Any:
        return spatial_attention(net, feature_distilled(net, x, key, "leaky", slope), f"{key}.esa")

    def write(net: NetBuilder, x: Any) -> Any:
        first = net.conv(x, "fea_conv")
        fused = net.activate(net.conv(joined_blocks(net, first, keys, block), "c.0"), "leaky", slope)
        return shuffled(net, net.add(net.conv(fused, "LR_conv"), first, "LR_conv.add"), "upsampler.0", scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 255.0, "as published"))


FAMILY = Family("rfdn", "RFDN: residual feature distillation network", _recognise, _recipe)
