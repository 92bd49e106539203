"""What no convolution took in: scalings of sums, of activations that are tables, and others as convolutions."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from tvmsr.graph.model import ActivateAttrs, ConvAttrs, Node
from tvmsr.graph.workspace import Workspace


def affine_into_table(net: Workspace, node: Node) -> bool:
    """One scale and one shift after an activation that is a table are its gain and offset."""
    inner = net.get(node.inputs[0])
    if node.op != "affine" or inner is None or inner.op not in ("conv", "activate") or not net.sole(inner.name):
        return False
    attrs = cast("ActivateAttrs | ConvAttrs", inner.attrs)
    scale, shift = node.weights["scale"].astype(np.float64), node.weights["shift"].astype(np.float64)
    if not attrs.activation.is_table or np.any(scale != scale[0]) or np.any(shift != shift[0]):
        return False
    gain, offset = attrs.gain * float(scale[0]), attrs.offset * float(scale[0]) + float(shift[0])
    net.put(replace(inner, attrs=replace(attrs, gain=gain, offset=offset)))
    net.redirect(node.name, inner.name)
    return True


def affine_into_add(net: Workspace, node: Node) -> bool:
    """add(affine(a), b) without a shift is a sum with a factor for a."""
    if node.op != "add":
        return False
    for index, name in enumerate(node.inputs):
        inner = net.get(name)
        if inner is None or inner.op != "affine" or not net.sole(name) or np.any(inner.weights["shift"]):
            continue
        factor = inner.weights["scale"] * node.weights.get(f"factor{index}", np.float32(1))
        inputs = tuple(inner.inputs[0] if i == index else other for i, other in enumerate(node.inputs))
        net.put(replace(node, inputs=inputs, weights={**node.weights, f"factor{index}": factor.astype(np.float32)}))
        return True
    return False


def affine_to_conv(net: Workspace, node: Node) -> bool:
    """What nothing took in becomes a 1x1 convolution of its own."""
    if node.op != "affine":
        return False
    count = len(node.weights["scale"])
    weights = {
        "weight": np.diag(node.weights["scale"])[None, None].astype(np.float32),
        "bias": node.weights["shift"],
        "pad": np.zeros(count, np.float32),
    }
    net.put(replace(node, op="conv", attrs=ConvAttrs(), weights=weights))
    return True


#: One after another: the first two leave to the third what is not theirs.
RULES = ((affine_into_table,), (affine_into_add,), (affine_to_conv,))
