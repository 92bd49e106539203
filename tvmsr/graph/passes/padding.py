"""Padding, crops and pixel unshuffles of their own become part of the convolutions beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from tvmsr.graph.model import F32, Activation, ConvAttrs, Node, PadMode, ShuffleAttrs
from tvmsr.graph.workspace import Workspace

Padding = tuple[int, int, int, int]


def reads_pad(attrs: ConvAttrs) -> bool:
    """True where a convolution reads the weight "pad" at all."""
    return attrs.mode is PadMode.CONSTANT and max(attrs.padding) > 0


def is_padding(node: Node | None) -> bool:
    """True for a convolution that only pads or crops."""
    if node is None or node.op != "conv":
        return False
    attrs, weight = cast(ConvAttrs, node.attrs), node.weights["weight"]
    one = weight.shape[:3] == (1, 1, 1) and attrs.groups == weight.shape[3] and attrs.stride == 1
    plain = attrs.activation is Activation.NONE and not np.any(node.weights["bias"])
    return one and plain and bool(np.all(weight == 1))


def pad_then_conv(net: Workspace, node: Node) -> bool:
    """conv(pad(x)) is one convolution where their amounts go together."""
    inner = net.get(node.inputs[0])
    if node.op != "conv" or inner is None or not is_padding(inner):
        return False
    first, second = cast(ConvAttrs, inner.attrs), cast(ConvAttrs, node.attrs)
    amounts = _joined(first, second)
    if amounts is None:
        return False
    filled = [(n, attrs) for n, attrs in ((inner, first), (node, second)) if max(attrs.padding) > 0]
    if len(filled) == 2:
        constant = first.mode is PadMode.CONSTANT
        if first.mode is not second.mode or (constant and np.any(inner.weights["pad"] != node.weights["pad"])):
            return False
    fills, attrs = filled[0] if filled else (node, second)
    weights = {**node.weights, "pad": fills.weights["pad"]}
    joined = replace(second, padding=amounts, mode=attrs.mode)
    net.put(replace(node, inputs=inner.inputs, attrs=joined, weights=weights))
    return True


def _joined(first: ConvAttrs, second: ConvAttrs) -> Padding | None:
    """The padding of both, one after the other; None where that is no padding."""
    for before, after in zip(first.padding, second.padding, strict=True):
        if before < 0 < after or (before > 0 and after > 0 and first.mode is PadMode.REFLECT):
            return None
    top, left, bottom, right = (a + b for a, b in zip(first.padding, second.padding, strict=True))
    return top, left, bottom, right


def conv_then_crop(net: Workspace, node: Node) -> bool:
    """crop(conv(x)) is a convolution with less padding: what is cropped is not computed."""
    inner = net.get(node.inputs[0])
    if not is_padding(node) or inner is None or inner.op != "conv" or not net.sole(inner.name):
        return False
    crop, attrs = cast(ConvAttrs, node.attrs).padding, cast(ConvAttrs, inner.attrs)
    if max(crop) > 0:
        return False
    top, left, bottom, right = (p + c * attrs.stride for p, c in zip(attrs.padding, crop, strict=True))
    net.put(replace(inner, attrs=replace(attrs, padding=(top, left, bottom, right))))
    net.redirect(node.name, inner.name)
    return True


def shuffle_then_crop(net: Workspace, node: Node) -> bool:
    """crop(depth_to_space(x)) by whole blocks is depth_to_space(crop(x))."""
    inner = net.get(node.inputs[0])
    if not is_padding(node) or inner is None or inner.op != "depth_to_space" or not net.sole(inner.name):
        return False
    attrs, block = cast(ConvAttrs, node.attrs), cast(ShuffleAttrs, inner.attrs).block
    if max(attrs.padding) > 0 or any(amount % block for amount in attrs.padding):
        return False
    top, left, bottom, right = (amount // block for amount in attrs.padding)
    channels = net.channels(inner.inputs[0])
    cropped = replace(attrs, padding=(top, left, bottom, right), groups=channels)
    weights = {
        "weight": np.ones((1, 1, 1, channels), np.float32),
        "bias": np.zeros(channels, np.float32),
        "pad": np.zeros(channels, np.float32),
    }
    net.exchange(replace(node, attrs=cropped, weights=weights), inner)
    return True


def unshuffle_then_conv(net: Workspace, node: Node) -> bool:
    """conv(space_to_depth(x)) is one convolution with a stride, of as many multiplications.

    Rows and columns that fill no block are left out by the one, and read by the other below and beside the picture:
    where padding meets them, the network must be one for pictures of whole blocks.
    """
    inner = net.get(node.inputs[0])
    if node.op != "conv" or inner is None or not net.sole(inner.name) or (taps := _unshuffle(inner)) is None:
        return False
    attrs, weight, block = cast(ConvAttrs, node.attrs), node.weights["weight"], cast(ConvAttrs, inner.attrs).stride
    channels = inner.weights["weight"].shape[2]
    if max(attrs.padding[2:]) > 0 and not _takes_whole_blocks(net):
        return False
    if attrs.groups != 1 or attrs.dilation != 1 or (attrs.mode is not PadMode.CONSTANT and max(attrs.padding) > 0):
        return False
    pad = np.zeros(channels, np.float32)
    pad[taps[2]] = node.weights["pad"]
    if reads_pad(attrs) and np.any(pad[taps[2]] != node.weights["pad"]):
        return False
    height, width, _, outputs = weight.shape
    split = np.zeros((height, block, width, block, channels, outputs), np.float32)
    for i, (dy, dx, channel) in enumerate(zip(*taps, strict=True)):
        split[:, dy, :, dx, channel] += weight[:, :, i]
    top, left, bottom, right = (amount * block for amount in attrs.padding)
    net.put(
        replace(
            node,
            inputs=inner.inputs,
            attrs=replace(attrs, padding=(top, left, bottom, right), stride=attrs.stride * block),
            weights={
                **node.weights,
                "weight": split.reshape(height * block, width * block, channels, outputs),
                "pad": pad,
            },
        )
    )
    return True


def _takes_whole_blocks(net: Workspace) -> bool:
    """True where sizes that were divided have to fit again: no statistic or other tensor's size hides them."""
    return not any(
        node.op == "statistic" or (node.op == "resize" and len(node.inputs) > 1) for node in net.nodes.values()
    )


def _unshuffle(node: Node) -> tuple[F32, F32, F32] | None:
    """Row, column and channel that each output of a space to depth shows; None for any other node."""
    if node.op != "conv":
        return None
    attrs, weight = cast(ConvAttrs, node.attrs), node.weights["weight"]
    shape = (
        attrs.stride > 1 and weight.shape[:2] == (attrs.stride, attrs.stride) and attrs.dilation == attrs.groups == 1
    )
    if not shape or any(attrs.padding) or attrs.activation is not Activation.NONE or np.any(node.weights["bias"]):
        return None
    flat = weight.reshape(-1, weight.shape[3])
    if np.any((flat != 0).sum(axis=0) != 1) or np.any(flat.max(axis=0) != 1):
        return None
    return cast("tuple[F32, F32, F32]", np.unravel_index(flat.argmax(axis=0), weight.shape[:3]))


RULES = (pad_then_conv, conv_then_crop, shuffle_then_crop, unshuffle_then_conv)
