"""SRDenseNet: dense blocks whose inputs and outputs are all joined, two transposed convolutions (Tong et al., 2017)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.state import State, numbered

_BLOCK = "dense_blocks.{}.block.0.conv.weight"


def _recognise(state: State) -> bool:
    needed = ("conv.conv.weight", "bottleneck.0.weight", "deconv.0.weight", "reconstruction.weight")
    return bool(numbered(state, _BLOCK)) and all(key in state for key in needed)


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    """Its input, and all that its layers made of it, each of all before."""
    made = net.activate(net.conv(x, f"{key}.block.0.conv"), "relu")
    for n in numbered(net.state, f"{key}.block.{{}}.conv.weight")[1:]:
        made = net.concat([made, net.activate(net.conv(made, f"{key}.block.{n}.conv"), "relu")])
    return net.concat([x, made], f"{key}.concat")


def _recipe(state: State, choose: Choices) -> Recipe:
    channels = state["conv.conv.weight"].shape[1]
    steps = [n for n in range(0, 2 * len(state), 2) if f"deconv.{n}.weight" in state]

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.activate(net.conv(x, "conv.conv"), "relu")
        for n in numbered(state, _BLOCK):
            y = _block(net, y, f"dense_blocks.{n}")
        y = net.activate(net.conv(y, "bottleneck.0"), "relu")
        for n in steps:
            y = net.activate(net.deconv(y, f"deconv.{n}", 2, padding=1, output_padding=1), "relu")
        return net.conv(y, "reconstruction")

    level = choose.take("value_range", 1.0, "as published")
    return Recipe(write, 2 ** len(steps), channels, level, colours_of(channels, choose, Colours.RGB))


FAMILY = Family("srdensenet", "SRDenseNet: densely connected", _recognise, _recipe)
