"""VDSR: the picture enlarged bicubically, then 3x3 convolutions with ReLU that make what is added (Kim et al., 2016).

Three styles of keys: two of networks on Y without biases, one on RGB less its mean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.families.tails import range_of_mean, shifted
from tvmsr.frontend.state import State, numbered


@dataclass(frozen=True)
class _Style:
    first: str
    middle: str
    last: str


_ON_Y = (_Style("input", "residual_layer.{}.conv", "output"), _Style("conv1.0", "trunk.{}.conv", "conv2"))
_ON_RGB = re.compile(r"body\.\d+(\.0)?\.weight")


def _convs(state: State) -> Sequence[str]:
    """The keys of the convolutions in their order; none where it is no VDSR."""
    for style in _ON_Y:
        middle = [style.middle.format(n) for n in numbered(state, style.middle + ".weight")]
        keys = [style.first, *middle, style.last]
        if middle and all(f"{key}.weight" in state for key in keys):
            return keys if len(state) == sum(f"{key}.{part}" in state for key in keys for part in _PARTS) else ()
    found = [key for key in state if _ON_RGB.fullmatch(key)]
    if "sub_mean.weight" not in state or "add_mean.weight" not in state or not found:
        return ()
    keys = [key.removesuffix(".weight") for key in sorted(found, key=lambda key: int(key.split(".")[1]))]
    known = {f"{key}.{part}" for key in (*keys, "sub_mean", "add_mean") for part in _PARTS}
    return keys if set(state) <= known else ()


_PARTS = ("weight", "bias")


def _recognise(state: State) -> bool:
    convs = _convs(state)
    shapes = [state[f"{key}.weight"].shape for key in convs]
    plain = len(shapes) > 2 and all(len(shape) == 4 and shape[2:] == (3, 3) for shape in shapes)
    return plain and shapes[0][1] == shapes[-1][0] and shapes[0][1] in (1, 3)


def _recipe(state: State, choose: Choices) -> Recipe:
    convs = _convs(state)
    channels = state[f"{convs[0]}.weight"].shape[1]
    scale = choose.ask("scale", "2, 3 or 4", "VDSR enlarges the picture bicubically before the network, by any scale")
    if "sub_mean.weight" in state:
        level = range_of_mean(state, choose)
    else:
        level = choose.take("value_range", 1.0, "as published")

    def write(net: NetBuilder, x: Any) -> Any:
        y = x = shifted(net, net.bicubic(x, scale), "sub_mean")
        for key in convs:
            y = net.activate(net.conv(y, key), "relu" if key != convs[-1] else "none")
        return shifted(net, net.add(y, x, "residual"), "add_mean")

    return Recipe(write, scale, channels, level, colours_of(channels, choose, Colours.RGB))


FAMILY = Family("vdsr", "VDSR: very deep residual network on the enlarged picture", _recognise, _recipe)
