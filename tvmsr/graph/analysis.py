"""What can be computed from a graph alone: tensor types, receptive radius, work and size."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import cast

from tvmsr.graph.model import INPUT, INPUT_CHANNELS, ConvAttrs, Graph, Node, TensorType
from tvmsr.operations.operation import ShapeError
from tvmsr.operations.table import operation_of


def tensor_types(graph: Graph, input_channels: int = INPUT_CHANNELS) -> dict[str, TensorType]:
    """The type of every tensor, `input` among them; raises ShapeError where a node does not fit its inputs."""
    types = {INPUT: TensorType(input_channels, Fraction(1))}
    for node in graph:
        missing = [name for name in node.inputs if name not in types]
        if missing:
            raise ShapeError(f"{node.op} {node.name!r} reads {missing[0]!r} before it is made")
        if node.name in types:
            raise ShapeError(f"two nodes are called {node.name!r}")
        types[node.name] = operation_of(node).shape(tuple(types[name] for name in node.inputs), node)
    if graph.output not in types:
        raise ShapeError(f"the output {graph.output!r} is not made by any node")
    return types


def scale_of(graph: Graph) -> Fraction:
    """Height of the output relative to the input's."""
    return tensor_types(graph)[graph.output].ratio


def receptive_radius(graph: Graph) -> int:
    """How many input pixels beside its own, to any side, an output pixel depends on at most.

    Every radius is a multiple of the input's pixel divided by the tensor's ratio; it is rounded up at the end.
    """
    types = tensor_types(graph)
    radius: dict[str, Fraction] = {INPUT: Fraction(0)}
    for node in graph:
        reach = max(radius[name] for name in node.inputs)
        if node.op == "conv":
            attrs, (height, width) = cast(ConvAttrs, node.attrs), node.weights["weight"].shape[:2]
            top, left = attrs.padding[:2]
            taps = max(top, left, (height - 1) * attrs.dilation - top, (width - 1) * attrs.dilation - left)
            reach += Fraction(taps) / types[node.inputs[0]].ratio
        radius[node.name] = reach
    return ceil(radius[graph.output])


def macs_per_pixel(graph: Graph) -> Fraction:
    """Multiply-accumulates of all convolutions per pixel of the input."""
    types = tensor_types(graph)
    return sum((_macs(node) * types[node.name].ratio ** 2 for node in graph if node.op == "conv"), Fraction(0))


def macs_by_node(graph: Graph) -> Mapping[str, Fraction]:
    """Multiply-accumulates of each convolution per pixel of the input."""
    types = tensor_types(graph)
    return {node.name: _macs(node) * types[node.name].ratio ** 2 for node in graph if node.op == "conv"}


def _macs(node: Node) -> int:
    return int(node.weights["weight"].size)


def parameter_count(graph: Graph) -> int:
    """Weights, biases and slopes; padding values are not parameters."""
    return sum(int(value.size) for node in graph for key, value in node.weights.items() if key != "pad")
