"""FP32 execution of a graph on numpy: what every other executor is judged against."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from tvmsr.abreast import check_wanted
from tvmsr.graph.model import F32, INPUT, Graph, Model
from tvmsr.operations.table import operation_of

#: Called with the name and value of each tensor as soon as it is known.
Visitor = Callable[[str, F32], None]


def run_fp32(
    network: Model | Graph,
    image: F32,
    *,
    keep: Collection[str] | None = None,
    visit: Visitor | None = None,
) -> F32 | dict[str, F32]:
    """Run a network on one picture (H, W, C) of float32, canonically RGB 0..1, and return its output (H', W', C').

    With `keep`, return the tensors of these names instead, as a dictionary. `visit` sees every tensor once, in
    execution order and `input` first; tensors are freed after their last reader, so memory stays bounded.
    """
    if keep is None:
        return _run(network, image, (), visit)[_graph(network).output]
    return _run(network, image, keep, visit)


def run_fp32_tensors(network: Model | Graph, image: F32) -> dict[str, F32]:
    """Every tensor of the network on one picture, by name, `input` among them. Meant for small crops."""
    graph = _graph(network)
    return _run(graph, image, {INPUT, *(node.name for node in graph)}, None)


def _graph(network: Model | Graph) -> Graph:
    return network.graph if isinstance(network, Model) else network


def _run(network: Model | Graph, image: F32, keep: Collection[str], visit: Visitor | None) -> dict[str, F32]:
    graph = _graph(network)
    if image.ndim != 3:
        raise ValueError(f"an image is (H, W, C), not {image.shape}")
    last_reader = {name: node.name for node in graph for name in node.inputs}
    wanted = {graph.output, *keep} if not keep else set(keep)
    tensors = {INPUT: np.ascontiguousarray(image, np.float32)}
    if visit is not None:
        visit(INPUT, tensors[INPUT])
    for node in graph:
        check_wanted()
        value = operation_of(node).reference(tuple(tensors[name] for name in node.inputs), node)
        tensors[node.name] = value
        if visit is not None:
            visit(node.name, value)
        for name in set(node.inputs):
            if last_reader[name] == node.name and name not in wanted:
                del tensors[name]
    return {name: tensors[name] for name in wanted}
