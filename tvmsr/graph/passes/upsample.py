"""Sums of upsampled tensors: add first, shuffle once. Sizes that resizes take: of tensors that stay."""

from __future__ import annotations

from dataclasses import replace

from tvmsr.graph.model import Node
from tvmsr.graph.workspace import Workspace


def shuffles_then_add(net: Workspace, node: Node) -> bool:
    """add(depth_to_space(a), depth_to_space(b)) is depth_to_space(add(a, b))."""
    if node.op != "add":
        return False
    shuffles = [net.get(name) for name in node.inputs]
    first = shuffles[0]
    if first is None or first.op != "depth_to_space":
        return False
    for shuffle in shuffles:
        if (
            shuffle is None
            or shuffle.op != "depth_to_space"
            or shuffle.attrs != first.attrs
            or not net.sole(shuffle.name)
        ):
            return False
    sources = tuple(shuffle.inputs[0] for shuffle in shuffles if shuffle is not None)
    net.redirect(node.name, first.name)
    net.put(replace(node, inputs=sources))
    net.put(replace(first, inputs=(node.name,)))
    return True


def like_reads_the_last(net: Workspace, node: Node) -> bool:
    """A resize to the size of x may as well take that of activate(x): then x can take its activation in."""
    if node.op != "resize" or len(node.inputs) < 2:
        return False
    source, like = node.inputs
    after = next((name for name in net.readers(like) if net.op(name) in _KEEP_SIZE and name != node.name), None)
    if after is None or source == like:
        return False
    net.put(replace(node, inputs=(source, after)))
    return True


_KEEP_SIZE = ("activate", "affine", "gather")

RULES = (shuffles_then_add, like_reads_the_last)
