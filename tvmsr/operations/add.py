"""`add`: the sum of two or more tensors of one shape, with the activation of its AddAttrs."""

from __future__ import annotations

from tvmsr.graph.model import F32, Activation, AddAttrs, Node, TensorType
from tvmsr.operations.activate import apply_activation, check_activation
from tvmsr.operations.operation import expect


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) >= 2, node, "needs two or more inputs")
    expect(all(t == types[0] for t in types), node, f"inputs differ: {', '.join(map(str, types))}")
    if isinstance(node.attrs, AddAttrs):
        known = node.attrs.activation in (Activation.NONE, Activation.RELU, Activation.CLIP)
        expect(known, node, f"takes relu and clip, not {node.attrs.activation.value}")
        check_activation(node, types[0].channels)
    return types[0]


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    total = inputs[0] + inputs[1]
    for more in inputs[2:]:
        total += more
    return apply_activation(total, node) if isinstance(node.attrs, AddAttrs) else total
