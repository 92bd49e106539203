"""How a graph's tensors are held, before any number is chosen: which are codes, which terms, which only move codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from tvmsr.graph.analysis import tensor_types
from tvmsr.graph.model import INPUT, Activation, ConvAttrs, Graph, Node, TensorType
from tvmsr.quant.moves import Origins, origins

READ_SUFFIX = ".read"


@dataclass(frozen=True, eq=False)
class Structure:
    """Facts of a graph that planning and binding share.

    types, channels: of every tensor. terms: convolutions that only one add reads; they are never stored. moves: what
    only moves codes, with where they come from. source: the tensor whose code each tensor keeps (itself, unless it was
    made by a move). coded: tensors with codes of their own, in order, without the picture. readers: the nodes that read
    each tensor's values.
    """

    graph: Graph
    nodes: Mapping[str, Node]
    types: Mapping[str, TensorType]
    channels: Mapping[str, int]
    terms: frozenset[str]
    moves: Mapping[str, Origins]
    source: Mapping[str, str]
    coded: tuple[str, ...]
    readers: Mapping[str, tuple[Node, ...]]

    def moved(self, name: str) -> tuple[str, ...]:
        """The tensors that hold the codes of `name`: itself and what moves made of it."""
        return tuple(tensor for tensor, source in self.source.items() if source == name)

    def all_readers(self, name: str) -> tuple[tuple[str, Node], ...]:
        """(tensor, reader) of everything but moves that reads the codes of `name`."""
        return tuple(
            (tensor, node)
            for tensor in self.moved(name)
            for node in self.readers[tensor]
            if node.name not in self.moves
        )

    def weighs_pixels(self, node: Node) -> bool:
        """True for convolutions over pixels that do more than move codes: what reads narrowly and is corrected.

        A 1x1 map is read as it is: it costs nothing.
        """
        return node.op == "conv" and node.name not in self.moves and not self.types[node.inputs[0]].is_one_pixel

    @property
    def output(self) -> str:
        """The tensor whose codes the output is."""
        return self.source[self.graph.output]

    @property
    def measured(self) -> str | None:
        """The tensor whose codes the network's own end has, where the output is appended to it."""
        return self.source[self.graph.measured] if self.graph.measured else None


def analyse(graph: Graph) -> Structure:
    types = tensor_types(graph)
    readers: dict[str, list[Node]] = {name: [] for name in types}
    moves: dict[str, Origins] = {}
    source = {INPUT: INPUT}
    for node in graph:
        found = origins(node, types[node.inputs[0]].channels)
        if found is not None:
            moves[node.name] = found
        source[node.name] = source[node.inputs[0]] if found is not None else node.name
        for name in dict.fromkeys(node.reads):
            readers[name].append(node)
    # The last of an add's: a kernel has one accumulator, so a second convolution is stored and read.
    terms = frozenset(
        {
            readers[node.name][0].name: node.name
            for node in graph
            if node.name not in moves and node.name != graph.output and _is_term(node, readers[node.name], types)
        }.values()
    )
    return Structure(
        graph=graph,
        nodes={node.name: node for node in graph},
        types=types,
        channels={name: kind.channels for name, kind in types.items()},
        terms=terms,
        moves=moves,
        source=source,
        coded=tuple(node.name for node in graph if node.name not in moves and node.name not in terms),
        readers={name: tuple(nodes) for name, nodes in readers.items()},
    )


def _is_term(node: Node, readers: Sequence[Node], types: Mapping[str, TensorType]) -> bool:
    """A convolution as large as the only add that reads it, which takes it once.

    The add's factor goes into its multiplier: it has none for what an activation left.
    """
    if node.op != "conv" or len(readers) != 1:
        return False
    only, activation = readers[0], cast(ConvAttrs, node.attrs).activation
    if only.op != "add" or only.inputs.count(node.name) != 1 or types[only.name] != types[node.name]:
        return False
    scaled = f"factor{only.inputs.index(node.name)}" in only.weights
    return activation is Activation.NONE if scaled else not activation.is_table
