"""`add`: the sum of two or more tensors of one shape."""

from __future__ import annotations

from tvmsr.graph.model import F32, Node, TensorType
from tvmsr.operations.operation import expect


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) >= 2, node, "needs two or more inputs")
    expect(all(t == types[0] for t in types), node, f"inputs differ: {', '.join(map(str, types))}")
    return types[0]


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    total = inputs[0] + inputs[1]
    for more in inputs[2:]:
        total += more
    return total
