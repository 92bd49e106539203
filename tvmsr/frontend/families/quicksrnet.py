"""QuickSRNet small, medium and large: 3x3 convolutions clipped to 0..1, pixel shuffle (Berger et al., 2023).

Keys of the AIMET model zoo. The large one adds a 1x1 convolution of the picture before the shuffle.
"""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, whole_root

_CONV = "cnn.{}.weight"


def convs_of(state: State) -> list[str]:
    """cnn.0, cnn.2 and so on, as long as each reads what the one before made."""
    found: list[str] = []
    channels = 3
    while (weight := state.get(_CONV.format(2 * len(found)))) is not None and weight.shape[1:] == (channels, 3, 3):
        found.append(f"cnn.{2 * len(found)}")
        channels = weight.shape[0]
    return found


def _recognise(state: State) -> bool:
    convs, last = convs_of(state), state.get("conv_last.weight")
    if not convs or last is None or last.shape[2:] != (3, 3) or whole_root(last.shape[0], 3) is None:
        return False
    return all(key.startswith(("cnn.", "conv_last.", "anchor.")) for key in state)


def _recipe(state: State, choose: Choices) -> Recipe:
    convs = convs_of(state)
    scale = whole_root(state["conv_last.weight"].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        y = x
        for key in convs:
            y = net.clip(net.conv(y, key), 0.0, 1.0)
        y = net.conv(y, "conv_last")
        if "anchor.net.weight" in state:
            y = net.add(y, net.conv(x, "anchor.net"), "anchor.add")
        return net.pixel_shuffle(net.clip(y, 0.0, 1.0), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "clips to 0..1, as published"))


FAMILY = Family("quicksrnet", "QuickSRNet small, medium, large (AIMET keys)", _recognise, _recipe)
