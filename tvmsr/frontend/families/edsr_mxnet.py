"""EDSR as an MXNet model zoo keeps it: numbered convolutions and the mean of DIV2K."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered

_CONV = "arg:convolution{}_weight"


def _recognise(state: State) -> bool:
    convs = numbered(state, _CONV)
    plain = not any("batchnorm" in key for key in state)
    return plain and "arg:DIV2K_mean" in state and len(convs) >= 6 and len(convs) % 2 == 0


def _recipe(state: State, choose: Choices) -> Recipe:
    # head, two per block, closing, one that is shuffled by 2, last
    last = len(numbered(state, _CONV)) - 1
    shuffled = state[_CONV.format(last - 1)].shape
    scale = round((shuffled[0] / shuffled[1]) ** 0.5)
    scaling = choose.take("residual_scale", 1.0, "blocks without scaling")

    def conv(net: NetBuilder, x: Any, n: int) -> Any:
        return net.conv(x, f"arg:convolution{n}", sep="_")

    def write(net: NetBuilder, x: Any) -> Any:
        mean = net.state["arg:DIV2K_mean"].reshape(-1)
        y = first = conv(net, net.affine(x, 2.0, -2.0 * mean), 0)
        for n in range(1, last - 2, 2):
            inner = conv(net, net.activate(conv(net, y, n), "relu"), n + 1)
            y = net.add(net.affine(inner, scaling, 0.0), y, f"block{n // 2}.add")
        y = net.add(conv(net, y, last - 2), first, "body.add")
        y = conv(net, net.depth_to_space(conv(net, y, last - 1), scale), last)
        return net.affine(y, 0.5, mean)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "the mean in the file is of 0..1"))


FAMILY = Family(
    "edsr_mxnet",
    "EDSR (MXNet keys, mean of DIV2K inside)",
    _recognise,
    _recipe,
    ignored=("arg:neg_DIV2K_mean",),  # the mean once more
)
