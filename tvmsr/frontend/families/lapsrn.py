"""LapSRN: a Laplacian pyramid of transposed convolutions (Lai et al., 2017); the largest picture is the output."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.state import State, counted

_LEVEL = "convt_I{}.weight"
_SLOPE = 0.2


def _recognise(state: State) -> bool:
    needed = ("conv_input.weight", "convt_R1.weight", "convt_F1.0.cov_block.0.weight")
    return bool(counted(state, _LEVEL)) and all(key in state for key in needed)


def _features(net: NetBuilder, x: Any, key: str) -> Any:
    """Convolutions, the last of them transposed by 2."""
    layers = [n for n in range(0, 100, 2) if f"{key}.{n}.weight" in net.state]
    for n in layers:
        y = net.deconv(x, f"{key}.{n}", 2, padding=1) if n == layers[-1] else net.conv(x, f"{key}.{n}")
        x = net.activate(y, "leaky", _SLOPE)
    return x


def _recipe(state: State, choose: Choices) -> Recipe:
    levels, channels = counted(state, _LEVEL), state["conv_input.weight"].shape[1]

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.activate(net.conv(x, "conv_input"), "leaky", _SLOPE)
        for n in levels:
            y = _features(net, y, f"convt_F{n}.0.cov_block")
            x = net.add(net.deconv(x, f"convt_I{n}", 2, padding=1), net.conv(y, f"convt_R{n}"), f"level{n}.add")
        return x

    level = choose.take("value_range", 1.0, "as published")
    return Recipe(write, 2 ** len(levels), channels, level, colours_of(channels, choose, Colours.RGB))


FAMILY = Family("lapsrn", "LapSRN: Laplacian pyramid", _recognise, _recipe)
