"""ESPCN: convolutions with tanh (or ReLU), one convolution, pixel shuffle; on Y as published."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.families.family import Family, Recipe, colours_of
from tvmsr.frontend.state import State, whole_root


@dataclass(frozen=True)
class _Style:
    """Keys of one code's checkpoints. `before`: the convolutions before the last, {} their number."""

    before: str
    numbers: tuple[int, ...]
    last: str
    activation: str = "tanh"
    one: Colours = Colours.Y  # what its one channel is
    three: Colours | None = None  # what its three channels are
    clipped: bool = False  # whether its code clips at the end


_STYLES = (
    _Style("first_part.{}", tuple(range(0, 20, 2)), "last_part.0"),
    _Style("feature_maps.{}", tuple(range(0, 20, 2)), "sub_pixel.0"),
    _Style("conv_{}", (1, 2), "conv_3", three=Colours.YCBCR, clipped=True),
    _Style("conv{}", (1, 2, 3), "conv4", activation="relu", one=Colours.Y_FULL),
)


def _find(state: State) -> tuple[_Style, list[str]] | None:
    """The style, and the keys of all convolutions."""
    for style in _STYLES:
        keys = [style.before.format(n) for n in style.numbers if f"{style.before.format(n)}.weight" in state]
        keys.append(style.last)
        kernels = [state.get(f"{key}.weight") for key in keys]
        shapes = [kernel.shape for kernel in kernels if kernel is not None and kernel.ndim == 4]
        if len(keys) < 2 or len(shapes) != len(keys) or len(state) > 2 * len(keys):
            continue
        colours = shapes[0][1]
        chained = all(a[0] == b[1] for a, b in pairwise(shapes))
        if chained and colours in (1, 3) and whole_root(shapes[-1][0], colours) is not None:
            return style, keys
    return None


def _recipe(state: State, choose: Choices) -> Recipe:
    found = _find(state)
    assert found is not None
    style, keys = found
    channels = state[f"{keys[0]}.weight"].shape[1]
    scale = whole_root(state[f"{keys[-1]}.weight"].shape[0], channels)
    assert scale is not None
    activation = choose.take("activation", style.activation, "as in the code with these keys")

    level = choose.take("value_range", 1.0, "as published")

    def write(net: NetBuilder, x: Any) -> Any:
        for key in keys[:-1]:
            x = net.activate(net.conv(x, key), activation)
        y = net.pixel_shuffle(net.conv(x, keys[-1]), scale)
        return net.clip(y, 0.0, level) if style.clipped else y

    return Recipe(write, scale, channels, level, colours_of(channels, choose, style.three, style.one))


FAMILY = Family("espcn", "ESPCN: efficient sub-pixel convolution", lambda state: _find(state) is not None, _recipe)
