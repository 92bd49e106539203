"""`mul`: the product of two tensors of one shape, or of one and a 1x1 map (a gate)."""

from __future__ import annotations

from tvmsr.graph.model import F32, Node, TensorType
from tvmsr.operations.operation import expect


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 2, node, "needs two inputs")
    alike = types[0] == types[1] or (types[1].is_one_pixel and types[0].channels == types[1].channels)
    expect(alike, node, f"inputs differ: {types[0]}; {types[1]}")
    return types[0]


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    return inputs[0] * inputs[1]
