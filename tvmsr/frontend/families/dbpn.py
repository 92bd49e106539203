"""DBPN: back-projection, up and down again by strided convolutions, all that was made joined (Haris et al., 2018)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, counted

_UP = "up{}.up_conv1.deconv.weight"
#: Taps of the strided convolutions, and by how much they enlarge; all reach two pixels beyond.
_STRIDES, _PADDING = {6: 2, 8: 4, 12: 8}, 2


def _recognise(state: State) -> bool:
    needed = ("feat0.conv.weight", "feat1.conv.weight", "down1.down_conv3.conv.weight", "output_conv.conv.weight")
    if len(counted(state, _UP)) < 2 or not all(key in state for key in needed):
        return False
    return state["up1.up_conv1.deconv.weight"].shape[2] in _STRIDES and state["feat0.conv.weight"].shape[1] == 3


def _active(net: NetBuilder, y: Any, key: str) -> Any:
    return net.prelu(y, f"{key}.act.weight") if f"{key}.act.weight" in net.state else y


def _strided(net: NetBuilder, x: Any, key: str) -> Any:
    """A convolution with a stride, or a transposed one, whichever the checkpoint has."""
    up = f"{key}.deconv" if f"{key}.deconv.weight" in net.state else ""
    stride = _STRIDES[net.state[f"{up or key + '.conv'}.weight"].shape[2]]
    if up:
        return _active(net, net.deconv(x, up, stride, padding=_PADDING), key)
    return _active(net, net.conv(x, f"{key}.conv", stride=stride, padding=_PADDING), key)


def _projection(net: NetBuilder, x: Any, key: str, way: str) -> Any:
    """There, back, and there again for what was lost; of many inputs a 1x1 convolution comes first."""
    if f"{key}.conv.conv.weight" in net.state:
        x = _active(net, net.conv(x, f"{key}.conv.conv"), f"{key}.conv")
    first = _strided(net, x, f"{key}.{way}_conv1")
    lost = net.add(_strided(net, first, f"{key}.{way}_conv2"), net.affine(x, -1.0, 0.0), f"{key}.lost")
    return net.add(_strided(net, lost, f"{key}.{way}_conv3"), first, f"{key}.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    stages = len(counted(state, _UP))
    scale = _STRIDES[state["up1.up_conv1.deconv.weight"].shape[2]]

    def write(net: NetBuilder, x: Any) -> Any:
        y = _active(net, net.conv(x, "feat0.conv"), "feat0")
        y = _active(net, net.conv(y, "feat1.conv"), "feat1")
        large: list[Any] = []
        small: list[Any] = []
        for n in range(1, stages + 1):
            large.insert(0, _projection(net, y, f"up{n}", "up"))
            if n < stages:
                joined = net.concat(large) if n > 1 else large[0]
                small.insert(0, _projection(net, joined, f"down{n}", "down"))
                y = net.concat(small) if n > 1 else small[0]
        return net.conv(net.concat(large, "concat"), "output_conv.conv")

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("dbpn", "DBPN: deep back-projection network", _recognise, _recipe)
