"""SESR M3 to M11 and XL: collapsible linear blocks (Bhardwaj et al., 2021). Keys of the AIMET model zoo.

Both forms: expanded as trained, where a convolution to many channels, a 1x1 one and the block's input are one
convolution, and collapsed.
"""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.fold import Linear, folded_conv, linear
from tvmsr.frontend.state import State, numbered, whole_root

_BLOCK = "residual_block.{}.conv_expand.weight"


def _recognise(state: State) -> bool:
    needed = ("conv_first.conv_expand.weight", "conv_last.conv_expand.weight", "anchor.net.weight")
    if not numbered(state, _BLOCK) or not all(key in state for key in needed):
        return False
    return whole_root(state["anchor.net.weight"].shape[0], 3) is not None


def _block(state: State, key: str, *, residual: bool = False) -> Linear:
    one = linear(state, f"{key}.conv_expand")
    if f"{key}.conv_squeeze.weight" not in state:
        return one
    one = one.then(linear(state, f"{key}.conv_squeeze"))
    return one.with_identity() if residual else one


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["anchor.net.weight"].shape[0], 3)
    assert scale is not None

    def block(net: NetBuilder, x: Any, key: str, *, residual: bool = False, active: bool = True) -> Any:
        y = folded_conv(net, x, f"{key}.conv_expand", _block(state, key, residual=residual))
        slopes = f"{key}.activation.weight"
        if active and slopes in state:
            return net.prelu(y, slopes)
        return net.activate(y, "relu") if active else y

    def write(net: NetBuilder, x: Any) -> Any:
        y = first = block(net, x, "conv_first")
        for n in numbered(state, _BLOCK):
            y = block(net, y, f"residual_block.{n}", residual=True)
        y = block(net, net.add(y, first, "residual.add"), "conv_last", active=False)
        return net.pixel_shuffle(net.add(y, net.conv(x, "anchor.net"), "anchor.add"), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as in the AIMET model zoo"))


FAMILY = Family(
    "sesr", "SESR: collapsible linear blocks (AIMET keys; expanded and collapsed form)", _recognise, _recipe
)
