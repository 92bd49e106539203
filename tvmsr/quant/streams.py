"""Which tensor gets how many bits, and why: streams, gates, 1x1 maps, inputs of tables and norms, pinned layers.

Gates, pooled statistics and masks have 15 bits: two of them fit a product, and at 8 IMDN would lose 0.14 dB.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

from tvmsr.errors import UsageError
from tvmsr.graph.model import INPUT, ActivateAttrs, Node
from tvmsr.quant.bits import GATE_BITS, PRODUCT_BITS, STREAM_BITS, TABLE_BITS, Bits
from tvmsr.quant.structure import Structure

#: An add on its own is not worth a second copy of its operand; from two on, their roundings add up.
MIN_TRUNK_ADDS = 2


@dataclass
class BitChoice:
    """Bits and the reasons for them.

    tensors: bits of everything coded; reads: bits of narrow readings of wide tensors; reads_stream: convolutions that
    read a wide tensor as it is although it has a reading. trunks: sets of tensors that share one scale and zero point.
    reasons: by tensor, read_reasons by tensor, layer_reasons by layer.
    """

    tensors: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    reads_stream: set[str] = field(default_factory=set)
    trunks: tuple[frozenset[str], ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    read_reasons: dict[str, str] = field(default_factory=dict)
    layer_reasons: dict[str, str] = field(default_factory=dict)


def find_trunks(structure: Structure) -> tuple[frozenset[str], ...]:
    """Residual trunks: tensors that adds chain together, in sets; the picture and the output belong to none.

    A chain goes on through what is left of a sum by an activation that is no table (RFDN: LeakyReLU).
    """
    groups: list[set[str]] = []
    for node in structure.graph:
        ends = (structure.output, structure.measured)
        chained = {name for name in _chained(structure, node) if name not in (INPUT, *ends)}
        if not chained or structure.source[node.name] in ends:
            continue
        chained.add(node.name)
        touching = [group for group in groups if group & chained]
        groups = [group for group in groups if not group & chained] + [chained.union(*touching)]
    adds = {node.name for node in structure.graph if node.op == "add"}
    return tuple(frozenset(group) for group in groups if len(group & adds) >= MIN_TRUNK_ADDS)


def _chained(structure: Structure, node: Node) -> set[str]:
    """The tensors whose scale the result of an add, or of an activation of one, could share."""
    if node.op == "add":
        return {structure.source[name] for name in node.inputs if _chains(structure, node, name)}
    if node.op != "activate" or _is_table(node):
        return set()
    read = structure.nodes.get(node.inputs[0])
    return {read.name} if read is not None and read.op == "add" else set()


def _chains(structure: Structure, node: Node, operand: str) -> bool:
    """True for a stored operand of an add's own size that no pool, resize, padding or crop made of another size."""
    if operand in structure.terms or structure.types[operand].size != structure.types[node.name].size:
        return False
    while operand in structure.moves:
        move = structure.nodes[operand]
        if move.op not in ("gather", "depth_to_space"):
            return False
        operand = move.inputs[0]
    return True


def choose_bits(
    structure: Structure,
    bits: Bits,
    layer_bits: Mapping[str, int] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> BitChoice:
    """The default policy.

    layer_bits: {convolution: bits of the activations that it reads}; its tensor becomes that wide, and other readers of
    it get a reading of the usual width. reasons: why, for pins that were not the user's. Where a layer is given all the
    bits of a stream, its reason says so.
    """
    choice = BitChoice(trunks=find_trunks(structure))
    for name in structure.coded:
        choice.tensors[name] = bits.activations
        choice.reasons[name] = f"the plan's {bits.activations} activation bits"
    for trunk in choice.trunks:
        for name in trunk:
            choice.tensors[name] = STREAM_BITS
            choice.reasons[name] = f"residual stream of {len(trunk)} tensors with one scale"
    for name in structure.coded:
        if structure.types[name].is_one_pixel and choice.tensors[name] < GATE_BITS:
            choice.tensors[name], choice.reasons[name] = _one_pixel_bits(structure, name), "a 1x1 map: wide at no cost"
    for node in structure.graph:
        _widen_operands(structure, choice, node)
    if structure.measured is not None:
        choice.tensors[structure.measured] = 8
        choice.reasons[structure.measured] = "the network's end: its range is measured, and its codes become bytes"
    choice.tensors[structure.output] = 8
    choice.reasons[structure.output] = (
        "the output: a code is a byte of the picture, and its saturating store is the clip"
    )
    pins = dict(layer_bits or {})
    why = dict(reasons or {})
    for layer, wanted in pins.items():
        pinned = f"pinned to {wanted} activation bits"
        _pin(structure, choice, layer, wanted, f"{wanted} activation bits: {why[layer]}" if layer in why else pinned)
    _fit_products(structure, choice)
    _add_reads(structure, choice, bits)
    for layer, wanted in pins.items():
        found = bits_read(structure, choice.tensors, choice.reads, choice.reads_stream, layer)
        if found != wanted:
            stream = f"{found} activation bits, all that the stream {structure.nodes[layer].inputs[0]!r} has"
            choice.layer_reasons[layer] = f"{stream}: {why[layer]}" if layer in why else f"pinned to {wanted}: {stream}"
    return choice


def bits_read(
    structure: Structure,
    tensors: Mapping[str, int],
    reads: Mapping[str, int],
    reads_stream: Collection[str],
    layer: str,
) -> int:
    """Bits of the activations that a convolution reads; the others are those of BitChoice."""
    read = structure.nodes[layer].inputs[0]
    is_narrow = read in reads and layer not in reads_stream and structure.weighs_pixels(structure.nodes[layer])
    return reads[read] if is_narrow else tensors[structure.source[read]]


def _one_pixel_bits(structure: Structure, name: str) -> int:
    """As a gate; a table of the codes has one entry each, so what only tables read is narrower."""
    readers = structure.all_readers(name)
    return TABLE_BITS if readers and all(_is_table(node) for _, node in readers) else GATE_BITS


def _is_table(node: Node) -> bool:
    return node.op == "activate" and cast(ActivateAttrs, node.attrs).activation.is_table


def _widen_operands(structure: Structure, choice: BitChoice, node: Node) -> None:
    """What products, layer norms, and tables that are nodes of their own read."""
    if node.op == "mul":
        least, reason = GATE_BITS, f"operand of the product {node.name!r}"
    elif node.op == "layer_norm":
        least, reason = GATE_BITS, f"operand of the layer norm {node.name!r}"
    elif _is_table(node):
        least, reason = TABLE_BITS, f"input of the table {node.name!r}"
    else:
        return
    operands = [name for name in (structure.source[operand] for operand in node.reads) if name != INPUT]
    for name in operands:
        if choice.tensors[name] < least:
            choice.tensors[name], choice.reasons[name] = least, reason


def _fit_products(structure: Structure, choice: BitChoice) -> None:
    """The operands of a product that would not fit int32 get 15 bits, and with them the rest of their streams."""
    for node in structure.graph:
        operands = [structure.source[name] for name in node.inputs if structure.source[name] != INPUT]
        if node.op == "mul" and sum(choice.tensors[name] for name in operands) > PRODUCT_BITS:
            for name in operands:
                _narrow(choice, name)


def _narrow(choice: BitChoice, name: str) -> None:
    for member in next((trunk for trunk in choice.trunks if name in trunk), (name,)):
        if choice.tensors[member] > GATE_BITS:
            choice.tensors[member] = GATE_BITS
            choice.reasons[member] += f"; {GATE_BITS} bits because {name!r} is an operand of a product"


def _pin(structure: Structure, choice: BitChoice, layer: str, wanted: int, reason: str) -> None:
    nodes = {node.name: node for node in structure.graph}
    if layer not in nodes or nodes[layer].op != "conv":
        known = ", ".join(name for name, node in nodes.items() if node.op == "conv")
        raise UsageError(f"--layer-bits {layer}={wanted}: no such layer; the layers are {known}")
    read = nodes[layer].inputs[0]
    name = structure.source[read]
    if layer in structure.moves:
        raise UsageError(f"--layer-bits {layer}={wanted}: this layer only moves codes, whatever bits they have")
    if name == INPUT:
        raise UsageError(f"--layer-bits {layer}={wanted}: this layer reads the picture itself, which has 8 bits")
    if name == structure.output:
        raise UsageError(f"--layer-bits {layer}={wanted}: this layer reads the output, which has 8 bits")
    held = choice.tensors[name]
    trunk = any(name in members for members in choice.trunks)
    only_convolutions = all(node.op == "conv" for _, node in structure.all_readers(name))
    # A reading is one for all that read narrowly: wider than theirs, it is only made for a layer that is alone.
    alone = [node.name for node in structure.readers[read] if structure.weighs_pixels(node)] == [layer]
    if wanted > 8 and (wanted >= held or (trunk and not alone)):
        if not trunk:
            choice.tensors[name] = wanted
            choice.reasons[name] = f"{layer!r} reads it: {reason}"
        choice.reads_stream.add(layer)
        choice.layer_reasons[layer] = reason
    elif held > 8 and not structure.weighs_pixels(nodes[layer]):
        raise UsageError(
            f"--layer-bits {layer}={wanted}: this layer reads a 1x1 map of {held} bits, which cost nothing"
        )
    elif held > 8:
        if choice.reads.setdefault(read, wanted) != wanted:
            raise UsageError(f"--layer-bits {layer}={wanted}: another reads {read!r} with {choice.reads[read]} bits")
        choice.read_reasons[read] = choice.layer_reasons[layer] = reason
    elif only_convolutions and len(structure.all_readers(name)) == 1:
        choice.tensors[name] = wanted
        choice.reasons[name] = choice.layer_reasons[layer] = reason
    else:
        others = ", ".join(repr(node.name) for _, node in structure.all_readers(name) if node.name != layer)
        raise UsageError(
            f"--layer-bits {layer}={wanted}: it reads {name!r}, which {others} reads too; above 8 bits works"
        )


def _add_reads(structure: Structure, choice: BitChoice, bits: Bits) -> None:
    """Narrow readings of wide tensors for the convolutions that are not pinned to read them as they are."""
    for tensor, source in structure.source.items() if bits.activations <= 8 else ():
        if source == INPUT or source in structure.terms or choice.tensors[source] <= 8:
            continue
        narrow = [
            node.name
            for node in structure.readers[tensor]
            if structure.weighs_pixels(node) and node.name not in choice.reads_stream
        ]
        if narrow and tensor not in choice.reads:
            choice.reads[tensor] = bits.activations
            choice.read_reasons[tensor] = f"what convolutions read of the {choice.tensors[source]}-bit {source!r}"
    choice.reads_stream &= {
        node.name for node in structure.graph if node.op == "conv" and node.inputs[0] in choice.reads
    }
