"""ESPCN: two convolutions with tanh (or ReLU), one convolution, pixel shuffle; on Y as published."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, whole_root
from tvmsr.graph.model import Colour


def _convs(state: State) -> list[str]:
    """Keys of the convolutions before the last: first_part.0, first_part.2, ..."""
    found = sorted(
        (int(key.split(".")[1]), key.removesuffix(".weight"))
        for key in state
        if key.startswith("first_part.") and key.endswith(".weight") and state[key].ndim == 4
    )
    return [key for _, key in found]


def _recognise(state: State) -> bool:
    last = state.get("last_part.0.weight")
    if last is None or last.ndim != 4 or not _convs(state):
        return False
    colours = state[_convs(state)[0] + ".weight"].shape[1]
    return colours in (1, 3) and whole_root(last.shape[0], colours) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    convs = _convs(state)
    channels = state[convs[0] + ".weight"].shape[1]
    scale = whole_root(state["last_part.0.weight"].shape[0], channels)
    assert scale is not None
    activation = choose.take("activation", "tanh", "as ESPCN was published")
    if channels == 1:
        colour = Colour(choose.take("colour", Colour.Y, "one channel: BT.601 studio-range Y"))
    else:
        colour = Colour(choose.ask("colour", "rgb", "three channels may be RGB or YCbCr, and only RGB is supported"))

    def write(net: NetBuilder, x: Any) -> Any:
        for key in convs:
            x = net.activate(net.conv(x, key), activation)
        return net.pixel_shuffle(net.conv(x, "last_part.0"), scale)

    return Recipe(write, scale, channels, choose.take("value_range", 1.0, "as published"), colour)


FAMILY = Family("espcn", "ESPCN: efficient sub-pixel convolution", _recognise, _recipe)
