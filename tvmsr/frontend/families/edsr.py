"""EDSR as its authors save it: head, residual blocks without batch norm, tail; mean shift as 1x1 convolutions."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered

_BLOCK = "body.{}.body.0.weight"


def _upsampler(state: State) -> list[tuple[str, int]]:
    """Keys and blocks of the convolutions that a pixel shuffle follows: one by 2 or 3, or two by 2."""
    found = []
    for key in ("tail.0.0", "tail.0.2"):
        weight = state.get(f"{key}.weight")
        if weight is not None:
            found.append((key, round((weight.shape[0] / weight.shape[1]) ** 0.5)))
    return found


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


def _value_range(state: State, choose: Choices) -> float:
    bias = state.get("sub_mean.bias")
    if bias is None:
        return choose.ask("value_range", "1 or 255", "without the keys sub_mean its values may be 0..1 or 0..255")
    level = 255.0 if abs(bias).max() > 1.5 else 1.0
    given = choose.given("value_range")
    return level if given is None else given


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks, steps, scaling = numbered(state, _BLOCK), _upsampler(state), _residual_scale(state, choose)
    scale = 1
    for _, step in steps:
        scale *= step

    def write(net: NetBuilder, x: Any) -> Any:
        x = net.conv(x, "sub_mean") if "sub_mean.weight" in state else x
        y = first = net.conv(x, "head.0")
        for n in blocks:
            inner = net.activate(net.conv(y, f"body.{n}.body.0"), "relu")
            inner = net.affine(net.conv(inner, f"body.{n}.body.2"), scaling, 0.0)
            y = net.add(inner, y, f"body.{n}.add")
        y = net.add(net.conv(y, f"body.{len(blocks)}"), first, "body.add")
        for key, step in steps:
            y = net.pixel_shuffle(net.conv(y, key), step)
        y = net.conv(y, "tail.1")
        return net.conv(y, "add_mean") if "add_mean.weight" in state else y

    return Recipe(write, scale, value_range=_value_range(state, choose))


FAMILY = Family("edsr", "EDSR: enhanced deep residual network (PyTorch)", _recognise, _recipe)
