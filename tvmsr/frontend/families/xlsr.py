"""XLSR: blocks of a grouped 3x3 and a 1x1 convolution beside one 3x3 of the picture (Ayazoglu, 2021).

Two styles of keys: four small convolutions of the picture joined, and one wide one (AIMET model zoo).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, whole_root


@dataclass(frozen=True)
class _Style:
    """Keys: convolutions of the picture, the 1x1 after them, block {}, the side branch, the two of the tail."""

    heads: tuple[str, ...]
    mix: str
    block: tuple[str, str]
    first_block: int
    side: str
    tail: tuple[str, str]


_STYLES = (
    _Style(
        ("conv0_0.conv", "conv0_1.conv", "conv0_2.conv", "conv0_3.conv"),
        "conv2",
        ("Gblocks.{}.conv0", "Gblocks.{}.conv1"),
        0,
        "conv1",
        ("conv3.conv", "conv4"),
    ),
    _Style(("cnn.0",), "cnn.2", ("cnn.{}.net.0", "cnn.{}.net.2"), 3, "residual", ("tail.0", "tail.2")),
)


def _blocks(state: State, style: _Style) -> list[int]:
    count = style.first_block
    while all(f"{key.format(count)}.weight" in state for key in style.block):
        count += 1
    return list(range(style.first_block, count))


def _style(state: State) -> _Style | None:
    for style in _STYLES:
        needed = (*style.heads, style.mix, style.side, *style.tail)
        if _blocks(state, style) and all(f"{key}.weight" in state for key in needed):
            return style
    return None


def _recognise(state: State) -> bool:
    style = _style(state)
    return style is not None and whole_root(state[f"{style.tail[1]}.weight"].shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    style = _style(state)
    assert style is not None
    scale = whole_root(state[f"{style.tail[1]}.weight"].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        heads = [net.activate(net.conv(x, key), "relu") for key in style.heads]
        y = net.conv(heads[0] if len(heads) == 1 else net.concat(heads, "heads.concat"), style.mix)
        for n in _blocks(state, style):
            grouped, mixing = (key.format(n) for key in style.block)
            y = net.conv(net.activate(net.conv(y, grouped), "relu"), mixing)
        y = net.concat([y, net.conv(x, style.side)], "concat")
        y = net.conv(net.activate(net.conv(y, style.tail[0]), "relu"), style.tail[1])
        return net.clip(net.pixel_shuffle(y, scale), 0.0, 1.0)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "it ends in a clip to 0..1, as published"))


FAMILY = Family("xlsr", "XLSR: extremely lightweight, quantization robust (two styles of keys)", _recognise, _recipe)
