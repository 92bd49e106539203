"""FSRCNN: convolutions with PReLU at the picture's own size, one transposed convolution by the scale.

All scales have the same shapes. With the wrong scale a gray picture comes out uneven or of another gray, so the weights
tell which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.state import State
from tvmsr.graph.model import F32


@dataclass(frozen=True)
class _Style:
    """Keys of one code's checkpoints: layers in order, {} numbers as many as there are; `last`: the transposed one."""

    layers: tuple[str, ...]
    last: str
    three: Colours | None = None  # what its three channels are
    clipped: bool = False  # whether its code clips at the end


_STYLES = (
    _Style(("first_part.{}", "mid_part.{}"), "last_part"),
    _Style(("feature_extraction.{}", "shrink.{}", "map.{}", "expand.{}"), "deconv"),
    _Style(
        (
            *("feature_extract", "activation_1", "shrink", "activation_2"),
            *("map_{}", "activation_3", "expand", "activation_4"),
        ),
        "deconv",
        Colours.YCBCR,
        clipped=True,
    ),
)
_SCALES = (2, 3, 4)
#: How far a gray picture may be off at the right scale, as a share of how far it is off at any other.
_CLEARLY = 0.1


def _keys(state: State, style: _Style) -> list[str] | None:
    """Convolutions (weights of four dimensions) and slopes (of one) in order; None where a layer is missing."""
    keys: list[str] = []
    for layer in style.layers:
        names = [layer.format(n) for n in range(30)] if "{}" in layer else [layer]
        found = [name for name in names if f"{name}.weight" in state]
        if not found:
            return None
        keys += found
    return keys


def _find(state: State) -> tuple[_Style, list[str]] | None:
    for style in _STYLES:
        keys, last = _keys(state, style), state.get(f"{style.last}.weight")
        if keys is None or last is None or last.ndim != 4:
            continue
        first = state[f"{keys[0]}.weight"]
        whole = len([key for key in state if key.endswith(".weight")]) == len(keys) + 1
        if whole and first.ndim == 4 and first.shape[1] == last.shape[1] in (1, 3) and last.shape[2] % 2:
            return style, keys
    return None


def _flat(state: State, keys: Sequence[str], level: float) -> F32:
    """What the layers make of a picture that is `level` everywhere: one value per channel."""
    x = np.full(state[f"{keys[0]}.weight"].shape[1], level)
    for key in keys:
        weight = state[f"{key}.weight"]
        x = (
            weight.sum((2, 3)) @ x + state.get(f"{key}.bias", 0.0)
            if weight.ndim == 4
            else np.where(x < 0, weight * x, x)
        )
    return x


def _likely_scale(state: State, keys: Sequence[str], last: str) -> int | None:
    """The scale at which a gray picture comes out as it was; None where that is not clear."""
    kernel, bias = state[f"{last}.weight"], state.get(f"{last}.bias", 0.0)
    values, off = _flat(state, keys, 0.5), {}
    for scale in _SCALES:
        phases = [kernel[:, :, dy::scale, dx::scale] for dy in range(scale) for dx in range(scale)]
        made = [np.einsum("iohw,i->o", phase, values) + bias for phase in phases]
        off[scale] = float(np.abs(np.asarray(made) - 0.5).max())
    best, second = sorted(off, key=off.__getitem__)[:2]
    return best if off[best] <= _CLEARLY * off[second] else None


def _scale(state: State, keys: Sequence[str], last: str, choose: Choices) -> int:
    likely = _likely_scale(state, keys, last)
    if likely is None:
        return choose.ask("scale", "2, 3 or 4", "FSRCNN has the same shapes at every scale")
    return choose.take("scale", likely, "the one at which these weights leave a gray picture as it is")


def _recipe(state: State, choose: Choices) -> Recipe:
    found = _find(state)
    assert found is not None
    style, keys = found
    channels = state[f"{keys[0]}.weight"].shape[1]
    scale = _scale(state, keys, style.last, choose)
    half = state[f"{style.last}.weight"].shape[2] // 2
    level = choose.take("value_range", 1.0, "as published")

    def write(net: NetBuilder, x: Any) -> Any:
        for key in keys:
            x = net.prelu(x, f"{key}.weight") if state[f"{key}.weight"].ndim == 1 else net.conv(x, key)
        # As long as `scale` times the picture: (n - 1) * scale - 2 * half + kernel + output padding.
        y = net.deconv(x, style.last, scale, padding=half, output_padding=scale - 1)
        return net.clip(y, 0.0, level) if style.clipped else y

    return Recipe(write, scale, channels, level, colours_of(channels, choose, style.three))


FAMILY = Family("fsrcnn", "FSRCNN: fast SRCNN", lambda state: _find(state) is not None, _recipe)
