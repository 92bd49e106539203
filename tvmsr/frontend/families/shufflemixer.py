"""ShuffleMixer: layers on half of the channels, channel shuffles, large depthwise kernels (Sun et al., 2022)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.tails import enlarge, factor, steps_of
from tvmsr.frontend.state import State, numbered

_BLOCK = "blocks.{}.conv.0.weight"
_GROUPS, _EPSILON = 8, 1e-5


def _recognise(state: State) -> bool:
    needed = ("to_feat.weight", "blocks.0.net.0.mlp1.fc.0.weight", "blocks.0.net.0.spatial.weight", "tail.weight")
    # The name of the upsampler is misspelt in all checkpoints.
    return all(key in state for key in needed) and bool(steps_of(state, "upsapling", 3))


def _mlp(net: NetBuilder, x: Any, key: str) -> Any:
    half = net.channels(x) // 2
    first, second = net.split(x, half)
    inner = net.activate(net.conv(first, f"{key}.fc.0"), "silu")
    joined = net.concat([net.conv(inner, f"{key}.fc.2"), second], f"{key}.concat")
    return net.shuffle_channels(joined, _GROUPS)


def _layer(net: NetBuilder, x: Any, key: str) -> Any:
    for n, spatial in ((1, True), (2, False)):
        normed = net.layer_norm(x, f"{key}.norm{n}.body", _EPSILON)
        x = net.add(_mlp(net, normed, f"{key}.mlp{n}"), x, f"{key}.mlp{n}.add")
        x = net.conv(x, f"{key}.spatial") if spatial else x
    return x


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    y = _layer(net, _layer(net, x, f"{key}.net.0"), f"{key}.net.1")
    x = net.add(y, x, f"{key}.net.add")
    inner = net.activate(net.conv(x, f"{key}.conv.0"), "silu")
    return net.add(net.conv(inner, f"{key}.conv.2"), x, f"{key}.conv.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    steps = steps_of(state, "upsapling", 3)

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.conv(x, "to_feat")
        for n in numbered(state, _BLOCK):
            y = _block(net, y, f"blocks.{n}")
        y = net.conv(enlarge(net, y, steps, "silu"), "tail")
        return net.add(y, net.bilinear(x, factor(steps)), "skip")

    return Recipe(write, factor(steps), value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("shufflemixer", "ShuffleMixer", _recognise, _recipe)
