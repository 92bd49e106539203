"""Two networks of the efficient super-resolution challenge of 2024: R2Net and ERRN; residual blocks and one gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import Block
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, counted, whole_root

_ENDS = ("conv_1", "conv_2", "upsampler.0")


def _light_attention(net: NetBuilder, x: Any, key: str) -> Any:
    """ESA without the 1x1 convolution beside the small picture."""
    inner = net.conv(x, f"{key}.conv1")
    y = net.max_pool(net.conv(inner, f"{key}.conv2", stride=2, padding=0), 7, 3)
    y = net.add(net.resize_like(net.conv(y, f"{key}.conv3"), x), inner, f"{key}.add")
    return net.mul(x, net.activate(net.conv(y, f"{key}.conv4"), "sigmoid"), f"{key}.mul")


def _r2net_block(net: NetBuilder, x: Any, key: str) -> Any:
    y = net.conv(net.activate(net.conv(x, f"{key}.c1_r"), "leaky", 0.05), f"{key}.c3_r")
    return _light_attention(net, y, f"{key}.esa")


def _errn_block(net: NetBuilder, x: Any, key: str) -> Any:
    """Four convolutions, their input added, and a gate for every pixel."""
    y = x
    for n, layer in enumerate(("rep1_1.rep_conv", "rep1_2.rep_conv", "rep2_1.rep_conv2", "rep2_2.rep_conv2")):
        y = net.conv(y, f"{key}.{layer}")
        y = net.activate(y, "leaky", 0.1) if n < 3 else y
    y = net.add(y, x, f"{key}.add")
    return net.mul(y, net.activate(net.conv(y, f"{key}.ssa.sa_conv"), "sigmoid"), f"{key}.mul")


def _family(name: str, title: str, marks: Sequence[str], block: Block) -> Family:
    """Both networks differ in their blocks only."""

    def recognise(state: State) -> bool:
        needed = (*_ENDS, *(f"block_1.{mark}" for mark in marks))
        others = ("conv_cat.weight", "block_1.c2_r.weight", "block_1.esa.conv_f.weight")
        if not all(f"{key}.weight" in state for key in needed) or any(key in state for key in others):
            return False
        return whole_root(state["upsampler.0.weight"].shape[0], 3) is not None

    def recipe(state: State, choose: Choices) -> Recipe:
        scale = whole_root(state["upsampler.0.weight"].shape[0], 3)
        assert scale is not None
        keys = [f"block_{n}" for n in counted(state, f"block_{{}}.{marks[0]}.weight")]

        def write(net: NetBuilder, x: Any) -> Any:
            first = y = net.conv(x, "conv_1")
            for key in keys:
                y = block(net, y, key)
            y = net.add(net.conv(y, "conv_2"), first, "body.add")
            return net.pixel_shuffle(net.conv(y, "upsampler.0"), scale)

        return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as in the challenge"))

    return Family(name, title, recognise, recipe)


R2NET = _family("r2net", "R2Net (NTIRE 2024)", ("c1_r", "c3_r", "esa.conv3"), _r2net_block)
ERRN = _family("errn", "ERRN (NTIRE 2024)", ("rep1_1.rep_conv", "rep2_2.rep_conv2", "ssa.sa_conv"), _errn_block)
