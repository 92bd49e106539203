"""Proof that a convolution's sums fit int32, in every form in which codes may be stored.

A kernel that stores q - offset computes start + sum((q - offset) * w), start = bias - (zero - offset) * sum(w). With
codes in [0, top] a product lies between its values at 0 - offset and top - offset; summing the negative extremes of
all products bounds every partial sum of every order from below, the positive ones from above. The start value may come
first or last, so both the sums with it and without it count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvmsr.quant.integer import Code

I64 = NDArray[np.int64]

INT32_MAX = (1 << 31) - 1


def offsets(bits: int) -> tuple[int, ...]:
    """What the stored forms of tvmsr.kernels.spec subtract from codes of this width."""
    return (0, 128) if bits <= 8 else (0, 32768) if bits == 16 else (0,)


def accumulator_bounds(weight: NDArray[np.int8], bias: I64, x: Code) -> tuple[I64, I64]:
    """Bounds (OC,) of every partial sum over every stored form; weight (KH, KW, IC/groups, OC), bias (OC,)."""
    wide = weight.astype(np.int64).reshape(-1, weight.shape[3])
    positive, negative = np.maximum(wide, 0).sum(axis=0), np.minimum(wide, 0).sum(axis=0)
    top = (1 << x.bits) - 1
    lowest, highest = bias.copy(), bias.copy()
    for offset in offsets(x.bits):
        start = bias - (x.zero - offset) * (positive + negative)
        above, below = max(0, top - offset), offset
        lower = negative * above - positive * below
        upper = positive * above - negative * below
        lowest = np.minimum(lowest, np.minimum(start, 0) + lower)
        highest = np.maximum(highest, np.maximum(start, 0) + upper)
    return lowest, highest


def overflow(lowest: I64, highest: I64) -> NDArray[np.float64]:
    """How many times too large each channel's bounds are (OC,); 1 or less fits."""
    return np.maximum(highest.astype(np.float64), -lowest.astype(np.float64)) / INT32_MAX
