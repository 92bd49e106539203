"""The reference executor on a graph of which a run of a similar one is known: only what differs is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import INPUT
from tvmsr.quant.held import Held, Values
from tvmsr.quant.integer import Code, IntegerGraph, IntegerNode, Term
from tvmsr.quant.reference import execute

#: Fields of a node that execution does not need: bounds and units of the accumulator.
_ASIDE = frozenset({"acc_min", "acc_max", "step"})


@dataclass(frozen=True, eq=False)
class Known:
    """A graph and all its tensors on one picture."""

    graph: IntegerGraph
    tensors: Mapping[str, Held]

    @property
    def output(self) -> Values:
        return self.tensors[self.graph.output].values


def run_all(graph: IntegerGraph, image: NDArray[np.uint8], known: Known | None = None) -> Known:
    """Every tensor of a picture of bytes (H, W, 3). known: of a graph with the same input, on the same picture."""
    kept = dict(_unchanged(graph, known)) if known is not None else {}
    tensors = {INPUT: Held(image, graph.input)}
    for node in graph:
        found = kept.get(node.name)
        tensors[node.name] = found or execute(node, tuple(tensors[name] for name in node.inputs))
    return Known(graph, tensors)


def _unchanged(graph: IntegerGraph, known: Known) -> Iterator[tuple[str, Held]]:
    """The tensors that nodes which are as they were make of such tensors."""
    before, same = {node.name: node for node in known.graph}, {INPUT}
    for node in graph:
        other = before.get(node.name)
        if other is not None and same.issuperset(node.inputs) and _are_equal(node, other):
            same.add(node.name)
            yield node.name, known.tensors[node.name]


def _are_equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, (IntegerNode, Code, Term)):
        names = (field.name for field in fields(one) if field.name not in _ASIDE)
        return all(_are_equal(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_are_equal(one[key], other[key]) for key in one)
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else bool(one == other)
