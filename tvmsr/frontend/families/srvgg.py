"""SRVGGNetCompact: convolutions with PReLU in a row, pixel shuffle, plus the input enlarged by nearest neighbour."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, whole_root


def _convs(state: State) -> list[int]:
    return sorted(
        int(key.split(".")[1])
        for key, value in state.items()
        if key.startswith("body.") and key.count(".") == 2 and key.endswith(".weight") and value.ndim == 4
    )


def _recognise(state: State) -> bool:
    convs = _convs(state)
    if len(convs) < 2 or convs != list(range(0, 2 * len(convs), 2)) or not all(k.startswith("body.") for k in state):
        return False
    first, last = (state[f"body.{n}.weight"] for n in (convs[0], convs[-1]))
    return first.shape[1] == 3 and whole_root(last.shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    convs = _convs(state)
    scale = whole_root(state[f"body.{convs[-1]}.weight"].shape[0], 3)
    assert scale is not None
    if "body.1.weight" in state:
        activation, slope = "prelu", 0.0
    else:
        activation = choose.ask("activation", "relu or leaky", "it has no PReLU slopes: ReLU or LeakyReLU 0.1")
        slope = choose.take("slope", 0.1, "as in Real-ESRGAN") if activation == "leaky" else 0.0

    def write(net: NetBuilder, x: Any) -> Any:
        y = x
        for n in convs[:-1]:
            y = net.conv(y, f"body.{n}")
            y = net.prelu(y, f"body.{n + 1}.weight") if activation == "prelu" else net.activate(y, activation, slope)
        y = net.pixel_shuffle(net.conv(y, f"body.{convs[-1]}"), scale)
        return net.add(y, net.nearest(x, scale), "skip")

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as in Real-ESRGAN"))


FAMILY = Family("srvgg", "SRVGGNetCompact (Real-ESRGAN compact, realesr-animevideov3)", _recognise, _recipe)
