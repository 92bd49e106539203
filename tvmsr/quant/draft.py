"""From statistics and a choice of bits to a Plan: ranges, factors, weight scales, and the reasons for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import ConvAttrs, Model
from tvmsr.quant.bind import PIXEL_SCALE
from tvmsr.quant.bits import TABLE_BITS, Bits
from tvmsr.quant.ending import Ending, ends_at_white
from tvmsr.quant.equalise import class_ranges, factors
from tvmsr.quant.groups import Group, group_slots, input_slot, tensor_of
from tvmsr.quant.methods import method_of
from tvmsr.quant.plan import CalibrationData, CodePlan, LayerPlan, Plan, TensorPlan, affine
from tvmsr.quant.ranges import (
    TABLE_SUFFIX,
    ChannelStats,
    Histogram,
    Watched,
    observe_histograms,
    widened,
)
from tvmsr.quant.streams import BitChoice
from tvmsr.quant.structure import READ_SUFFIX, Structure, analyse
from tvmsr.quant.weights import best_scales, default_scales, folded_weight, selection_scales

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
#: Why weight scales are what they are: below 8 bits, at 8; and of what only moves codes.
_WEIGHT_REASONS = ("least mean square error of the weights", "largest weight of each output channel")
_SELECTION_REASON = "only moves codes: a power of two keeps them"
#: Called with what is being done, steps done, steps in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class SoFar:
    """A whole plan on the way: what there is if the rest takes too long. drop: to expect of it, in dB, where known."""

    plan: Plan
    drop: float | None = None


#: Given each whole plan on the way, the best last.
Tell = Callable[[SoFar], None]


@dataclass(frozen=True, eq=False)
class _Range:
    """What the codes of a group cover, in units of its channels of factor 1; factors of its classes; how they came."""

    low: float
    high: float
    factors: F32
    power: float


def make_plan(
    model: Model,
    crops: Sequence[U8],
    stats: Mapping[str, ChannelStats],
    choice: BitChoice,
    *,
    bits: Bits,
    method: str,
    ending: Ending,
    equalise: bool,
    seed: int,
    description: str,
    progress: Progress | None = None,
) -> Plan:
    """Ranges, factors and weight scales for a choice of bits; no bias correction. stats: of `observe_channels`."""
    structure = analyse(model.graph)
    groups = group_slots(structure, choice)
    weight_bits = {node.name: bits.weights for node in model.graph if node.op == "conv"}
    scaled = [
        factors(group, stats, structure, weight_bits) if equalise else (np.ones(len(group.free), np.float32), 0.0)
        for group in groups
    ]
    ranges = _choose_ranges(model, crops, structure, groups, scaled, stats, method, progress)
    tensors: dict[str, TensorPlan] = {}
    reads: dict[str, TensorPlan] = {}
    equal: dict[str, F32] = {}
    for group, found in zip(groups, ranges, strict=True):
        for slot in group.slots:
            equal[slot] = found.factors[group.classes[slot]]
            if slot in structure.coded:
                tensors[slot] = _tensor_plan(structure, choice, slot, group.bits, found, equal[slot], method)
            elif slot not in structure.channels:
                name = tensor_of(slot, structure)
                reads[name] = _read_plan(choice, name, group.bits, found, equal[slot])
    layers = _layers(model, structure, choice, tensors, reads, equal, stats, bits)
    sizes = sorted({f"{crop.shape[1]}x{crop.shape[0]}" for crop in crops})
    return Plan(
        model=model.name,
        checksum=model.checksum,
        method=method,
        ending=None if ending is Ending.PINNED else ending,
        bits=str(bits),
        settings={"equalise": equalise, **(method_of(method).settings or {})},
        seed=seed,
        calibration=CalibrationData(description=description, crops=len(crops), crop_size=", ".join(sizes)),
        tensors={name: tensors[name] for name in structure.coded},
        reads=reads,
        layers=layers,
    )


def ticker(progress: Progress | None, what: str, total: int) -> Callable[[], None]:
    count = 0

    def done() -> None:
        nonlocal count
        count += 1
        if progress is not None:
            progress(what, count, total)

    return done


def _choose_ranges(
    model: Model,
    crops: Sequence[U8],
    structure: Structure,
    groups: Sequence[Group],
    scaled: Sequence[tuple[F32, float]],
    stats: Mapping[str, ChannelStats],
    method: str,
    progress: Progress | None,
) -> list[_Range]:
    """Ranges of all groups by the method, in the units that the factors leave."""
    white = structure.source[model.graph.measured] if ends_at_white(model.graph) else None
    extremes = []
    for group, (factor, _) in zip(groups, scaled, strict=True):
        low, high = class_ranges(group, stats, structure)
        most = 1.0 if white is not None and white in group.slots else np.inf
        extremes.append((float((low / factor).min()), min(float((high / factor).max()), most)))
    chosen = method_of(method).choose
    if chosen is not None:
        watched = [
            Watched(_watched(structure, group, factor), low, high)
            for group, (factor, _), (low, high) in zip(groups, scaled, extremes, strict=True)
        ]
        found = observe_histograms(model.graph, crops, watched, ticker(progress, "histograms", len(crops)))
        settings = method_of(method).settings or {}
        # Wide codes have room for every value.
        extremes = [
            chosen(histogram, group.bits, settings) if group.bits <= 8 and _has_width(histogram) else extreme
            for group, histogram, extreme in zip(groups, found, extremes, strict=True)
        ]
    return [
        _Range(*widened(low, high, group.bits), factor, power)
        for group, (factor, power), (low, high) in zip(groups, scaled, extremes, strict=True)
    ]


def _has_width(histogram: Histogram) -> bool:
    return histogram.high > histogram.low


def _watched(structure: Structure, group: Group, factor: F32) -> dict[str, NDArray[np.float64]]:
    """Tensors of a group whose values its histogram counts: each once, not again where a move repeats it."""
    own = [slot for slot in group.slots if slot in structure.coded] or list(group.slots)
    return {tensor_of(slot, structure): factor[group.classes[slot]].astype(np.float64) for slot in own}


def _tensor_plan(
    structure: Structure, choice: BitChoice, name: str, bits: int, found: _Range, equal: F32, method: str
) -> TensorPlan:
    reason = choice.reasons[name]
    if name == structure.output:
        return TensorPlan(bits=8, low=0.0, high=1.0, scale=float(PIXEL_SCALE), zero=0, reason=reason)
    how = method if bits <= 8 else "twice the largest values seen"
    return _code_plan(bits, found, equal, f"{reason}; range: {how}")


def _read_plan(choice: BitChoice, name: str, bits: int, found: _Range, equal: F32) -> TensorPlan:
    return _code_plan(bits, found, equal, choice.read_reasons[name])


def _code_plan(bits: int, found: _Range, equal: F32, reason: str) -> TensorPlan:
    scale, zero = affine(found.low, found.high, bits)
    plain = bool(np.all(equal == 1))
    if not plain:
        reason += f"; equalised by the power {found.power:g} of the channels' ranges"
    factors_ = None if plain else [float(e) for e in equal]
    return TensorPlan(bits=bits, low=found.low, high=found.high, scale=scale, zero=zero, equal=factors_, reason=reason)


def _layers(
    model: Model,
    structure: Structure,
    choice: BitChoice,
    tensors: Mapping[str, TensorPlan],
    reads: Mapping[str, TensorPlan],
    equal: Mapping[str, F32],
    stats: Mapping[str, ChannelStats],
    bits: Bits,
) -> dict[str, LayerPlan]:
    layers = {}
    for node in model.graph:
        if node.op != "conv":
            continue
        slot, attrs = input_slot(node, structure, choice), cast(ConvAttrs, node.attrs)
        factor = equal.get(slot, np.ones(structure.channels[node.inputs[0]], np.float32))
        if node.name in structure.moves:
            scales = selection_scales(factor[structure.moves[node.name][0]], bits.weights)
            reason = _SELECTION_REASON
        else:
            folded = folded_weight(node.weights["weight"], factor, attrs.groups)
            scale = _input_scale(structure, slot, tensors, reads)
            choose = default_scales if bits.weights == 8 else best_scales
            scales = choose(folded, node.weights["bias"], bits.weights, scale)
            reason = choice.layer_reasons.get(node.name, _WEIGHT_REASONS[bits.weights == 8])
        layers[node.name] = LayerPlan(
            weight_bits=bits.weights,
            weight_scales=[float(s) for s in scales],
            table=_table_plan(node.name, stats) if attrs.activation.is_table else None,
            reads_stream=node.name in choice.reads_stream,
            reason=reason,
        )
    return layers


def _table_plan(name: str, stats: Mapping[str, ChannelStats]) -> CodePlan:
    found = stats[name + TABLE_SUFFIX]
    low, high = widened(min(float(found.low.min()), 0.0), max(float(found.high.max()), 0.0), TABLE_BITS)
    scale, zero = affine(low, high, TABLE_BITS)
    return CodePlan(bits=TABLE_BITS, low=low, high=high, scale=scale, zero=zero, reason="what the table is asked for")


def _input_scale(
    structure: Structure, slot: str, tensors: Mapping[str, TensorPlan], reads: Mapping[str, TensorPlan]
) -> float:
    if slot not in structure.channels:
        return reads[slot.removesuffix(READ_SUFFIX)].scale
    source = structure.source[slot]
    return tensors[source].scale if source in tensors else float(PIXEL_SCALE)
