"""SRCNN: three convolutions on a picture that was enlarged by bicubic before, which is the network's first step here.

Any scale fits. Where the published network has no padding, the enlarged picture is continued with its outermost pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.state import State


@dataclass(frozen=True)
class _Style:
    """Keys of one code's checkpoints. padded: whether its convolutions keep the size; clipped: whether it ends so."""

    keys: tuple[str, str, str]
    padded: bool = True
    clipped: bool = False
    three: Colours | None = None  # what its three channels are


_STYLES = (
    _Style(("conv1", "conv2", "conv3")),
    _Style(("features.0", "map.0", "reconstruction")),
    _Style(("patch_extraction", "nonlinear_map", "recon"), padded=False, clipped=True, three=Colours.YCBCR),
)


def _style(state: State) -> _Style | None:
    for style in _STYLES:
        kernels = [state.get(f"{key}.weight") for key in style.keys]
        shapes = [kernel.shape for kernel in kernels if kernel is not None and kernel.ndim == 4]
        if len(state) != 6 or len(shapes) != 3 or not all(a[0] == b[1] for a, b in pairwise(shapes)):
            continue
        square = all(s[2] == s[3] and s[2] % 2 for s in shapes)
        if square and shapes[0][2] >= 5 and shapes[0][1] == shapes[2][0] in (1, 3):
            return style
    return None


def _recipe(state: State, choose: Choices) -> Recipe:
    style = _style(state)
    assert style is not None
    channels = state[f"{style.keys[0]}.weight"].shape[1]
    scale = choose.take("scale", 3, "it was made for any scale, and this is that of its paper")
    level = choose.take("value_range", 1.0, "as published")
    around = sum(state[f"{key}.weight"].shape[2] // 2 for key in style.keys)

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.bicubic(x, scale)
        y = y if style.padded else net.pad(y, around)
        for key in style.keys:
            y = net.conv(y, key, padding=None if style.padded else 0)
            y = net.activate(y, "relu" if key != style.keys[-1] else "none")
        return net.clip(y, 0.0, level) if style.clipped else y

    return Recipe(write, scale, channels, level, colours_of(channels, choose, style.three))


FAMILY = Family("srcnn", "SRCNN: three convolutions after bicubic", lambda state: _style(state) is not None, _recipe)
