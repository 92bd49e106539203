"""CARN and CARN-M: cascading residual networks (Ahn, Kang and Sohn, 2018), for one scale or with tails for several.

In CARN-M the residual blocks are grouped, and the three of a cascade are one and the same.
"""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import Block
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.tails import Steps, factor, range_of_mean, shifted
from tvmsr.frontend.state import State

_TAILS = ("up", "up2", "up3", "up4")


def _tails(state: State) -> dict[int, Steps]:
    """The steps of every scale that the checkpoint has a tail for; groups do not show in outputs."""
    found: dict[int, Steps] = {}
    width = state["entry.weight"].shape[0]
    for name in _TAILS:
        keys = [key for n in (0, 3, 6) if f"{(key := f'upsample.{name}.body.{n}')}.weight" in state]
        steps = [(key, round((state[f"{key}.weight"].shape[0] / width) ** 0.5)) for key in keys]
        if steps:
            found[factor(steps)] = steps
    return found


def _recognise(state: State) -> bool:
    needed = ("entry.weight", "exit.weight", "b1.b1.body.2.weight", "b1.c1.body.0.weight", "c3.body.0.weight")
    return all(key in state for key in needed) and bool(_tails(state))


def _cascade(net: NetBuilder, x: Any, prefix: str, block: Block) -> Any:
    """Three blocks; after each a 1x1 convolution of the input and all that was made, and ReLU."""
    joined, y = x, x
    for n in (1, 2, 3):
        own = any(key.startswith(f"{prefix}b{n}.") for key in net.state)
        made = block(net, y, f"{prefix}b{n if own else 1}")
        joined = net.concat([joined, made])
        y = net.activate(net.conv(joined, f"{prefix}c{n}.body.0"), "relu")
    return y


def _residual(net: NetBuilder, x: Any, key: str) -> Any:
    y = net.conv(x, f"{key}.body.0")
    for layer in (2, 4):
        if f"{key}.body.{layer}.weight" in net.state:
            y = net.conv(net.activate(y, "relu"), f"{key}.body.{layer}")
    return net.activate(net.add(y, x, f"{key}.add"), "relu")


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    return _cascade(net, x, f"{key}.", _residual)


def _recipe(state: State, choose: Choices) -> Recipe:
    tails = _tails(state)
    scale = next(iter(tails))
    if len(tails) > 1:
        scale = choose.ask("scale", ", ".join(map(str, tails)), "it has a tail for each of several scales")
    steps = tails.get(scale, next(iter(tails.values())))

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.conv(shifted(net, x, "sub_mean.shifter"), "entry")
        y = _cascade(net, y, "", _block)
        for key, block in steps:
            y = net.pixel_shuffle(net.activate(net.conv(y, key), "relu"), block)
        return shifted(net, net.conv(y, "exit"), "add_mean.shifter")

    return Recipe(write, factor(steps), value_range=range_of_mean(state, choose, "sub_mean.shifter.bias"))


FAMILY = Family(
    "carn",
    "CARN and CARN-M: cascading residual network",
    _recognise,
    _recipe,
    ignored=(r"upsample\.up[234]?\.body\.(0|3|6)\.(weight|bias)",),  # the tails of other scales
)
