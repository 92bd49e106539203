"""EDSR in the keys of BasicSR and MMagic: the mean of DIV2K and the range are in their code, not in checkpoints."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.tails import Steps, centred, enlarge, factor, steps_at
from tvmsr.frontend.state import State, numbered

_BLOCK = "body.{}.conv1.weight"


def _steps(state: State) -> Steps:
    """One step by 2 or 3, or several by 2."""
    return steps_at(state, [key for n in range(8) for key in (f"upsample.{n}", f"upsample.{n}.upsample_conv")])


def _recognise(state: State) -> bool:
    needed = ("conv_first.weight", "body.0.conv2.weight", "conv_after_body.weight", "conv_last.weight")
    blocks = numbered(state, _BLOCK)
    # Other networks of that code have more in a block.
    plain = len([key for key in state if key.startswith("body.")]) == 4 * len(blocks)
    return plain and all(key in state for key in needed) and bool(_steps(state))


def _residual_scale(state: State, choose: Choices) -> float:
    width, blocks = state["conv_first.weight"].shape[0], len(numbered(state, _BLOCK))
    if width > 64 and (width, blocks) != (256, 32):
        return choose.ask(
            "residual_scale", "0.1 or 1", f"EDSR of {blocks} blocks and {width} channels may scale or not"
        )
    return choose.take("residual_scale", 0.1 if width == 256 else 1.0, "as published for its size")


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks, steps, scaling = numbered(state, _BLOCK), _steps(state), _residual_scale(state, choose)
    mmagic = any(key.endswith(".upsample_conv") for key, _ in steps)
    level = choose.take("value_range", 1.0 if mmagic else 255.0, "as in the code with these keys")

    def write(net: NetBuilder, x: Any) -> Any:
        y = first = net.conv(centred(net, x, level), "conv_first")
        for n in blocks:
            inner = net.conv(net.activate(net.conv(y, f"body.{n}.conv1"), "relu"), f"body.{n}.conv2")
            y = net.add(net.affine(inner, scaling, 0.0), y, f"body.{n}.add")
        y = net.add(net.conv(y, "conv_after_body"), first, "body.add")
        return centred(net, net.conv(enlarge(net, y, steps), "conv_last"), level, 1)

    return Recipe(write, factor(steps), value_range=level)


FAMILY = Family("edsr_basicsr", "EDSR (BasicSR and MMagic keys)", _recognise, _recipe)
