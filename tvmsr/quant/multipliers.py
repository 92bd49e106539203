"""What one step of a code is worth, and what follows from it: multipliers and bounds. In double, rounded once."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import ActivateAttrs, Activation, Attrs
from tvmsr.quant.integer import TERM_LIMIT, Code, Term

F64 = NDArray[np.float64]
Params = dict[str, NDArray[Any]]


def unit(code: Code) -> F64:
    """The value of one step of a code, per channel (C,)."""
    return float(code.scale) * code.equal.astype(np.float64)


def rounded(multiplier: F64) -> NDArray[np.float32]:
    """A multiplier as float32; ValueError where it is not finite."""
    with np.errstate(over="ignore"):
        m = multiplier.astype(np.float32)
    if not np.all(np.isfinite(m)):
        raise ValueError("a multiplier is not finite: the scales of operands and result are too far apart")
    return m


def whole(value: F64, limit: int, what: str) -> NDArray[np.int64]:
    """The nearest integers; ValueError beyond +-limit."""
    if not np.all(np.abs(value) <= limit):
        raise ValueError(f"{what} is beyond {limit} steps of the codes")
    return np.asarray(np.rint(value), np.int64)


def code_range(code: Code) -> tuple[int, int]:
    """Codes minus their zero point."""
    return -code.zero, (1 << code.bits) - 1 - code.zero


def bounds(attrs: Attrs, step: F64, form: Code | Term) -> Params:
    """Bounds lo and hi (C,) of a result in multiples of `step`, narrowed by the activation of attrs."""
    low, high = code_range(form) if isinstance(form, Code) else (-TERM_LIMIT, TERM_LIMIT)
    lo, hi = np.full(step.shape, float(low)), np.full(step.shape, float(high))
    activation = getattr(attrs, "activation", Activation.NONE)
    if activation is Activation.RELU:
        lo = np.maximum(lo, 0.0)
    elif activation is Activation.CLIP:
        clip = cast(ActivateAttrs, attrs)
        lo, hi = (np.clip(np.rint(edge / step), low, high) for edge in (clip.low, clip.high))
    return {"lo": lo.astype(np.float32), "hi": hi.astype(np.float32)}


def requantized(operand: Code, out: Code, index: int, step: F64 | None = None) -> Params:
    """m{index}: from the operand's codes to multiples of `step` (of the result's codes unless given)."""
    return {f"m{index}": rounded(unit(operand) / (unit(out) if step is None else step))}
