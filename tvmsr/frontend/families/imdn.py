"""IMDN: information multi-distillation blocks with contrast-aware channel attention, all of them joined."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import channel_attention, distilled, joined_blocks, shuffled
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, counted, whole_root

_BLOCK = "IMDB{}.c1.weight"


def _recognise(state: State) -> bool:
    needed = ("fea_conv.weight", "c.0.weight", "LR_conv.weight", "upsampler.0.weight", "IMDB1.cca.conv_du.0.weight")
    if not counted(state, _BLOCK) or not all(key in state for key in needed):
        return False
    return whole_root(state["upsampler.0.weight"].shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    keys = [f"IMDB{n}" for n in counted(state, _BLOCK)]
    scale = whole_root(state["upsampler.0.weight"].shape[0], 3)
    assert scale is not None
    slope = choose.take("slope", 0.05, "LeakyReLU as published")

    def block(net: NetBuilder, x: Any, key: str) -> Any:
        joined = distilled(net, x, key, ("c1", "c2", "c3", "c4"), "leaky", slope)
        gated = channel_attention(net, joined, f"{key}.cca")
        return net.add(net.conv(gated, f"{key}.c5"), x, f"{key}.add")

    def write(net: NetBuilder, x: Any) -> Any:
        first = net.conv(x, "fea_conv")
        fused = net.activate(net.conv(joined_blocks(net, first, keys, block), "c.0"), "leaky", slope)
        return shuffled(net, net.add(net.conv(fused, "LR_conv"), first, "LR_conv.add"), "upsampler.0", scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("imdn", "IMDN: information multi-distillation network", _recognise, _recipe)
