"""Tensors while the reference executor runs: how they are held, and the one way from integers to codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.quant.integer import Code, IntegerNode, Term

Values = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Held:
    """A tensor and how it is held: codes uint8 or uint16 (H, W, C), or the int32 of a term."""

    values: Values
    form: Code | Term

    @property
    def code(self) -> Code:
        if not isinstance(self.form, Code):
            raise TypeError("a term is read by an add only")
        return self.form

    def centred(self) -> Values:
        """Codes minus their zero point, int32; a term as it is."""
        if isinstance(self.form, Term):
            return self.values
        return self.values.astype(np.int32) - np.int32(self.form.zero)


def code_type(bits: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if bits <= 8 else np.uint16


def scaled(integers: Values, multiplier: Values, lo: Values | float, hi: Values | float) -> Values:
    """rne(clamp(float32(integers) * multiplier, lo, hi)) as int32: the one way from integers to integers.

    The conversion of an integer (exact in int32, int64 or float64) to float32 rounds to nearest even, as do the product
    and np.rint.
    """
    return scaled_floats(integers.astype(np.float32), multiplier, lo, hi).astype(np.int32)


def scaled_floats(value: Values, multiplier: Values, lo: Values | float, hi: Values | float) -> Values:
    """`scaled` of integers that are float32 already, in place: integers in float32."""
    np.multiply(value, multiplier, out=value)
    if np.ndim(lo) == np.ndim(hi) == 0:  # of numbers, clip is the faster one; of arrays, the other two are
        np.clip(value, lo, hi, out=value)
    else:
        np.maximum(value, lo, out=value)
        np.minimum(value, hi, out=value)
    return np.rint(value, out=value)


def store(node: IntegerNode, centred: Values) -> Values:
    """Add the zero point of the result: codes."""
    output = cast(Code, node.output)
    return (centred + np.int32(output.zero)).astype(code_type(output.bits))
