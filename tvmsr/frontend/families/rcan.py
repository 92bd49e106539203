"""RCAN: groups of residual blocks with channel attention (Zhang et al., 2018), in its authors' keys and BasicSR's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.tails import centred, enlarge, factor, range_of_mean, shifted, steps_of
from tvmsr.frontend.state import State, numbered


@dataclass(frozen=True)
class _Style:
    """Keys: {} counts groups, then blocks; `closing` of a group and of the body."""

    first: str
    block: str
    gate: tuple[str, str]
    group_closing: str
    closing: str
    upsampler: str
    last: str


_AUTHORS = _Style("head.0", "body.{}.body.{}.body", ("3.conv_du.0", "3.conv_du.2"), "", "", "tail.0", "tail.1")
_BASICSR = _Style(
    "conv_first", "body.{}.residual_group.{}.rcab", ("3.attention.1", "3.attention.3"), "body.{}.conv",
    "conv_after_body", "upsample", "conv_last",
)  # fmt: skip


def _style(state: State) -> _Style | None:
    for style in (_AUTHORS, _BASICSR):
        block = style.block.format(0, 0)
        needed = (style.first, f"{block}.0", f"{block}.2", f"{block}.{style.gate[0]}", style.last)
        if all(f"{key}.weight" in state for key in needed) and steps_of(state, style.upsampler):
            return style
    return None


def _recognise(state: State) -> bool:
    style = _style(state)
    return style is not None and state[f"{style.first}.weight"].shape[1] == 3


def _attended(net: NetBuilder, x: Any, key: str, style: _Style) -> Any:
    """A residual block (RCAB) that is scaled by a gate made of the channels' means."""
    y = net.conv(net.activate(net.conv(x, f"{key}.0"), "relu"), f"{key}.2")
    inner = net.activate(net.conv(net.mean(y), f"{key}.{style.gate[0]}"), "relu")
    gate = net.activate(net.conv(inner, f"{key}.{style.gate[1]}"), "sigmoid")
    return net.add(net.mul(y, gate, f"{key}.mul"), x, f"{key}.add")


def _group(net: NetBuilder, x: Any, n: int, style: _Style) -> Any:
    y, blocks = x, numbered(net.state, style.block.replace("{}", str(n), 1) + ".0.weight")
    for b in blocks:
        y = _attended(net, y, style.block.format(n, b), style)
    closing = style.group_closing.format(n) if style.group_closing else f"body.{n}.body.{len(blocks)}"
    return net.add(net.conv(y, closing), x, f"body.{n}.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    style = _style(state)
    assert style is not None
    steps = steps_of(state, style.upsampler)
    groups = numbered(state, style.block.replace("{}", "0").replace("0", "{}", 1) + ".0.weight")
    if style is _BASICSR:
        level = choose.take("value_range", 255.0, "as BasicSR trains RCAN")
    else:
        level = range_of_mean(state, choose)

    def write(net: NetBuilder, x: Any) -> Any:
        x = centred(net, x, level) if style is _BASICSR else shifted(net, x, "sub_mean")
        first = y = net.conv(x, style.first)
        for n in groups:
            y = _group(net, y, n, style)
        y = net.add(net.conv(y, style.closing or f"body.{len(groups)}"), first, "body.add")
        y = net.conv(enlarge(net, y, steps), style.last)
        return centred(net, y, level, 1) if style is _BASICSR else shifted(net, y, "add_mean")

    return Recipe(write, factor(steps), value_range=level)


FAMILY = Family(
    "rcan", "RCAN: residual channel attention network (its authors' and BasicSR's keys)", _recognise, _recipe
)
