"""Weight codes, biases and the coarsening that keeps their sums within int32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.quant.accumulators import I64, accumulator_bounds, overflow
from tvmsr.quant.integer import Code
from tvmsr.quant.plan import LayerPlan

F64 = NDArray[np.float64]

#: A bias code never goes beyond this: float32(sum) then still sees its last digits, and products have room in int32.
BIAS_LIMIT = 1 << 26
#: Shares of the largest weight that best_scales tries as the end of the range.
SHRINKS = tuple(1 - 0.02 * step for step in range(26))


@dataclass(frozen=True, eq=False)
class LayerCodes:
    """weight int8 (KH, KW, IC/groups, OC), bias int32 (OC,), the scales used (OC,), bounds of partial sums.

    coarsened: output channel -> (scale of the plan, scale used).
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    scales: F64
    acc_min: I64
    acc_max: I64
    coarsened: Mapping[int, tuple[float, float]]


def weight_limit(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def folded_weight(weight: NDArray[Any], equal: NDArray[Any], groups: int) -> F64:
    """Weights (KH, KW, IC/groups, OC) times the input's factor per channel, which its codes lack."""
    per_output = np.repeat(equal.astype(np.float64).reshape(groups, -1).T, weight.shape[3] // groups, axis=1)
    return weight.astype(np.float64) * per_output


def default_scales(folded: F64, bias: NDArray[Any], bits: int, input_scale: float) -> F64:
    """A scale per output channel (float32 values): the largest weight gets the largest code.

    Where a bias dwarfs the weights it is what sets the scale.
    """
    largest = np.abs(folded).max(axis=(0, 1, 2)) / weight_limit(bits)
    least = np.abs(bias.astype(np.float64)) / (input_scale * BIAS_LIMIT)
    return np.maximum(np.maximum(largest, least), 1e-20).astype(np.float32).astype(np.float64)


def selection_scales(equal: NDArray[Any], bits: int) -> F64:
    """Scales of a convolution that only moves values, whose outputs come from channels of these factors (OC,).

    Its weight codes are a power of two, so that every code comes out as it went in.
    """
    return equal.astype(np.float32).astype(np.float64) / (1 << (bits - 2))


def best_scales(folded: F64, bias: NDArray[Any], bits: int, input_scale: float) -> F64:
    """As default_scales, but each channel's scale shrunk to where its codes lie nearest in the mean square.

    Worth it below 8 bits, where large weights are few steps away from zero.
    """
    largest = default_scales(folded, bias, bits, input_scale)
    best, chosen = np.full(largest.shape, np.inf), largest
    for shrink in SHRINKS:
        scales = (largest * shrink).astype(np.float32).astype(np.float64)
        error = ((_round_weight(folded, scales, bits) * scales - folded) ** 2).sum(axis=(0, 1, 2))
        better = error < best
        best, chosen = np.where(better, error, best), np.where(better, scales, chosen)
    return chosen


def layer_codes(folded: F64, bias: F64, x: Code, plan: LayerPlan) -> LayerCodes:
    """Round weights and bias (ties to even); coarsen the scale of each output channel until every sum fits int32.

    Raises ValueError where explicit weight codes do not fit: those cannot be coarsened.
    """
    given = plan.codes(folded.shape)
    if given is not None and plan.weight_scales is None:
        raise ValueError("weight_codes need weight_scales")
    input_scale = float(x.scale)
    wanted = (
        default_scales(folded, bias, plan.weight_bits, input_scale)
        if plan.weight_scales is None
        else np.asarray(plan.weight_scales, np.float32).astype(np.float64)
    )
    scales = wanted.copy()
    while True:
        weight = _round_weight(folded, scales, plan.weight_bits) if given is None else given
        raw = np.rint(bias / (input_scale * scales))
        bias_codes = np.clip(raw, -(2.0**40), 2.0**40).astype(np.int64)
        lowest, highest = accumulator_bounds(weight, bias_codes, x)
        excess = overflow(lowest, highest)
        if np.all(excess <= 1):
            break
        if given is not None:
            channel = int(np.argmax(excess))
            raise ValueError(f"weight_codes: the sums of output channel {channel} do not fit int32")
        larger = scales * np.maximum(excess, 1) * 1.002
        scales = np.where(excess > 1, larger, scales).astype(np.float32).astype(np.float64)
    changed = np.flatnonzero(scales != wanted)
    return LayerCodes(
        weight,
        bias_codes.astype(np.int32),
        scales,
        lowest,
        highest,
        {int(c): (float(wanted[c]), float(scales[c])) for c in changed},
    )


def _round_weight(folded: F64, scales: F64, bits: int) -> NDArray[np.int8]:
    limit = weight_limit(bits)
    return np.clip(np.rint(folded / scales), -limit, limit).astype(np.int8)
