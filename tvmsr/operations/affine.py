"""`affine`: x * scale + shift per channel; folded into convolutions before anything else sees the graph."""

from __future__ import annotations

from tvmsr.graph.model import F32, Node, TensorType
from tvmsr.operations.operation import expect, expect_vector


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 1, node, "needs one input")
    for key in ("scale", "shift"):
        expect_vector(node, key, types[0].channels)
    return types[0]


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    return inputs[0] * node.weights["scale"] + node.weights["shift"]
