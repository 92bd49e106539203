"""Re-parameterised blocks: parallel linear branches of one tensor that are added become one convolution."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import F32, Activation, ConvAttrs, Node
from tvmsr.graph.passes.padding import reads_pad
from tvmsr.graph.workspace import Workspace

F64 = NDArray[np.float64]


def merge_parallel_branches(net: Workspace, node: Node) -> bool:
    """Add of conv(x), conv'(x), affine(x) and x, nested or not, is one convolution (plus what else was added).

    One convolution plus x alone is left as it is: that is a residual, whose precision a plan decides.
    """
    if node.op != "add" or _feeds_sole_add(net, node):
        return False
    operands = _flatten(net, node)
    for source in dict.fromkeys(_source(net, name) for name in operands):
        if source is None:
            continue
        branches = [name for name in operands if _source(net, name) == source]
        # The tensor itself is an identity branch, once its other branches make a block of it.
        identity = [name for name in operands if name == source]
        if len(branches) < 2:
            continue
        merged = _merge(net, source, branches, len(identity))
        if merged is None:
            continue
        rest = [name for name in operands if name not in branches and name != source]
        net.put(merged)
        if rest:
            net.put(replace(node, inputs=(merged.name, *rest)))
        else:
            net.redirect(node.name, merged.name)
        return True
    return False


def _feeds_sole_add(net: Workspace, node: Node) -> bool:
    readers = net.readers(node.name)
    return net.sole(node.name) and net.op(readers[0]) == "add"


def _flatten(net: Workspace, node: Node) -> list[str]:
    """Operands of a sum, through sums that nobody else reads."""
    names: list[str] = []
    for name in node.inputs:
        inner = net.get(name)
        names.extend(_flatten(net, inner) if inner is not None and inner.op == "add" and net.sole(name) else [name])
    return names


def _source(net: Workspace, name: str) -> str | None:
    """What a mergeable branch reads; None for any other tensor."""
    node = net.get(name)
    if node is None or not net.sole(name):
        return None
    if node.op == "affine":
        return node.inputs[0]
    if node.op != "conv":
        return None
    attrs = cast(ConvAttrs, node.attrs)
    plain = attrs.stride == attrs.dilation == attrs.groups == 1 and attrs.activation is Activation.NONE
    height, width = node.weights["weight"].shape[:2]
    top, left, bottom, right = attrs.padding
    same = (top + bottom, left + right) == (height - 1, width - 1) and min(attrs.padding) >= 0
    return node.inputs[0] if plain and same else None


def _merge(net: Workspace, source: str, branches: list[str], identities: int) -> Node | None:
    """One convolution of `source` in place of the branches; None where their padding differs."""
    nodes = [net.nodes[name] for name in branches]
    convs = [node for node in nodes if node.op == "conv"]
    padded = [node for node in convs if any(cast(ConvAttrs, node.attrs).padding)]
    if not convs or any(_border(node) != _border(padded[0]) for node in padded):
        return None
    base = padded[0] if padded else convs[0]
    paddings = [cast(ConvAttrs, node.attrs).padding for node in convs]
    padding = cast("tuple[int, int, int, int]", tuple(max(p[i] for p in paddings) for i in range(4)))
    ins, outs = base.weights["weight"].shape[2:]
    weight = np.zeros((padding[0] + padding[2] + 1, padding[1] + padding[3] + 1, ins, outs))
    bias = np.zeros(outs)
    diagonal = np.full(ins, float(identities))
    for node in nodes:
        if node.op == "affine":
            diagonal = diagonal + node.weights["scale"]
            bias += node.weights["shift"]
        else:
            _place(weight, node.weights["weight"], padding, cast(ConvAttrs, node.attrs).padding)
            bias += node.weights["bias"]
    if np.any(diagonal):
        weight[padding[0], padding[1]] += np.diag(diagonal)
    weights = {**base.weights, "weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}
    attrs = replace(cast(ConvAttrs, base.attrs), padding=padding)
    return replace(base, inputs=(source,), attrs=attrs, weights=weights)


def _border(node: Node) -> tuple[object, ...]:
    """What a padded convolution reads outside of the picture."""
    attrs = cast(ConvAttrs, node.attrs)
    return (attrs.mode, *(node.weights["pad"].tolist() if reads_pad(attrs) else ()))


def _place(total: F64, weight: F32, outer: tuple[int, ...], inner: tuple[int, ...]) -> None:
    """Add a smaller kernel to a larger one, origins aligned."""
    top, left = outer[0] - inner[0], outer[1] - inner[1]
    total[top : top + weight.shape[0], left : left + weight.shape[1]] += weight


RULES = (merge_parallel_branches,)
