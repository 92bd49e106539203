"""RDN: residual dense blocks, all of them joined (Zhang et al., 2018); its authors' keys, and lower-case ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.families.tails import Steps, enlarge, factor
from tvmsr.frontend.state import State, numbered


@dataclass(frozen=True)
class _Style:
    """Keys: {} counts blocks, then layers; `tail` counts by 2, its last convolution is `last` or its own last."""

    first: tuple[str, str]
    layer: str
    fusion: str
    joined: str
    tail: str
    last: str
    level: float


_STYLES = (
    _Style(("SFENet1", "SFENet2"), "RDBs.{}.convs.{}.conv.0", "RDBs.{}.LFF", "GFF", "UPNet", "", 255.0),
    _Style(("sfe1", "sfe2"), "rdbs.{}.layers.{}.conv", "rdbs.{}.lff", "gff", "upscale", "output", 1.0),
)


def _style(state: State) -> _Style | None:
    for style in _STYLES:
        needed = (
            *style.first,
            style.layer.format(0, 0),
            style.fusion.format(0),
            f"{style.joined}.1",
            f"{style.tail}.0",
        )
        if all(f"{key}.weight" in state for key in needed) and _tail(state, style)[0]:
            return style
    return None


def _tail(state: State, style: _Style) -> tuple[Steps, str]:
    """Steps of the enlargement, whose outputs the next convolution tells apart, and the last convolution."""
    keys = [f"{style.tail}.{n}" for n in (0, 2, 4, 6) if f"{style.tail}.{n}.weight" in state]
    keys += [style.last] if f"{style.last}.weight" in state else []
    steps = []
    for key, following in pairwise(keys):
        outs, ins = state[f"{key}.weight"].shape[0], state[f"{following}.weight"].shape[1]
        steps.append((key, round((outs / ins) ** 0.5)))
    return steps, keys[-1]


def _recognise(state: State) -> bool:
    return _style(state) is not None


def _block(net: NetBuilder, x: Any, n: int, style: _Style) -> Any:
    joined = x
    for c in numbered(net.state, style.layer.replace("{}", str(n), 1) + ".weight"):
        joined = net.concat([joined, net.activate(net.conv(joined, style.layer.format(n, c)), "relu")])
    return net.add(net.conv(joined, style.fusion.format(n)), x, f"block{n}.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    style = _style(state)
    assert style is not None
    steps, last = _tail(state, style)
    channels = state[f"{style.first[0]}.weight"].shape[1]
    level = choose.take("value_range", style.level, "as in the code with these keys")

    def write(net: NetBuilder, x: Any) -> Any:
        first = net.conv(x, style.first[0])
        y, made = net.conv(first, style.first[1]), []
        for n in numbered(state, style.fusion + ".weight"):
            y = _block(net, y, n, style)
            made.append(y)
        y = net.conv(net.conv(net.concat(made, "concat"), f"{style.joined}.0"), f"{style.joined}.1")
        return net.conv(enlarge(net, net.add(y, first, "body.add"), steps), last)

    return Recipe(write, factor(steps), channels, level, colours_of(channels, choose, Colours.RGB))


FAMILY = Family("rdn", "RDN: residual dense network (two styles of keys)", _recognise, _recipe)
