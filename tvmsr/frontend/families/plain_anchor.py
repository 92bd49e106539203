"""Our own default network: 3x3 convolutions with ReLU, the input repeated and added, pixel shuffle, no clip."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_CONV = "conv.{}.weight"


def _recognise(state: State) -> bool:
    layers = numbered(state, _CONV)
    if len(layers) < 2 or len(state) != 2 * len(layers):
        return False
    shapes = [state[_CONV.format(n)].shape for n in layers]
    plain = all(len(s) == 4 and s[2:] == (3, 3) for s in shapes)
    return plain and shapes[0][1] == 3 and whole_root(shapes[-1][0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    layers = numbered(state, _CONV)
    scale = whole_root(state[_CONV.format(layers[-1])].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        y = x
        for n in layers[:-1]:
            y = net.activate(net.conv(y, f"conv.{n}"), "relu")
        y = net.add(net.conv(y, f"conv.{layers[-1]}"), net.repeat(x, scale**2), "anchor")
        return net.pixel_shuffle(y, scale)

    return Recipe(write, scale, value_range=choose.given("value_range") or 1.0)


FAMILY = Family("plain_anchor", "plain net with anchor: the default networks of tvmsr", _recognise, _recipe)
