"""MSRResNet of BasicSR, MMSR and MMagic: SRResNet without batch norm, added to the picture enlarged by bilinear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.tails import Steps, enlarge, factor, steps_at
from tvmsr.frontend.state import State, counted, numbered


@dataclass(frozen=True)
class _Style:
    """Keys of one code's checkpoints; `up`: of the convolutions that a pixel shuffle follows, {} counts from 1."""

    body: str
    up: str
    before_last: str


_STYLES = (
    _Style("body", "upconv{}", "conv_hr"),
    _Style("recon_trunk", "upconv{}", "HRconv"),
    _Style("trunk_net", "upsample{}.upsample_conv", "conv_hr"),
)


def _find(state: State) -> tuple[_Style, list[int]] | None:
    for style in _STYLES:
        blocks = numbered(state, f"{style.body}.{{}}.conv1.weight")
        needed = ("conv_first", f"{style.body}.0.conv2", style.up.format(1), style.before_last, "conv_last")
        plain = len([key for key in state if key.startswith(f"{style.body}.")]) == 4 * len(blocks)
        if blocks and plain and all(f"{key}.weight" in state for key in needed):
            return style, blocks
    return None


def _steps(state: State, style: _Style) -> Steps:
    return steps_at(state, [style.up.format(n) for n in counted(state, f"{style.up}.weight")])


def _recognise(state: State) -> bool:
    found = _find(state)
    # RRDBNet, which has the same keys around, enlarges by nearest neighbour: no step above 1.
    return found is not None and all(step > 1 for _, step in _steps(state, found[0]))


def _recipe(state: State, choose: Choices) -> Recipe:
    found = _find(state)
    assert found is not None
    style, blocks = found
    steps = _steps(state, style)
    slope = choose.take("slope", 0.1, "LeakyReLU as published")
    scale = factor(steps)

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.activate(net.conv(x, "conv_first"), "leaky", slope)
        for n in blocks:
            key = f"{style.body}.{n}"
            inner = net.conv(net.activate(net.conv(y, f"{key}.conv1"), "relu"), f"{key}.conv2")
            y = net.add(inner, y, f"{key}.add")
        y = enlarge(net, y, steps, "leaky", slope)
        y = net.conv(net.activate(net.conv(y, style.before_last), "leaky", slope), "conv_last")
        return net.add(y, net.bilinear(x, scale), "skip")

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("msrresnet", "MSRResNet (BasicSR, MMSR and MMagic keys)", _recognise, _recipe)
