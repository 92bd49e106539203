"""Which tensor gets how many bits, and why: streams, gates, table inputs, pinned layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from tvmsr.errors import UsageError
from tvmsr.graph.model import INPUT, ActivateAttrs
from tvmsr.quant.bits import GATE_BITS, STREAM_BITS, TABLE_BITS, Bits
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
    """Residual trunks: tensors that adds chain together, in sets; the picture and the output belong to none."""
    groups: list[set[str]] = []
    for node in structure.graph:
        if node.op != "add" or structure.source[node.name] == structure.output:
            continue
        operands = {structure.source[name] for name in node.inputs if name not in structure.terms}
        chained = {name for name in operands if name not in (INPUT, structure.output)}
        if not chained:
            continue
        chained.add(node.name)
        touching = [group for group in groups if group & chained]
        groups = [group for group in groups if not group & chained] + [chained.union(*touching)]
    adds = {node.name for node in structure.graph if node.op == "add"}
    return tuple(frozenset(group) for group in groups if len(group & adds) >= MIN_TRUNK_ADDS)


def choose_bits(
    structure: Structure,
    bits: Bits,
    layer_bits: Mapping[str, int] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> BitChoice:
    """The default policy.

    layer_bits: {convolution: bits of the activations that it reads}; its tensor becomes that wide, and other readers of
    it get a reading of the usual width. reasons: why, for pins that were not the user's.
    """
    choice = BitChoice(trunks=find_trunks(structure))
    for name in structure.coded:
        choice.tensors[name] = bits.activations
        choice.reasons[name] = f"the plan's {bits.activations} activation bits"
    for trunk in choice.trunks:
        for name in trunk:
            choice.tensors[name] = STREAM_BITS
            choice.reasons[name] = f"residual stream of {len(trunk)} tensors with one scale"
    _widen_operands(structure, choice)
    choice.tensors[structure.output] = 8
    choice.reasons[structure.output] = (
        "the output: a code is a byte of the picture, and its saturating store is the clip"
    )
    pins = dict(layer_bits or {})
    for layer, wanted in pins.items():
        _pin(structure, choice, layer, wanted, (reasons or {}).get(layer, f"pinned to {wanted} activation bits"))
    _add_reads(structure, choice, bits)
    return choice


def _widen_operands(structure: Structure, choice: BitChoice) -> None:
    """Operands of products and inputs of tables that are nodes of their own."""
    for node in structure.graph:
        if node.op == "mul":
            least, reason = GATE_BITS, f"operand of the product {node.name!r}"
        elif node.op == "activate" and cast(ActivateAttrs, node.attrs).activation.is_table:
            least, reason = TABLE_BITS, f"input of the table {node.name!r}"
        else:
            continue
        for operand in node.inputs:
            name = structure.source[operand]
            if name == INPUT:
                continue
            wide = choice.tensors[name]
            if wide == STREAM_BITS and least == GATE_BITS:
                _narrow(choice, name)
            elif wide < least:
                choice.tensors[name], choice.reasons[name] = least, reason


def _narrow(choice: BitChoice, name: str) -> None:
    """What is multiplied has at most 15 bits, so that the product of two fits int32; its stream likewise."""
    for member in next((trunk for trunk in choice.trunks if name in trunk), (name,)):
        choice.tensors[member] = GATE_BITS
        choice.reasons[member] += f"; {GATE_BITS} bits because {name!r} is an operand of a product"


def _pin(structure: Structure, choice: BitChoice, layer: str, wanted: int, reason: str) -> None:
    nodes = {node.name: node for node in structure.graph}
    if layer not in nodes or nodes[layer].op != "conv":
        known = ", ".join(name for name, node in nodes.items() if node.op == "conv")
        raise UsageError(f"--layer-bits {layer}={wanted}: no such layer; the layers are {known}")
    read = nodes[layer].inputs[0]
    name = structure.source[read]
    if name == INPUT:
        raise UsageError(f"--layer-bits {layer}={wanted}: this layer reads the picture itself, which has 8 bits")
    if name == structure.output:
        raise UsageError(f"--layer-bits {layer}={wanted}: this layer reads the output, which has 8 bits")
    held = choice.tensors[name]
    trunk = any(name in members for members in choice.trunks)
    only_convolutions = all(node.op == "conv" for _, node in structure.all_readers(name))
    if wanted > 8 and (wanted >= held or trunk):
        if not trunk:
            choice.tensors[name] = wanted
            choice.reasons[name] = f"{layer!r} reads it: {reason}"
        choice.reads_stream.add(layer)
        choice.layer_reasons[layer] = reason
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
        narrow = [n.name for n in structure.readers[tensor] if n.op == "conv" and n.name not in choice.reads_stream]
        if narrow and tensor not in choice.reads:
            choice.reads[tensor] = bits.activations
            choice.read_reasons[tensor] = f"what convolutions read of the {choice.tensors[source]}-bit {source!r}"
    choice.reads_stream &= {
        node.name for node in structure.graph if node.op == "conv" and node.inputs[0] in choice.reads
    }
