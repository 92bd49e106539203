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
    product = integers.astype(np.float32)
    np.multiply(product, multiplier, out=product)
    np.maximum(product, lo, out=product)
    np.minimum(product, hi, out=product)
    return np.rint(product, out=product).astype(np.int32)


def store(node: IntegerNode, centred: Values) -> Values:
    """Add the zero point of the result: codes."""
    output = cast(Code, node.output)
    return (centred + np.int32(output.zero)).astype(code_type(output.bits))
