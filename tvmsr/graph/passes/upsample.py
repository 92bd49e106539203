"""Sums of upsampled tensors: add first, shuffle once."""

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


RULES = (shuffles_then_add,)
