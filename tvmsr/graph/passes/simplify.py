"""Neutral nodes go, chains of one kind become one node."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from tvmsr.graph.model import F32, INPUT, ActivateAttrs, Activation, ConvAttrs, GatherAttrs, Node, ShuffleAttrs
from tvmsr.graph.workspace import Workspace

#: Deviation from scale 1 and shift 0 that the rounding of folded constants leaves: far below a 16-bit code.
_NEUTRAL = 1e-6


def drop_neutral(net: Workspace, node: Node) -> bool:
    """Drop a node that changes nothing: identity gather or affine, shuffle by one, no activation."""
    if not _is_neutral(net, node) or (node.name == net.output and node.inputs[0] == INPUT):
        return False
    net.redirect(node.name, node.inputs[0])
    return True


def _is_neutral(net: Workspace, node: Node) -> bool:
    if node.op == "gather":
        return cast(GatherAttrs, node.attrs).channels == tuple(range(net.channels(node.inputs[0])))
    if node.op == "depth_to_space":
        return cast(ShuffleAttrs, node.attrs).block == 1
    if node.op == "activate":
        kind = cast(ActivateAttrs, node.attrs).activation
        return kind is Activation.NONE or (kind is Activation.RELU and _is_positive(net.get(node.inputs[0])))
    if node.op == "affine":
        scale, shift = node.weights["scale"], node.weights["shift"]
        return bool(np.all(np.abs(scale - 1) <= _NEUTRAL) and np.all(np.abs(shift) <= _NEUTRAL))
    return False


#: Functions that are never negative.
_POSITIVE = (Activation.SIGMOID, Activation.HARD_SIGMOID, Activation.EXP, Activation.SQUARE, Activation.SQRT)


def _is_positive(node: Node | None) -> bool:
    attrs = None if node is None else node.attrs
    if not isinstance(attrs, (ActivateAttrs, ConvAttrs)):
        return False
    return attrs.activation in _POSITIVE and attrs.gain >= 0 and attrs.offset >= 0


def merge_gathers(net: Workspace, node: Node) -> bool:
    """gather(gather(x)) is one gather of x."""
    inner = net.get(node.inputs[0])
    if node.op != "gather" or inner is None or inner.op != "gather":
        return False
    outer, first = cast(GatherAttrs, node.attrs).channels, cast(GatherAttrs, inner.attrs).channels
    net.put(replace(node, inputs=inner.inputs, attrs=GatherAttrs(tuple(first[c] for c in outer))))
    return True


def merge_affines(net: Workspace, node: Node) -> bool:
    """affine(affine(x)) is one affine of x."""
    inner = net.get(node.inputs[0])
    if node.op != "affine" or inner is None or inner.op != "affine":
        return False
    a, b = inner.weights, node.weights
    scale = a["scale"].astype(np.float64) * b["scale"]
    shift = a["shift"].astype(np.float64) * b["scale"] + b["shift"]
    net.put(replace(node, inputs=inner.inputs, weights=affine_weights(scale, shift)))
    return True


def affine_weights(scale: object, shift: object) -> dict[str, F32]:
    """The weights of an affine node, rounded to float32."""
    return {"scale": np.asarray(scale, np.float32), "shift": np.asarray(shift, np.float32)}


def clip_bounds(node: Node) -> tuple[float, float] | None:
    """The bounds of an activate or conv node whose activation is a clip or ReLU."""
    attrs = cast(ActivateAttrs, node.attrs)
    if attrs.activation is Activation.RELU:
        return 0.0, float("inf")
    return (attrs.low, attrs.high) if attrs.activation is Activation.CLIP else None


def merge_clips(net: Workspace, node: Node) -> bool:
    """A clip of a clip is one clip; it may also be a convolution that ends in the first. [0, inf) is ReLU."""
    if node.op != "activate" or (outer := clip_bounds(node)) is None:
        return False
    attrs = cast(ActivateAttrs, node.attrs)
    if attrs.activation is Activation.CLIP and outer == (0.0, float("inf")):
        net.put(replace(node, attrs=replace(attrs, activation=Activation.RELU)))
        return True
    inner = net.get(node.inputs[0])
    if inner is None or inner.op not in ("activate", "conv") or (first := clip_bounds(inner)) is None:
        return False
    if inner.op == "conv" and not net.sole(inner.name):
        return False
    low, high = (min(max(bound, outer[0]), outer[1]) for bound in first)
    kind = Activation.RELU if (low, high) == (0.0, float("inf")) else Activation.CLIP
    merged = replace(cast(ActivateAttrs, inner.attrs), activation=kind, low=low, high=high)
    if inner.op == "conv":
        net.put(replace(inner, attrs=merged))
        net.redirect(node.name, inner.name)
    else:
        net.put(replace(node, inputs=inner.inputs, attrs=merged))
    return True


def merge_concat_of_one(net: Workspace, node: Node) -> bool:
    """A concat of pieces of one tensor is a gather of it."""
    if node.op != "concat":
        return False
    sources, channels = set(), list[int]()
    for name in node.inputs:
        piece = net.get(name)
        if piece is not None and piece.op == "gather":
            sources.add(piece.inputs[0])
            channels.extend(cast(GatherAttrs, piece.attrs).channels)
        else:
            sources.add(name)
            channels.extend(range(net.channels(name)))
    if len(sources) != 1:
        return False
    net.put(Node(node.name, "gather", (sources.pop(),), GatherAttrs(tuple(channels))))
    return True


def merge_twins(net: Workspace, node: Node) -> bool:
    """Two gathers of the same channels of one tensor are one."""
    if node.op != "gather":
        return False
    for name in net.readers(node.inputs[0]):
        twin = net.nodes[name]
        if twin.name != node.name and twin.op == "gather" and twin.attrs == node.attrs:
            net.redirect(node.name, twin.name)
            return True
    return False


RULES = (
    merge_twins,
    drop_neutral,
    merge_gathers,
    merge_affines,
    merge_clips,
    merge_concat_of_one,
)
