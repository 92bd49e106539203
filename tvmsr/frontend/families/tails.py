"""How published networks begin and end: mean shifts, value ranges, and the steps in which they enlarge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.state import State
from tvmsr.graph.model import F32

#: Mean of R, G and B over DIV2K, 0..1: what networks since EDSR (2017) subtract.
DIV2K_MEAN: F32 = np.asarray([0.4488, 0.4371, 0.4040], np.float32)

#: Keys of the convolutions that a pixel shuffle follows, and its block.
Steps = Sequence[tuple[str, int]]


def steps_of(state: State, prefix: str, stride: int = 2) -> Steps:
    """The steps of prefix.0, prefix.2 and so on (or every `stride`), as far as their outputs can be shuffled."""
    found, n = [], 0
    while (weight := state.get(f"{prefix}.{n}.weight")) is not None and weight.ndim == 4:
        block = round((weight.shape[0] / weight.shape[1]) ** 0.5)
        if block < 2 or block**2 * weight.shape[1] != weight.shape[0]:
            break
        found.append((f"{prefix}.{n}", block))
        n += stride
    return found


def steps_at(state: State, keys: Iterable[str]) -> Steps:
    """The steps of those keys that the checkpoint has."""
    shapes = {key: state[f"{key}.weight"].shape for key in keys if f"{key}.weight" in state}
    return [(key, round((shape[0] / shape[1]) ** 0.5)) for key, shape in shapes.items()]


def factor(steps: Steps) -> int:
    """How much larger all steps together make a picture."""
    return prod(block for _, block in steps)


def enlarge(net: NetBuilder, x: Any, steps: Steps, activation: str = "none", slope: float = 0.0) -> Any:
    """Convolution, shuffle and activation for each step."""
    for key, block in steps:
        x = net.activate(net.pixel_shuffle(net.conv(x, key), block), activation, slope)
    return x


def centred(net: NetBuilder, x: Any, level: float, sign: int = -1) -> Any:
    """The picture less the mean of DIV2K (sign 1: plus), white being `level`."""
    return net.affine(x, 1.0, sign * level * DIV2K_MEAN)


def shifted(net: NetBuilder, x: Any, key: str) -> Any:
    """A mean shift that is a 1x1 convolution of the checkpoint, where it has one."""
    return net.conv(x, key) if f"{key}.weight" in net.state else x


def range_of_mean(state: State, choose: Choices, key: str = "sub_mean.bias") -> float:
    """The value of white, as the mean that the network subtracts tells; asked where it subtracts none."""
    bias = state.get(key)
    if bias is None:
        return choose.ask("value_range", "1 or 255", f"without the key {key} its values may be 0..1 or 0..255")
    given = choose.given("value_range")
    return (255.0 if abs(bias).max() > 1.5 else 1.0) if given is None else given
