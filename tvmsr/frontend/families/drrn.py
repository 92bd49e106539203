"""DRRN: one residual unit of two convolutions, applied 25 times to the enlarged picture (Tai, Yang and Liu, 2017)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.state import State

_KEYS = ("input", "conv1", "conv2", "output")
#: Units of the network B1U25; a checkpoint has the weights of one.
_UNITS = 25


def _recognise(state: State) -> bool:
    if set(state) != {f"{key}.weight" for key in _KEYS}:
        return False
    shapes = [state[f"{key}.weight"].shape for key in _KEYS]
    square = shapes[1] == shapes[2] and shapes[1][0] == shapes[1][1] == shapes[0][0] == shapes[3][1]
    return square and shapes[0][1] == shapes[3][0] and shapes[0][1] in (1, 3)


def _recipe(state: State, choose: Choices) -> Recipe:
    channels = state["input.weight"].shape[1]
    scale = choose.ask("scale", "2, 3 or 4", "DRRN enlarges the picture bicubically before the network, by any scale")
    choose.assumed.append(f"{_UNITS} recursions (B1U25, as published; an ONNX file would say)")

    def write(net: NetBuilder, x: Any) -> Any:
        x = net.bicubic(x, scale)
        y = first = net.conv(net.activate(x, "relu"), "input")
        for n in range(_UNITS):
            inner = net.conv(net.activate(y, "relu"), "conv1")
            y = net.add(net.conv(net.activate(inner, "relu"), "conv2"), first, f"unit{n}.add")
        return net.add(net.conv(net.activate(y, "relu"), "output"), x, "residual")

    return Recipe(
        write,
        scale,
        channels,
        choose.take("value_range", 1.0, "as published"),
        colours_of(channels, choose, Colours.RGB),
    )


FAMILY = Family("drrn", "DRRN: deep recursive residual network on the enlarged picture", _recognise, _recipe)
