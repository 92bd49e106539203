"""The reference executor's operations that look at more than weights do: pools, resizes, statistics, layer norm.

Sums are Python's or numpy's integers and never wrap: |code - zero| < 2**16, pictures have less than 2**31 pixels.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import PoolAttrs, Resampling, ResizeAttrs, Statistic, StatisticAttrs
from tvmsr.operations.max_pool import largest
from tvmsr.operations.resize import position
from tvmsr.quant.held import Held, code_type, scaled, store
from tvmsr.quant.integer import TERM_LIMIT, IntegerNode

Values = NDArray[Any]
I64 = NDArray[np.int64]

#: Weights of a resize sum to 2**WEIGHT_BITS in each direction.
WEIGHT_BITS = 11
#: A cubic coefficient is a multiple of 1 / CUBIC_UNIT.
CUBIC_UNIT = 256
#: Fractional bits of means and deviations, and of variances.
MEAN_BITS = 8
VARIANCE_BITS = 16
#: Fractional bits of what a layer norm has normalised.
NORMAL_BITS = 12


def max_pool(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """The largest code; a window holds at least one pixel of the picture."""
    return largest(operands[0].values, cast(PoolAttrs, node.attrs), 0)


# resize ----------------------------------------------------------------------------------------------------------


def kept_bits(bits: int) -> int:
    """Fractional bits that stay between the vertical and the horizontal pass, so that sums fit int32."""
    return min(WEIGHT_BITS, 19 - bits)


def cubic_fraction(bits: int) -> int:
    """Fractional bits of what a cubic resize requantizes."""
    return min(8, 21 - bits)


def resize(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """Vertically, then horizontally; each with weights of sum 2**11 and a rounding shift."""
    attrs, x = cast(ResizeAttrs, node.attrs), operands[0]
    size = _target(attrs, operands)
    bits, zero = x.code.bits, x.code.zero
    kept = kept_bits(bits)
    tall = rounded_shift(_along(x.values.astype(np.int64), size[0], attrs), WEIGHT_BITS - kept)
    wide = _along(tall.transpose(1, 0, 2), size[1], attrs).transpose(1, 0, 2)
    shift = WEIGHT_BITS + kept - node.fraction
    value = rounded_shift(wide, shift)
    if attrs.method is not Resampling.CUBIC:
        return np.clip(value, 0, (1 << bits) - 1).astype(code_type(bits))
    centred = value - (zero << node.fraction)
    return store(node, scaled(centred, node.params["m"], node.params["lo"], node.params["hi"]))


def _target(attrs: ResizeAttrs, operands: tuple[Held, ...]) -> tuple[int, int]:
    shape = operands[-1].values.shape
    if attrs.factor == 0:
        return shape[0], shape[1]
    up, down = attrs.factor.numerator, attrs.factor.denominator
    return shape[0] * up // down, shape[1] * up // down


def rounded_shift(value: I64, shift: int) -> I64:
    """Value / 2**shift, halves upwards."""
    return (value + ((1 << shift) >> 1)) >> shift


def _along(x: I64, count: int, attrs: ResizeAttrs) -> I64:
    """The first dimension, resized to `count`, times 2**WEIGHT_BITS."""
    first, weights = taps(count, x.shape[0], attrs)
    out = np.zeros((count, *x.shape[1:]), np.int64)
    for tap in range(weights.shape[1]):
        out += weights[:, tap, None, None] * x[np.clip(first + tap, 0, x.shape[0] - 1)]
    return out


def taps(count: int, size: int, attrs: ResizeAttrs) -> tuple[I64, I64]:
    """(count,): the first source pixel of each resized one, and (count, TAPS): integer weights of sum 2**WEIGHT_BITS.

    The exact position n / d (integers) has the base i = floor(n / d) and the phase u = round((n / d - i) * 2**11),
    halves upwards; weights follow from u alone.
    """
    one = 1 << WEIGHT_BITS
    firsts, rows = np.empty(count, np.int64), []
    for index in range(count):
        exact = position(index, count, size, attrs)
        base = exact.numerator // exact.denominator
        rest = exact - base
        phase = (rest.numerator * 2 * one + rest.denominator) // (2 * rest.denominator)
        firsts[index] = base - (attrs.method is Resampling.CUBIC)
        rows.append(tap_weights(phase, attrs))
    return firsts, np.asarray(rows, np.int64)


def tap_weights(phase: int, attrs: ResizeAttrs) -> tuple[int, ...]:
    """Weights of the source pixels for a phase of 0 to 2**WEIGHT_BITS.

    CUBIC: Keys' polynomials in exact integers over 256 * 2**33, each rounded to 2**-11, halves upwards; what the sum
    then lacks goes to the larger one of the two inner taps, the first where they are equal.
    """
    one = 1 << WEIGHT_BITS
    if attrs.method is Resampling.NEAREST:
        return (one,)
    if attrs.method is Resampling.LINEAR:
        return one - phase, phase
    a = round(attrs.cubic * CUBIC_UNIT)

    def far(d: int) -> int:
        return a * (d**3 - 5 * one * d**2 + 8 * one**2 * d - 4 * one**3)

    def near(d: int) -> int:
        return (a + 2 * CUBIC_UNIT) * d**3 - (a + 3 * CUBIC_UNIT) * one * d**2 + CUBIC_UNIT * one**3

    exact = (far(phase + one), near(phase), near(one - phase), far(2 * one - phase))
    unit = CUBIC_UNIT * one**2
    weights = [(value + unit // 2) // unit for value in exact]
    weights[1 if weights[1] >= weights[2] else 2] += one - sum(weights)
    return tuple(weights)


# statistic -------------------------------------------------------------------------------------------------------


def variance_shift(bits: int) -> int:
    """Bits that a variance loses, so that it fits int32."""
    return max(0, 2 * bits + VARIANCE_BITS - 31)


def statistic(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """One code per channel: (1, 1, C)."""
    attrs, x, params = cast(StatisticAttrs, node.attrs), operands[0], node.params
    pixels = x.centred().reshape(-1, node.channels)
    if attrs.kind is Statistic.MAX:
        value = pixels.max(axis=0)
    else:
        found = [_statistic_of(attrs, pixels[:, c], int(params["eps"][c]), x.code.bits) for c in range(node.channels)]
        value = np.asarray(found, np.int64)
    return store(node, scaled(value, params["m"], params["lo"], params["hi"]).reshape(1, 1, -1))


def _statistic_of(attrs: StatisticAttrs, channel: Values, eps: int, bits: int) -> int:
    count, wide = len(channel), channel.astype(np.int64)
    total, squares = int(wide.sum()), int((wide * wide).sum())
    mean, rest = divmod(total, count)
    if attrs.kind is Statistic.MEAN:
        return (mean << MEAN_BITS) + ((rest << MEAN_BITS) + count // 2) // count
    # squares - total**2 / count, without a number beyond 64 bits that matters: total = mean * count + rest.
    spread = squares - mean * (total + rest) - rest * rest // count
    divisor = max(count - 1, 1) if attrs.unbiased else count
    whole, part = divmod(spread, divisor)
    variance = (whole << VARIANCE_BITS) + (part << VARIANCE_BITS) // divisor + eps
    if attrs.kind is Statistic.DEVIATION:
        return min(math.isqrt(variance), (1 << 31) - 1)
    return min(variance >> variance_shift(bits), (1 << 31) - 1)


# layer_norm ------------------------------------------------------------------------------------------------------


def layer_norm(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """D = C * d - sum(d) is C times the distance from the mean, V = sum(D**2) is C**3 times the variance.

    Normalised is D / sqrt(V / C + C**2 * eps): the root has 6 fractional bits, its reciprocal 2**46 / root is one
    division a pixel, and the product has NORMAL_BITS.
    """
    params, channels = node.params, node.channels
    centred = operands[0].centred().astype(np.int64)
    distance = channels * centred - centred.sum(axis=2, keepdims=True)
    spread = (distance * distance).sum(axis=2)
    whole, part = np.divmod(spread, channels)
    variance = (whole << 12) + (part << 12) // channels + int(params["eps"])
    root = np.asarray([math.isqrt(int(v)) for v in variance.reshape(-1)], np.int64).reshape(variance.shape)
    reciprocal = (1 << 46) // np.maximum(root, 1)
    normal = (distance * reciprocal[..., None] + (1 << 27)) >> 28
    term = scaled(normal, params["m"], -TERM_LIMIT, TERM_LIMIT) + params["beta"] + ((1 << node.fraction) >> 1)
    lo, hi = (params[key].astype(np.int32) for key in ("lo", "hi"))
    return store(node, np.clip(term >> node.fraction, lo, hi))
