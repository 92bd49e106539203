"""Linear convolutions in a row become one: what re-parameterised blocks are made of.

Collapsible linear blocks (SESR, 2021), 1x1-3x3-1x1 chains (RepVGG descendants, SPAN, 2023), BasicBlocks of
edge-oriented nets (ECBSR, 2021) where a file still has their training form.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import Activation, ConvAttrs, Node, PadMode
from tvmsr.graph.workspace import Workspace

F64 = NDArray[np.float64]


def merge_chains(net: Workspace, node: Node) -> bool:
    """conv(conv(x)) is one convolution where that is exact up to the border and costs no more multiplications."""
    inner = net.get(node.inputs[0])
    if node.op != "conv" or inner is None or inner.op != "conv" or not net.sole(inner.name):
        return False
    merged = _merged(inner, node)
    if merged is None or _macs(merged) > _macs(node) + _macs(inner) * cast(ConvAttrs, node.attrs).stride ** 2:
        return False
    net.put(merged)
    return True


def _merged(inner: Node, outer: Node) -> Node | None:
    """One convolution in place of the two; None where there is none."""
    first, second = cast(ConvAttrs, inner.attrs), cast(ConvAttrs, outer.attrs)
    if first.activation is not Activation.NONE or first.groups != second.groups:
        return None
    if _is_pointwise(outer) or _reads_inside(first, second):
        kept, pad = first, inner.weights["pad"]
    elif _is_pointwise(inner) and _same_border(inner, outer):
        kept, pad = second, np.zeros(inner.weights["pad"].size, np.float32)
    else:
        return None
    weight, bias = _composed(inner, outer)
    attrs = replace(
        second,
        padding=kept.padding,
        stride=kept.stride,
        dilation=kept.dilation,
        mode=kept.mode,
    )
    weights = {**outer.weights, "weight": weight.astype(np.float32), "bias": bias.astype(np.float32), "pad": pad}
    return replace(outer, inputs=inner.inputs, attrs=attrs, weights=weights)


def _is_pointwise(node: Node) -> bool:
    attrs = cast(ConvAttrs, node.attrs)
    return node.weights["weight"].shape[:2] == (1, 1) and attrs.stride == 1 and not any(attrs.padding)


def _reads_inside(first: ConvAttrs, second: ConvAttrs) -> bool:
    """True where the second reads nothing beside what the first made, pixel by pixel."""
    plain = first.stride == first.dilation == second.stride == second.dilation == 1
    return plain and not any(second.padding)


def _same_border(inner: Node, outer: Node) -> bool:
    """True where what `outer` reads outside of the picture is what the 1x1 `inner` makes of zeros, or of its edge."""
    attrs = cast(ConvAttrs, outer.attrs)
    if max(attrs.padding) <= 0 or attrs.mode is not PadMode.CONSTANT:
        return True
    return bool(np.all(outer.weights["pad"] == inner.weights["bias"]))


def _composed(inner: Node, outer: Node) -> tuple[F64, F64]:
    """Weight and bias of outer after inner, group by group."""
    groups = cast(ConvAttrs, outer.attrs).groups
    first, second = inner.weights["weight"].astype(np.float64), outer.weights["weight"].astype(np.float64)
    weights, biases = [], []
    for a, offset, b in zip(
        np.split(first, groups, axis=3),
        np.split(inner.weights["bias"].astype(np.float64), groups),
        np.split(second, groups, axis=3),
        strict=True,
    ):
        weights.append(compose(a, b))
        biases.append(np.einsum("m,hwmo->o", offset, b))
    return np.concatenate(weights, axis=3), np.concatenate(biases) + outer.weights["bias"]


def compose(first: F64, second: F64) -> F64:
    """The kernel (KH, KW, IC, OC) of a convolution with `second` after one with `first`: (KH, KW, IC, OC) each."""
    rows, columns = first.shape[0] + second.shape[0] - 1, first.shape[1] + second.shape[1] - 1
    kernel = np.zeros((rows, columns, first.shape[2], second.shape[3]))
    for y, x in np.ndindex(*second.shape[:2]):
        kernel[y : y + first.shape[0], x : x + first.shape[1]] += first @ second[y, x]
    return kernel


def _macs(node: Node) -> int:
    return int(node.weights["weight"].size)


RULES = (merge_chains,)
