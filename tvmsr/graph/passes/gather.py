"""Permutations and copies of channels move up to the convolutions and are folded into the order of their channels."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from tvmsr.graph.model import INPUT, ConvAttrs, GatherAttrs, Node, ShuffleAttrs
from tvmsr.graph.passes.padding import reads_pad
from tvmsr.graph.workspace import Workspace


def _channels(node: Node) -> list[int]:
    return list(cast(GatherAttrs, node.attrs).channels)


def conv_then_gather(net: Workspace, node: Node) -> bool:
    """gather(conv(x)): make only the output channels that are wanted, in the order in which they are."""
    conv = net.get(node.inputs[0])
    if node.op != "gather" or conv is None or conv.op != "conv" or not takes(net, conv.name, node):
        return False
    channels = _channels(node)
    weights = dict(conv.weights)
    weights["weight"] = np.ascontiguousarray(conv.weights["weight"][..., channels])
    for key in ("bias", "slope"):
        if key in weights:
            weights[key] = conv.weights[key][channels]
    net.put(replace(conv, weights=weights))
    net.redirect(node.name, conv.name)
    return True


def gather_then_conv(net: Workspace, node: Node) -> bool:
    """conv(gather(x)) where every channel of x is read: add the weights of copies, permute the others.

    A mere slice is left: it is a view, and reading more channels with zero weights would cost products.
    """
    gather = net.get(node.inputs[0])
    if node.op != "conv" or gather is None or gather.op != "gather":
        return False
    attrs, channels, count = cast(ConvAttrs, node.attrs), _channels(gather), net.channels(gather.inputs[0])
    if attrs.groups != 1 or set(channels) != set(range(count)):
        return False
    pad = np.zeros(count, np.float32)
    pad[channels] = node.weights["pad"]
    if reads_pad(attrs) and np.any(pad[channels] != node.weights["pad"]):
        return False
    weight = np.zeros((*node.weights["weight"].shape[:2], count, node.weights["weight"].shape[3]))
    for i, channel in enumerate(channels):
        weight[:, :, channel] += node.weights["weight"][:, :, i]
    net.put(
        replace(node, inputs=gather.inputs, weights={**node.weights, "weight": weight.astype(np.float32), "pad": pad})
    )
    return True


def unary_then_gather(net: Workspace, node: Node) -> bool:
    """gather(activate(x)) is activate(gather(x)), the same for affine, where x can take the gather in."""
    inner = net.get(node.inputs[0])
    if (
        node.op != "gather"
        or inner is None
        or inner.op not in ("activate", "affine")
        or not takes(net, inner.name, node)
    ):
        return False
    channels = _channels(node)
    net.exchange(node, replace(inner, weights={key: value[channels] for key, value in inner.weights.items()}))
    return True


def add_then_gather(net: Workspace, node: Node) -> bool:
    """gather(add(a, b)) is add(gather(a), gather(b)) where every operand can take its gather in."""
    inner = net.get(node.inputs[0])
    if node.op != "gather" or inner is None or inner.op != "add" or not takes(net, inner.name, node):
        return False
    operands = []
    for name in inner.inputs:
        piece = Node(net.fresh(f"{name}.order"), "gather", (name,), node.attrs)
        net.put(piece)
        operands.append(piece.name)
    net.put(replace(inner, inputs=tuple(operands)))
    net.redirect(node.name, inner.name)
    return True


def shuffle_then_gather(net: Workspace, node: Node) -> bool:
    """gather(depth_to_space(x)) is depth_to_space(gather(x))."""
    inner = net.get(node.inputs[0])
    if node.op != "gather" or inner is None or inner.op != "depth_to_space" or not net.sole(inner.name):
        return False
    before = _before_shuffle(net, inner, _channels(node))
    net.exchange(replace(node, attrs=GatherAttrs(tuple(before))), inner)
    return True


def _before_shuffle(net: Workspace, shuffle: Node, channels: list[int]) -> list[int]:
    phases, count = cast(ShuffleAttrs, shuffle.attrs).block ** 2, net.channels(shuffle.name)
    return [phase * count + c for phase in range(phases) for c in channels]


def concat_then_gather(net: Workspace, node: Node) -> bool:
    """gather(concat(a, b)) that lies within one operand is a gather of that operand."""
    inner = net.get(node.inputs[0])
    if node.op != "gather" or inner is None or inner.op != "concat":
        return False
    start, channels = 0, _channels(node)
    for name in inner.inputs:
        count = net.channels(name)
        if all(start <= c < start + count for c in channels):
            net.put(replace(node, inputs=(name,), attrs=GatherAttrs(tuple(c - start for c in channels))))
            return True
        start += count
    return False


def takes(net: Workspace, name: str, gather: Node) -> bool:  # noqa: PLR0911 - one a kind of node
    """True where a gather that reads `name` disappears when moved upstream, and no value is computed twice."""
    node, channels = net.get(name), _channels(gather)
    if node is None:
        return name == INPUT  # the picture is read through a view
    if node.op == "gather":
        return True
    if not net.sole(name) or len(set(channels)) != len(channels):
        return False
    if node.op == "conv":
        return cast(ConvAttrs, node.attrs).groups == 1
    if node.op in ("activate", "affine"):
        return takes(net, node.inputs[0], gather)
    if node.op == "add":
        some = any(net.op(i) != INPUT and takes(net, i, gather) for i in node.inputs)
        return some and all(takes(net, i, gather) for i in node.inputs)
    return False


RULES = (
    conv_then_gather,
    gather_then_conv,
    unary_then_gather,
    add_then_gather,
    shuffle_then_gather,
    concat_then_gather,
)
