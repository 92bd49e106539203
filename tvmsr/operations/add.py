"""`add`: the sum of two or more tensors of one shape, with the activation of its AddAttrs."""

from __future__ import annotations

from tvmsr.graph.model import F32, Activation, AddAttrs, Node, TensorType
from tvmsr.operations.activate import apply_activation, check_activation
from tvmsr.operations.operation import expect, expect_vector


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) >= 2, node, "needs two or more inputs")
    whole = next((t for t in types if not t.is_one_pixel), types[0])
    fit = all(t == whole or (t.is_one_pixel and t.channels == whole.channels) for t in types)
    expect(fit, node, f"inputs differ: {'; '.join(map(str, types))}")
    for index in range(len(types)):
        if f"factor{index}" in node.weights:
            expect_vector(node, f"factor{index}", whole.channels)
    if isinstance(node.attrs, AddAttrs):
        known = node.attrs.activation in (Activation.NONE, Activation.RELU, Activation.CLIP)
        expect(known, node, f"takes relu and clip, not {node.attrs.activation.value}")
        check_activation(node, whole.channels)
    return whole


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    total = _scaled(inputs[0], node, 0) + _scaled(inputs[1], node, 1)
    for index, more in enumerate(inputs[2:], 2):
        total = total + _scaled(more, node, index)
    return apply_activation(total, node) if isinstance(node.attrs, AddAttrs) else total


def _scaled(x: F32, node: Node, index: int) -> F32:
    factor = node.weights.get(f"factor{index}")
    return x if factor is None else x * factor
