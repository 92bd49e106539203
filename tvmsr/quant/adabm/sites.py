"""Where a network's activations can have fewer bits, and plans with others there.

A *site* is everything that shares one grid of at most 8 bits: a tensor with what moves make of it, the reading of a
stream, a concat with its operands. Streams, gates, inputs of tables and the network's ends are none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from tvmsr.graph.model import INPUT, ConvAttrs, Model
from tvmsr.quant.bind import bind
from tvmsr.quant.ending import Ending, ended
from tvmsr.quant.groups import group_slots
from tvmsr.quant.integer import Code
from tvmsr.quant.plan import Plan, TensorPlan, affine
from tvmsr.quant.streams import BitChoice, find_trunks
from tvmsr.quant.structure import READ_SUFFIX, analyse
from tvmsr.quant.weights import best_scales, default_scales, folded_weight
from tvmsr.quant.widen import macs_shares

#: Bits of a site.
LEAST_BITS, FULL_BITS = 2, 8
#: Least and largest value that codes cover, in the units of the plan.
Range = tuple[float, float]


@dataclass(frozen=True)
class Site:
    """name: its first slot. slots: tensors with codes of their own, and readings as "T.read".

    readers: the convolutions over pixels that read it, none where all else does. macs: their share of the network's
    multiplications, 0..1. range: what its codes cover, which all slots have in common.
    """

    name: str
    slots: tuple[str, ...]
    readers: tuple[str, ...]
    macs: float
    range: Range


def sites_of(model: Model, plan: Plan, pinned: Collection[str] = ()) -> tuple[Site, ...]:
    """The sites of a plan: those of tensors in their order, then readings.

    pinned: convolutions whose input stays as it is. Of a plan whose sites have different bits, concats may be other
    sites than of one where all have the same.
    """
    structure = analyse(ended(model, plan.ending or Ending.PINNED).graph)
    choice = BitChoice(
        tensors={name: code.bits for name, code in plan.tensors.items()},
        reads={name: code.bits for name, code in plan.reads.items()},
        reads_stream={name for name, layer in plan.layers.items() if layer.reads_stream},
        trunks=find_trunks(structure),
    )
    shares, found = macs_shares(model), []
    ends = {structure.output, structure.measured}
    for group in group_slots(structure, choice):
        slots = tuple(slot for slot in group.slots if slot in structure.coded or slot not in structure.channels)
        readers = tuple(node.name for node, _ in group.consumers if structure.weighs_pixels(node))
        if group.bits > FULL_BITS or ends.intersection(slots) or not slots or set(readers).intersection(pinned):
            continue
        code = _code(plan, slots[0])
        share = sum(shares[name] for name in readers)
        found.append(Site(slots[0], slots, readers, share, (code.low, code.high)))
    return tuple(found)


def read_at_8_bits(model: Model, plan: Plan) -> tuple[str, ...]:
    """The convolutions that read the picture itself: 8 bits, whatever a plan says."""
    structure = analyse(model.graph)
    coded = {node.name: structure.source[node.inputs[0]] for node in model.graph if structure.weighs_pixels(node)}
    return tuple(name for name, source in coded.items() if source not in plan.tensors)


def with_bits(
    plan: Plan,
    sites: Sequence[Site],
    bits: Mapping[str, int],
    ranges: Mapping[str, Range] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> Plan:
    """The plan with other bits at some sites: by their names, 2 to 8. Its weights, and factors per channel, stay.

    ranges: what the codes cover, by name, where that changes, too. reasons: why, by name.
    """
    tensors, reads = dict(plan.tensors), dict(plan.reads)
    for site in sites:
        if site.name not in bits:
            continue
        low, high = (ranges or {}).get(site.name, site.range)
        scale, zero = affine(low, high, bits[site.name])
        update = {"bits": bits[site.name], "low": low, "high": high, "scale": scale, "zero": zero}
        for slot in site.slots:
            held, name = (tensors, slot) if slot in tensors else (reads, slot.removesuffix(READ_SUFFIX))
            held[name] = _because(held[name], (reasons or {}).get(site.name)).model_copy(update=update)
    return plan.model_copy(update={"tensors": tensors, "reads": reads})


def with_weight_bits(model: Model, plan: Plan, bits: Mapping[str, int], why: str = "") -> Plan:
    """The plan with other weight bits, 2 to 8, for some convolutions, by name: new scales, and codes to the nearest.

    What only moves codes stays as it is. why: said by their reasons.
    """
    structure, layers, read = analyse(model.graph), dict(plan.layers), read_codes(model, plan)
    for name, width in bits.items():
        if name in structure.moves:
            continue
        node, x = structure.nodes[name], read[name]
        folded = folded_weight(node.weights["weight"], x.equal, cast(ConvAttrs, node.attrs).groups)
        choose = default_scales if width == FULL_BITS else best_scales
        scales = choose(folded, node.weights["bias"], width, float(x.scale))
        update = {
            "weight_bits": width,
            "weight_scales": [float(scale) for scale in scales],
            "weight_codes": None,
            "reason": why or layers[name].reason,
        }
        layers[name] = layers[name].model_copy(update=update)
    return plan.model_copy(update={"layers": layers})


def read_codes(model: Model, plan: Plan) -> dict[str, Code]:
    """How the convolutions' inputs are held, by the convolution."""
    graph = bind(model, plan)
    held = {INPUT: graph.input} | {node.name: node.output for node in graph}
    return {node.name: cast(Code, held[node.inputs[0]]) for node in graph if node.op == "conv"}


def bits_of(plan: Plan, site: Site) -> int:
    """What the site has in a plan."""
    return _code(plan, site.name).bits


def _code(plan: Plan, slot: str) -> TensorPlan:
    return plan.tensors[slot] if slot in plan.tensors else plan.reads[slot.removesuffix(READ_SUFFIX)]


def _because(code: TensorPlan, why: str | None) -> TensorPlan:
    """What a reason says first gives way; how the range and the factors came stays."""
    if why is None:
        return code
    _, _, rest = code.reason.partition(";")
    return code.model_copy(update={"reason": f"{why};{rest}" if rest else why})
