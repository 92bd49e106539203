"""EDSR as its authors save it: head, residual blocks without batch norm, tail; mean shift as 1x1 convolutions."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.tails import enlarge, factor, range_of_mean, shifted, steps_at
from tvmsr.frontend.state import State, numbered

_BLOCK = "body.{}.body.0.weight"


def _recognise(state: State) -> bool:
    needed = ("head.0.weight", "body.0.body.0.weight", "body.0.body.2.weight", "tail.0.0.weight", "tail.1.weight")
    return all(key in state for key in needed) and state["head.0.weight"].shape[1] == 3


def _residual_scale(state: State, choose: Choices) -> float:
    width, blocks = state["head.0.weight"].shape[0], len(numbered(state, _BLOCK))
    if (width, blocks) == (256, 32):
        return choose.take("residual_scale", 0.1, "EDSR of 32 blocks and 256 channels, as published")
    if width <= 64:
        return choose.take("residual_scale", 1.0, "EDSR baseline, as published")
    return choose.ask(
        "residual_scale", "0.1 or 1", f"EDSR of {blocks} blocks and {width} channels scales residuals or not"
    )


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks, scaling = numbered(state, _BLOCK), _residual_scale(state, choose)
    steps = steps_at(state, ("tail.0.0", "tail.0.2", "tail.0.4"))

    def write(net: NetBuilder, x: Any) -> Any:
        y = first = net.conv(shifted(net, x, "sub_mean"), "head.0")
        for n in blocks:
            inner = net.activate(net.conv(y, f"body.{n}.body.0"), "relu")
            inner = net.affine(net.conv(inner, f"body.{n}.body.2"), scaling, 0.0)
            y = net.add(inner, y, f"body.{n}.add")
        y = net.add(net.conv(y, f"body.{len(blocks)}"), first, "body.add")
        return shifted(net, net.conv(enlarge(net, y, steps), "tail.1"), "add_mean")

    return Recipe(write, factor(steps), value_range=range_of_mean(state, choose))


FAMILY = Family("edsr", "EDSR: enhanced deep residual network (PyTorch)", _recognise, _recipe)
