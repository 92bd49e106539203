"""BSRN and BSRN-S: residual feature distillation of blueprint separable convolutions with GELU and spatial attention.

BSRN gates channels by their contrast after that (CCA); BSRN-S has a fixed factor per channel and a 1x1 convolution.
"""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import (
    any_conv,
    channel_attention,
    feature_distilled,
    joined_blocks,
    shuffled,
    spatial_attention,
)
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, counted, whole_root

_BLOCK, _TAIL = "B{}.c1_r.pw.weight", "upsampler.upsampleOneStep.0"


def _recognise(state: State) -> bool:
    needed = ("fea_conv.pw.weight", "c1.weight", "c2.pw.weight", "B1.esa.conv1.weight", f"{_TAIL}.weight")
    if not counted(state, _BLOCK) or not all(key in state for key in needed):
        return False
    repeated = state["fea_conv.pw.weight"].shape[1] % 3 == 0
    return repeated and whole_root(state[f"{_TAIL}.weight"].shape[0], 3) is not None


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    y = spatial_attention(net, feature_distilled(net, x, key, "gelu"), f"{key}.esa", "gelu")
    if f"{key}.cca.conv_du.0.weight" in net.state:
        y = channel_attention(net, y, f"{key}.cca")
    if f"{key}.cw" in net.state:
        y = net.affine(y, net.state[f"{key}.cw"].reshape(-1), 0.0)
    if f"{key}.conv_out.weight" in net.state:
        y = net.conv(y, f"{key}.conv_out")
    return net.add(y, x, f"{key}.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    keys = [f"B{n}" for n in counted(state, _BLOCK)]
    scale = whole_root(state[f"{_TAIL}.weight"].shape[0], 3)
    assert scale is not None
    copies = state["fea_conv.pw.weight"].shape[1] // 3

    def write(net: NetBuilder, x: Any) -> Any:
        first = any_conv(net, net.concat([x] * copies), "fea_conv")
        fused = net.activate(net.conv(joined_blocks(net, first, keys, _block), "c1"), "gelu")
        return shuffled(net, net.add(any_conv(net, fused, "c2"), first, "c2.add"), _TAIL, scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("bsrn", "BSRN and BSRN-S: blueprint separable residual network", _recognise, _recipe)
