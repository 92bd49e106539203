"""ECBSR: edge-oriented convolution blocks in a row, the picture added, pixel shuffle (Zhang, Zeng and Zhang, 2021).

Both forms: with the branches of training, which are one convolution, and as deployed.
"""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.families.fold import Linear, edge_branches, folded_conv, linear
from tvmsr.frontend.state import State, numbered, whole_root

_CONV = "backbone.{}.conv3x3.weight"


def _recognise(state: State) -> bool:
    layers = numbered(state, _CONV)
    if len(layers) < 2 or not all(key.startswith("backbone.") for key in state):
        return False
    first, last = (state[_CONV.format(n)].shape for n in (layers[0], layers[-1]))
    return first[1] in (1, 3) and whole_root(last[0], first[1]) is not None


def _block(state: State, key: str, identity: float) -> Linear:
    """The convolution that a block is."""
    one = linear(state, f"{key}.conv3x3")
    if f"{key}.conv1x1_3x3.k0" not in state:
        return one
    one = one + edge_branches(state, key)
    same = one.kernel.shape[2] == one.kernel.shape[3]
    return one.with_identity(identity) if same and identity else one


def _recipe(state: State, choose: Choices) -> Recipe:
    layers = numbered(state, _CONV)
    channels = state[_CONV.format(0)].shape[1]
    scale = whole_root(state[_CONV.format(layers[-1])].shape[0], channels)
    assert scale is not None
    identity, activation = 0.0, "prelu"
    if "backbone.0.conv1x1_3x3.k0" in state:
        identity = choose.take("residual_scale", 0.0, "blocks without their input added, as published; 1 with it")
    if "backbone.0.act.weight" not in state:
        activation = choose.take("activation", "relu", "it has no PReLU slopes")
    level = choose.ask("value_range", "255 as its authors train it, 1 as BasicSR does", "ECBSR is trained on both")

    def write(net: NetBuilder, x: Any) -> Any:
        y = x
        for n in layers:
            y = folded_conv(net, y, f"backbone.{n}.conv3x3", _block(state, f"backbone.{n}", identity))
            if n != layers[-1]:
                slopes = f"backbone.{n}.act.weight"
                y = net.prelu(y, slopes) if activation == "prelu" else net.activate(y, activation)
        return net.pixel_shuffle(net.add(y, net.repeat(x, scale**2), "shortcut"), scale)

    return Recipe(write, scale, channels, level, colours_of(channels, choose, Colours.RGB))


FAMILY = Family(
    "ecbsr", "ECBSR: edge-oriented convolution blocks (mobile; training and deployed form)", _recognise, _recipe
)
