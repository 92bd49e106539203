"""Numbers of the operations that look at more than weights do: cubic resizes, statistics, layer norm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from tvmsr.graph.model import Attrs, LayerNormAttrs, Node, ResizeAttrs, Statistic, StatisticAttrs
from tvmsr.quant.integer import TERM_LIMIT, Code, fraction_bits
from tvmsr.quant.multipliers import F64, Params, bounds, rounded, unit, whole
from tvmsr.quant.reference_spatial import (
    CUBIC_UNIT,
    MEAN_BITS,
    NORMAL_BITS,
    VARIANCE_BITS,
    cubic_fraction,
    variance_shift,
)

#: Bound of an epsilon in steps of squared codes: with the largest variance it still fits 63 bits.
EPSILON_LIMIT = 1 << 62
#: Sums of squares over this many channels of 16-bit codes fit 63 bits.
NORMAL_CHANNELS = 1024
#: Fractional bits of the variance that a layer norm takes the root of.
_NORMAL_VARIANCE_BITS = 12


@dataclass(frozen=True, eq=False)
class Numbers:
    """params of an IntegerNode, and the fractional bits of what it requantizes."""

    params: Params
    fraction: int = 0


def cubic(node: Node, x: Code, out: Code) -> Numbers:
    """A resize whose result overshoots."""
    coefficient = cast(ResizeAttrs, node.attrs).cubic * CUBIC_UNIT
    if coefficient != round(coefficient) or not -CUBIC_UNIT <= coefficient <= 0:
        raise ValueError(f"a cubic coefficient is a multiple of 1/{CUBIC_UNIT} from -1 to 0")
    fraction = cubic_fraction(x.bits)
    return Numbers({"m": rounded(unit(x) / (unit(out) * 2.0**fraction))} | _bounds(out), fraction)


def statistic(node: Node, x: Code, out: Code) -> Numbers:
    attrs = cast(StatisticAttrs, node.attrs)
    step = _statistic_step(attrs.kind, unit(x), x.bits)
    spread = attrs.kind in (Statistic.VARIANCE, Statistic.DEVIATION)
    epsilon = (attrs.epsilon if spread else 0.0) / unit(x) ** 2 * 2.0**VARIANCE_BITS
    # A variance is at most 2**30 after its shift, and as much again is left for what is added to it.
    limit = (1 << 30) << variance_shift(x.bits) if attrs.kind is Statistic.VARIANCE else EPSILON_LIMIT
    eps = whole(epsilon, limit, f"its epsilon of {attrs.epsilon}")
    params: Params = {"m": rounded(step / unit(out)), "eps": eps}
    return Numbers(params | _bounds(out))


def _statistic_step(kind: Statistic, step: F64, bits: int) -> F64:
    """What one unit of the integer statistic of codes of this step (C,) is worth."""
    if kind is Statistic.MAX:
        return step
    if kind is Statistic.VARIANCE:
        return step**2 * 2.0 ** (variance_shift(bits) - VARIANCE_BITS)
    return step * 2.0**-MEAN_BITS


def layer_norm(node: Node, x: Code, out: Code) -> Numbers:
    channels = len(x.equal)
    if np.any(x.equal != 1) or np.any(out.equal != 1):
        raise ValueError("operand and result of a layer norm cannot have a scale per channel (equal)")
    if channels > NORMAL_CHANNELS:
        raise ValueError(f"a layer norm over {channels} channels: its sums are proven for {NORMAL_CHANNELS} at most")
    fraction = fraction_bits(out.bits, False)
    step = unit(out) / 2.0**fraction
    scaled = cast(LayerNormAttrs, node.attrs).epsilon * (channels / float(x.scale)) ** 2
    eps = whole(np.asarray(scaled * 2.0**_NORMAL_VARIANCE_BITS), EPSILON_LIMIT, "its epsilon")
    gamma, beta = (node.weights[key].astype(np.float64) for key in ("gamma", "beta"))
    params: Params = {
        "m": rounded(gamma / step * 2.0**-NORMAL_BITS),
        "beta": whole(beta / step, TERM_LIMIT, "its beta").astype(np.int32),
        "eps": eps,
    }
    return Numbers(params | _bounds(out), fraction)


def _bounds(out: Code) -> Params:
    return bounds(Attrs(), unit(out), out)


#: One row an operation that makes codes of one operand's codes; `resize`: the cubic ones.
NUMBERS: Mapping[str, Callable[[Node, Code, Code], Numbers]] = {
    "resize": cubic,
    "statistic": statistic,
    "layer_norm": layer_norm,
}
