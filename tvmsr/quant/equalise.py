"""Cross-layer equalisation: factors per channel on a tensor's scale, taken up by its producer and its readers.

Channel c of a tensor whose values span r_c gets the factor (r_c / max r)**power. Power 0 is the plain tensor; power 1
gives every channel the full code range, but asks the readers' weights, which are multiplied by the factor, to hold
wider ratios. Which power is best follows from the expected noise of the convolutions that read it:

    activations: sum over channels of |W_c|**2 * (step * factor_c)**2 / 12
    weights:     sum over channels of E[x_c**2] / factor_c**2 * taps * (weight step)**2 / 12
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import ConvAttrs, Node, Statistic, StatisticAttrs
from tvmsr.quant.groups import Group, tensor_of
from tvmsr.quant.ranges import ChannelStats
from tvmsr.quant.structure import Structure
from tvmsr.quant.weights import folded_weight, weight_limit

F64 = NDArray[np.float64]

#: Not beyond 0.5: a channel that is given its whole code range clips as soon as a new picture exceeds what calibration
#: saw there; what is left is the headroom of the smaller channels. ABPN at 8 bits on seven photographs that calibration
#: did not see, by the largest power: 0: 33.415 dB, 0.25: 33.411, 0.5: 33.421, 0.75: 33.423, 1: 33.414.
POWERS = (0.0, 0.25, 0.5)
#: No channel is amplified by more than this.
LEAST_FACTOR = 1.0 / 64
#: A maximum over a whole picture may be this many times those over crops.
MAXIMUM_SLACK = 2.0
#: Factors that gain less than this share of the noise are not worth their place.
WORTHWHILE = 0.98


def class_ranges(group: Group, stats: Mapping[str, ChannelStats], structure: Structure) -> tuple[F64, F64]:
    """Least and largest value of each class of the group, widened to hold 0, and what crops do not show."""
    count = len(group.free)
    low, high = np.zeros(count), np.zeros(count)
    for slot in group.slots:
        name = tensor_of(slot, structure)
        least, most = _beyond_crops(structure.nodes[name], stats[name])
        np.minimum.at(low, group.classes[slot], least)
        np.maximum.at(high, group.classes[slot], most)
    return low, high


def _beyond_crops(node: Node, found: ChannelStats) -> tuple[F64, F64]:
    """The largest value of a whole picture exceeds those of its crops; what a layer norm adds is held by itself."""
    low, high = found.low, found.high
    if isinstance(node.attrs, StatisticAttrs) and node.attrs.kind is Statistic.MAX:
        return MAXIMUM_SLACK * low, MAXIMUM_SLACK * high
    if node.op == "layer_norm":
        beta = node.weights["beta"].astype(np.float64)
        return np.minimum(low, beta), np.maximum(high, beta)
    return low, high


def factors(
    group: Group,
    stats: Mapping[str, ChannelStats],
    structure: Structure,
    weight_bits: Mapping[str, int],
    powers: Sequence[float] = POWERS,
) -> tuple[NDArray[np.float32], float]:
    """The factor of each class (float32, at most 1) and the power that made it; ones and 0 where nothing is gained."""
    plain = np.ones(len(group.free), np.float32)
    low, high = class_ranges(group, stats, structure)
    width = high - low
    if not group.free.any() or not group.consumers or width.max() <= 0:
        return plain, 0.0
    relative = np.maximum(width / width.max(), LEAST_FACTOR)
    best, chosen, chosen_power = _noise(group, plain, (low, high), stats, weight_bits) * WORTHWHILE, plain, 0.0
    for power in powers:
        candidate = np.where(group.free, relative**power, 1.0).astype(np.float32)
        noise = _noise(group, candidate, (low, high), stats, weight_bits)
        if noise < best:
            best, chosen, chosen_power = noise, candidate, power
    return chosen, chosen_power


def _noise(
    group: Group,
    factor: NDArray[np.float32],
    ranges: tuple[F64, F64],
    stats: Mapping[str, ChannelStats],
    weight_bits: Mapping[str, int],
) -> float:
    """Expected noise of the readers, each relative to the power of its result."""
    low, high = ranges
    step = ((high / factor).max() - (low / factor).min()) / ((1 << min(group.bits, 8)) - 1)
    total = 0.0
    for node, slot in group.consumers:
        equal = factor[group.classes[slot]]
        tensor = node.inputs[0]
        noise = _layer_noise(node, equal, step, stats[tensor].square, weight_bits[node.name])
        total += noise / max(float(stats[node.name].square.sum()), 1e-12)
    return total


def _layer_noise(node: Node, equal: NDArray[np.float32], step: float, square: F64, bits: int) -> float:
    weight = node.weights["weight"]
    groups = cast(ConvAttrs, node.attrs).groups
    folded = folded_weight(weight, equal, groups)
    activation_noise = float((folded**2).sum()) * step**2 / 12
    weight_step = np.abs(folded).max(axis=(0, 1, 2)) / weight_limit(bits)
    energy = (square / equal.astype(np.float64) ** 2).reshape(groups, -1).sum(axis=1)
    per_output = np.repeat(energy, weight.shape[3] // groups) * weight.shape[0] * weight.shape[1]
    return activation_noise + float((weight_step**2 * per_output).sum()) / 12
