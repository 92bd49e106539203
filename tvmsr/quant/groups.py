"""Which stored tensors share a scale, and which of their channels share a factor of equalisation.

A *slot* is what a convolution can read: a tensor by its name, or the narrow reading of one, name + ".read". Slots whose
scale and zero point must or should agree form a group: a tensor and what moves make of it; a trunk; a concat and
its operands of the same width. Channels that hold the same values form a class: moves and concats carry them along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import INPUT, ActivateAttrs, ConvAttrs, Node
from tvmsr.quant.streams import BitChoice
from tvmsr.quant.structure import READ_SUFFIX, Structure

I64 = NDArray[np.int64]

#: Operations that read codes with a factor per channel, beside those that move them. (A `resize` is a cubic one.)
_TAKE_FACTORS = ("conv", "concat", "statistic", "resize")


@dataclass(frozen=True, eq=False)
class Group:
    """Slots with one scale and zero point.

    classes: slot -> class of each channel (C,), numbered within the group; free (classes,): may have a factor other
    than 1. consumers: (convolution, slot it reads).
    """

    slots: tuple[str, ...]
    bits: int
    classes: Mapping[str, I64]
    free: NDArray[np.bool_]
    consumers: tuple[tuple[Node, str], ...]


def tensor_of(slot: str, structure: Structure) -> str:
    return slot if slot in structure.channels else slot.removesuffix(READ_SUFFIX)


def input_slot(node: Node, structure: Structure, choice: BitChoice) -> str:
    """The slot that a convolution reads."""
    name = node.inputs[0]
    narrow = name in choice.reads and node.name not in choice.reads_stream and structure.weighs_pixels(node)
    return name + READ_SUFFIX if narrow else name


def group_slots(structure: Structure, choice: BitChoice) -> tuple[Group, ...]:
    """All groups but the picture's own."""
    tensors = [t for t in structure.source if t not in structure.terms and structure.source[t] != INPUT]
    slots = [*tensors, *(name + READ_SUFFIX for name in choice.reads)]
    bits = {t: choice.tensors[structure.source[t]] for t in tensors}
    bits |= {name + READ_SUFFIX: width for name, width in choice.reads.items()}
    scales, channels = _Union(slots), _channel_classes(structure, choice, slots)
    for tensor in tensors:
        scales.join(tensor, structure.source[tensor])
    for trunk in choice.trunks:
        scales.join_all(trunk)
    for node, operand in _shared_concats(structure, choice):
        scales.join(operand, node.name)
    return tuple(_group(structure, choice, members, bits, channels) for members in scales.sets())


def _shared_concats(structure: Structure, choice: BitChoice) -> Iterable[tuple[Node, str]]:
    """(concat, operand) where the operand can take the concat's own code."""
    for node in structure.graph:
        if node.op == "concat" and node.name != structure.output:
            for operand in node.inputs:
                source = structure.source[operand]
                if source not in (INPUT, structure.output) and choice.tensors[source] == choice.tensors[node.name]:
                    yield node, operand


def _channel_classes(structure: Structure, choice: BitChoice, slots: list[str]) -> _Union:
    """Channels (slot, c), those of the same values joined."""
    count = {slot: structure.channels[tensor_of(slot, structure)] for slot in slots}
    classes = _Union([(slot, c) for slot in slots for c in range(count[slot])])
    for node in structure.graph:
        if node.name in structure.moves and node.name in count:
            for way in structure.moves[node.name].tolist():
                for c, origin in enumerate(way):
                    classes.join((node.name, c), (node.inputs[0], origin))
    shared = {(node.name, operand) for node, operand in _shared_concats(structure, choice)}
    for node in structure.graph:
        first = 0
        for operand in node.inputs if node.op == "concat" else ():
            width = structure.channels[operand]
            if (node.name, operand) in shared:
                for c in range(width):
                    classes.join((node.name, first + c), (operand, c))
            first += width
    return classes


def _group(
    structure: Structure, choice: BitChoice, members: list[str], bits: Mapping[str, int], channels: _Union
) -> Group:
    numbers: dict[object, int] = {}
    classes = {}
    for slot in members:
        roots = [channels.root((slot, c)) for c in range(structure.channels[tensor_of(slot, structure)])]
        classes[slot] = np.array([numbers.setdefault(root, len(numbers)) for root in roots], np.int64)
    free = np.ones(len(numbers), np.bool_)
    for slot in members:
        if not _may_scale(structure, choice, slot):
            free[classes[slot]] = False
    consumers = tuple(
        (node, slot)
        for node in structure.graph
        if node.op == "conv" and node.name not in structure.moves
        for slot in [input_slot(node, structure, choice)]
        if slot in classes
    )
    return Group(tuple(members), bits[members[0]], classes, free, consumers)


def _may_scale(structure: Structure, choice: BitChoice, slot: str) -> bool:
    """A factor per channel needs a producer with multipliers per channel, and readers that take it up.

    Convolutions, concats, statistics and cubic resizes do; what moves codes carries it along.
    """
    if slot not in structure.channels:
        return True
    source = structure.source[slot]
    if source == structure.output or any(source in trunk for trunk in choice.trunks):
        return False
    producer = structure.nodes[source]
    if producer.op in ("conv", "activate") and cast("ConvAttrs | ActivateAttrs", producer.attrs).activation.is_table:
        return False
    if producer.op == "layer_norm":
        return False
    readers = structure.readers[slot]
    return all(node.op in _TAKE_FACTORS or node.name in structure.moves for node in readers)


class _Union:
    """Disjoint sets."""

    def __init__(self, items: Iterable[object]) -> None:
        self._parent: dict[object, object] = {item: item for item in items}

    def root(self, item: object) -> object:
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, left: object, right: object) -> None:
        self._parent[self.root(left)] = self.root(right)

    def join_all(self, items: Iterable[object]) -> None:
        ordered = sorted(cast("Iterable[str]", items))
        for item in ordered[1:]:
            self.join(item, ordered[0])

    def sets(self) -> list[list[str]]:
        found: dict[object, list[str]] = {}
        for item in self._parent:
            found.setdefault(self.root(item), []).append(cast(str, item))
        return list(found.values())
