"""What a group's numbers promise to its kernel: `Epilogue.tame`, `Store.full`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.lower.draft import Group, Place, Write
from tvmsr.quant.integer import TERM_LIMIT, Code

#: Half of the limit: no rounding, of an integer to float32 or of a product, comes near it.
_LIMIT = TERM_LIMIT / 2


def tame(group: Group) -> bool:
    """Whether a group's numbers are what `tvmsr.kernels.spec.Epilogue.tame` says."""
    value, terms = group.value, group.sum.terms if group.sum else ()
    source = _source(group)
    if source is None:
        return False
    slopes = [value.m] if value.m_neg is None else [value.m, value.m_neg]
    products = [_product(source, m) for m in slopes]
    products += [_product(_centred(term.code), term.m) for term in terms]
    products += [_product(_centred(group.code), w.requant.m) for w in group.writes if w.requant is not None]
    products += _products_of_post(group)
    free = not group.sum or bool(np.all(value.lo <= -TERM_LIMIT) and np.all(value.hi >= TERM_LIMIT))
    return free and max(products) <= _LIMIT


def full(group: Group, write: Write, place: Place) -> bool:
    """Whether the bounds of a store are what `tvmsr.kernels.spec.Store.full` says."""
    bounds, zero = write.requant or group.post or group.sum or group.value, group.code.zero
    if write.requant is not None:
        zero = write.requant.zero
    bits = 8 * place.form.bytes
    below, above = np.all(bounds.lo <= -zero), np.all(bounds.hi >= (1 << bits) - 1 - zero)
    return place.code.bits == bits and bool(below and above)


def _source(group: Group) -> NDArray[np.float64] | float | None:
    """The largest magnitude of the source, for each channel or for all; None where nobody knows."""
    if group.conv is None:
        return _centred(group.x_code) * (_centred(group.times.code) if group.times else 1)
    low, high = group.conv.acc_min, group.conv.acc_max
    if low is None or high is None:
        return None
    return np.maximum(-low.astype(np.float64), high.astype(np.float64))


def _products_of_post(group: Group) -> list[float]:
    """The largest products of an activation behind a sum: it reads what has the sum's bounds."""
    if group.post is None:
        return []
    read = group.sum or group.value
    largest = np.maximum(np.abs(read.lo), np.abs(read.hi)).astype(np.float64)
    return [_product(largest, m) for m in (group.post.m, group.post.m_neg) if m is not None]


def _centred(code: Code) -> float:
    """The largest magnitude of a code less its zero point."""
    return float(max(code.zero, (1 << code.bits) - 1 - code.zero))


def _product(largest: NDArray[Any] | float, m: NDArray[np.float32]) -> float:
    return float(np.max(largest * np.abs(m.astype(np.float64)), initial=0.0))
