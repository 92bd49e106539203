"""The nodes of an ONNX graph in an order in which they can be computed, or the reason why there is none."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.whole_file import shown

if TYPE_CHECKING:
    import onnx


def put_in_order(graph: onnx.GraphProto, source: str) -> None:
    """Sort the nodes where they are not sorted: each reads inputs, initialisers and what nodes before it make.

    InputFileError where a name is made twice or not at all, or nodes wait for one another.
    """
    given = _given(graph, source)
    maker = _makers(graph, given, source)
    needs = [{maker[name] for name in node.input if name in maker} for node in graph.node]
    for value in graph.output:
        if value.name not in given and value.name not in maker:
            raise InputFileError(f"{source}: nothing makes its output {shown(value.name)}")
    if all(max(need, default=-1) < index for index, need in enumerate(needs)):
        return
    nodes = [type(node).FromString(node.SerializeToString()) for node in graph.node]
    order = _order(needs, [_place(node) for node in nodes], source)
    del graph.node[:]
    graph.node.extend(nodes[index] for index in order)


def _given(graph: onnx.GraphProto, source: str) -> set[str]:
    """Inputs and initialisers; old files list an initialiser among the inputs, too."""
    for what, names in (
        ("inputs", [value.name for value in graph.input]),
        ("tensors", [tensor.name for tensor in graph.initializer]),
    ):
        if len(set(names)) != len(names):
            double = next(name for name in names if names.count(name) > 1)
            raise InputFileError(f"{source}: two {what} are called {shown(double)}")
    return {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}


def _makers(graph: onnx.GraphProto, given: set[str], source: str) -> dict[str, int]:
    """Which node makes each name; every name that is read is made, or given."""
    maker: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.output:
            if name and (name in maker or name in given):
                raise InputFileError(f"{source}: {shown(name)} is made twice, the second time by {_place(node)}")
            if name:
                maker[name] = index
    for node in graph.node:
        for name in node.input:
            if name and name not in maker and name not in given:
                raise InputFileError(f"{source}: {_place(node)} reads {shown(name)}, which nothing makes")
    return maker


def _order(needs: list[set[int]], places: list[str], source: str) -> list[int]:
    """Indices of the nodes, those that need nothing first."""
    waiting = [len(need) for need in needs]
    readers: list[list[int]] = [[] for _ in needs]
    for index, need in enumerate(needs):
        for maker in need:
            readers[maker].append(index)
    ready = deque(index for index, count in enumerate(waiting) if count == 0)
    order: list[int] = []
    while ready:
        order.append(index := ready.popleft())
        for reader in readers[index]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ready.append(reader)
    if len(order) < len(needs):
        caught = [places[index] for index, count in enumerate(waiting) if count > 0]
        raise InputFileError(f"{source}: nodes wait for one another in a cycle: {', '.join(caught[:3])}")
    return order


def _place(node: onnx.NodeProto) -> str:
    makes = ", ".join(shown(name) for name in node.output[:2])
    return f"{shown(node.op_type)} (node {shown(node.name) if node.name else 'without a name'}, makes {makes})"
