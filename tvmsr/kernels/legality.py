"""When an algorithm computes a convolution exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvmsr.kernels.isa import Kind, Primitive
from tvmsr.kernels.layout import row_inputs
from tvmsr.kernels.spec import Conv, Form, Load

Weight = NDArray[np.int8]

_SATURATION = 32767

#: Begins the refusal of an algorithm that the isa has no primitive for at all.
NO_PRIMITIVE = "no primitive reads"


def direct_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    """Why a direct convolution with this primitive is not exact, "" where it is."""
    if not isinstance(source, Conv):
        return "not a convolution"
    if primitive is None:
        return f"{NO_PRIMITIVE} {source.x.form.value}"
    if source.max_bits > primitive.code_bits:
        return f"{primitive.name} takes codes of {primitive.code_bits} bits"
    if source.x.form is Form.U16 and source.max_bits > 15 and primitive.kind is not Kind.PLAIN:
        return f"{primitive.name} takes signed codes: 16 bits need the form s16"
    if primitive.pair_limit:
        largest = largest_pair(source, primitive, weight)
        if largest * (2**source.max_bits - 1) > _SATURATION:
            return f"pairs of a{source.max_bits} with weights up to {largest} saturate 16 bits"
    return ""


def largest_pair(conv: Conv, primitive: Primitive, weight: Weight | None) -> int:
    """Largest sum of weights of one sign that one pair of neighbouring inputs meets.

    Codes are not negative: the sum of a pair of products lies between its negative and its positive products.
    """
    if weight is None:
        return 2 * (2 ** (conv.weight_bits - 1) - 1)
    rows = weight.reshape(conv.kernel[0], -1, conv.outputs).astype(np.int32)
    with_none = np.pad(rows, ((0, 0), (0, 1), (0, 0)))  # -1, no weight, finds the zero at the end
    pairs = with_none[:, row_inputs(conv, primitive).reshape(-1, 2)]  # (KH, pairs, 2, OC)
    positive, negative = np.maximum(pairs, 0).sum(2), np.minimum(pairs, 0).sum(2)
    return int(max(positive.max(), -negative.min()))
