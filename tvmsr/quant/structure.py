"""How a graph's tensors are held, before any number is chosen: which are codes, which terms, which only move codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from tvmsr.graph.model import INPUT, INPUT_CHANNELS, ConvAttrs, GatherAttrs, Graph, Node, ShuffleAttrs

#: Operations that move codes and change none: the result is held as the operand is.
MOVES = ("gather", "depth_to_space")
READ_SUFFIX = ".read"


@dataclass(frozen=True, eq=False)
class Structure:
    """Facts of a graph that planning and binding share.

    channels: of every tensor. terms: convolutions that only one add reads; they are never stored. source: the tensor
    whose code each tensor keeps (itself, unless it was made by a move). coded: tensors with codes of their own, in
    order, without the picture. readers: the nodes that read each tensor.
    """

    graph: Graph
    channels: Mapping[str, int]
    terms: frozenset[str]
    source: Mapping[str, str]
    coded: tuple[str, ...]
    readers: Mapping[str, tuple[Node, ...]]

    def moved(self, name: str) -> tuple[str, ...]:
        """The tensors that hold the codes of `name`: itself and what moves made of it."""
        return tuple(tensor for tensor, source in self.source.items() if source == name)

    def all_readers(self, name: str) -> tuple[tuple[str, Node], ...]:
        """(tensor, reader) of everything but moves that reads the codes of `name`."""
        return tuple(
            (tensor, node) for tensor in self.moved(name) for node in self.readers[tensor] if node.op not in MOVES
        )

    @property
    def output(self) -> str:
        """The tensor whose codes the output is."""
        return self.source[self.graph.output]


def analyse(graph: Graph) -> Structure:
    channels = {INPUT: INPUT_CHANNELS}
    readers: dict[str, list[Node]] = {INPUT: []}
    source = {INPUT: INPUT}
    for node in graph:
        channels[node.name] = _channels(node, channels)
        readers[node.name] = []
        source[node.name] = source[node.inputs[0]] if node.op in MOVES else node.name
        for name in dict.fromkeys(node.inputs):
            readers[name].append(node)
    # The last of an add's: a kernel has one accumulator, so a second convolution is stored and read.
    last = {readers[node.name][0].name: node.name for node in graph if _is_term(node, readers[node.name], graph.output)}
    terms = frozenset(last.values())
    coded = tuple(n.name for n in graph if n.op not in MOVES and n.name not in terms)
    return Structure(graph, channels, terms, source, coded, {k: tuple(v) for k, v in readers.items()})


def _is_term(node: Node, readers: Sequence[Node], output: str) -> bool:
    if node.op != "conv" or node.name == output or len(readers) != 1:
        return False
    only = readers[0]
    return (
        only.op == "add" and only.inputs.count(node.name) == 1 and not cast(ConvAttrs, node.attrs).activation.is_table
    )


def _channels(node: Node, channels: Mapping[str, int]) -> int:
    if node.op == "conv":
        return int(node.weights["weight"].shape[3])
    if node.op == "gather":
        return len(cast(GatherAttrs, node.attrs).channels)
    if node.op == "depth_to_space":
        return channels[node.inputs[0]] // cast(ShuffleAttrs, node.attrs).block ** 2
    if node.op == "concat":
        return sum(channels[name] for name in node.inputs)
    return channels[node.inputs[0]]
