"""MoSR: gated convolutional blocks with layer norm (neosr, 2024; after MambaOut), with (geometric) pixel shuffle."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.fold import Linear, folded_conv, linear
from tvmsr.frontend.state import State, whole_root

_EPSILON = 1e-6
#: The geometric pixel shuffle takes the mean of as many predictions.
_ENSEMBLE = 8


def _blocks(state: State) -> list[str]:
    """gblocks.1, gblocks.2 and so on."""
    count = 1
    while f"gblocks.{count}.fc1.weight" in state:
        count += 1
    return [f"gblocks.{n}" for n in range(1, count)]


def _tail(state: State) -> Linear | None:
    """The convolution before the shuffle, a mean of several being one."""
    if "upsampler.0.weight" in state:
        return linear(state, "upsampler.0")
    if "upsampler.in_to_k.weight" not in state:
        return None
    every = linear(state, "upsampler.in_to_k")
    kernel = every.kernel.reshape(*every.kernel.shape[:3], _ENSEMBLE, -1).mean(axis=3)
    return Linear(kernel, every.bias.reshape(_ENSEMBLE, -1).mean(axis=0))


def _recognise(state: State) -> bool:
    needed = ("gblocks.0.weight", "gblocks.1.norm.weight", "shortcut.block.2.weight", "shortcut.conv11.weight")
    if not _blocks(state) or not all(key in state for key in needed):
        return False
    tail = _tail(state)
    return tail is not None and whole_root(tail.kernel.shape[3], 3) is not None


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    """The first half of what fc1 makes gates the second, whose last channels a depthwise convolution goes over."""
    y = net.conv(net.layer_norm(x, f"{key}.norm", _EPSILON), f"{key}.fc1")
    gate, value = net.split(y, net.channels(y) // 2)
    wide = net.state[f"{key}.conv.weight"].shape[0]
    if wide == net.channels(value):
        value = net.conv(value, f"{key}.conv")
    else:
        kept, part = net.split(value, net.channels(value) - wide)
        value = net.concat([kept, net.conv(part, f"{key}.conv")], f"{key}.concat")
    y = net.conv(net.mul(net.activate(gate, "mish"), value, f"{key}.mul"), f"{key}.fc2")
    return net.add(net.activate(y, "mish"), net.affine(x, 1.0, -0.5), f"{key}.add")


def _closing(net: NetBuilder, x: Any, count: int) -> Any:
    for n in (count + 1, count + 3):
        x = net.activate(net.conv(x, f"gblocks.{n}"), "mish")
    return net.conv(x, f"gblocks.{count + 5}")


def _recipe(state: State, choose: Choices) -> Recipe:
    tail, blocks = _tail(state), _blocks(state)
    assert tail is not None
    scale = whole_root(tail.kernel.shape[3], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        closing = _tail(net.state)
        assert closing is not None
        y = net.conv(x, "gblocks.0")
        for key in blocks:
            y = _block(net, y, key)
        y = _closing(net, y, len(blocks))
        side = net.activate(net.conv(x, "shortcut.block.0"), "mish")
        side = net.activate(net.conv(side, "shortcut.block.2"), "mish")
        side = net.add(side, net.conv(x, "shortcut.conv11"), "shortcut.add")
        y = net.add(y, net.affine(side, 1.0, -0.5), "body.add")
        return net.pixel_shuffle(folded_conv(net, y, "upsampler.conv", closing), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("mosr", "MoSR: gated convolutional blocks", _recognise, _recipe)
