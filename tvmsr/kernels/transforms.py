"""Winograd's F(m x m, 3x3) in whole numbers: the matrices, and what they do to ranges. One place for both.

With G, B' and A' of the minimal algorithm of m + 2 = t points and rows of G scaled to integers,

    A' ((G w G') * (B' x B)) A = scale * y                     (* position by position, summed over input channels)

for the m x m outputs y of a t x t window x. All of it is integer arithmetic, so y is exact: scale * y is divided by a
shift, and by multiplication with the inverse of its odd factor modulo 2**32.

x holds stored codes s (code minus the form's offset), whatever their zero point: as in a direct convolution, the start
value bias - z * sum(w) is added to y, not to anything transformed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tvmsr.kernels.spec import Form

Matrix = NDArray[np.int64]

#: Least and greatest value that memory of a form can hold, a code or not.
TYPE_RANGE: dict[Form, tuple[int, int]] = {
    Form.U8: (0, 2**8 - 1),
    Form.S8: (-(2**7), 2**7 - 1),
    Form.U16: (0, 2**16 - 1),
    Form.S16: (-(2**15), 2**15 - 1),
}


def code_range(form: Form, bits: int) -> tuple[int, int]:
    """Least and greatest stored code of up to `bits` bits."""
    low = -form.offset(bits)
    return low, low + 2**bits - 1


@dataclass(frozen=True)
class Transform:
    """F(outputs x outputs, 3x3). weights: G, (t, 3); inputs: B', (t, t); results: A', (outputs, t), scaled like 1 / G.

    bytes: transformed inputs are stored as bytes with an offset; else as int16.
    """

    name: str
    outputs: int
    weights: tuple[tuple[int, ...], ...]
    inputs: tuple[tuple[int, ...], ...]
    results: tuple[tuple[int, ...], ...]
    scale: int  # what y comes multiplied with
    bytes: bool

    @property
    def points(self) -> int:
        """t: positions along one side."""
        return self.outputs + 2

    def transformed(self, codes: NDArray[np.int8]) -> NDArray[np.int64]:
        """G w G' of codes (3, 3, IC, OC): (t, t, IC, OC)."""
        g = np.array(self.weights, np.int64)
        return np.einsum("ia,jb,abco->ijco", g, g, codes.astype(np.int64))

    def input_range(self, low: int, high: int) -> tuple[Matrix, Matrix]:
        """Least and greatest B' x B for x in [low, high], position by position: (t, t) each."""
        b = np.array(self.inputs, np.int64)
        up, down = np.maximum(b, 0), np.maximum(-b, 0)
        ups, downs = (np.einsum("ik,jl->ij", p, q) for p, q in ((up, up), (up, down)))
        ups = ups + np.einsum("ik,jl->ij", down, down)
        downs = downs + np.einsum("ik,jl->ij", down, up)
        return ups * low - downs * high, ups * high - downs * low

    def offsets(self, form: Form, bits: int) -> tuple[int, int]:
        """What is added to B' x B where it is stored as a byte: at all positions but (1, 1), and at (1, 1).

        Bytes wrap as they are computed, so only the stored value has to fit. Of u8 it then lies in [0, 4 * top], top =
        2**bits - 1: at (1, 1) the codes are added up, elsewhere as many are subtracted as added. Of s8 differences need
        no offset; the sum of four codes less 128 is less by 512, and is stored less by 128.
        """
        if not self.bytes:
            return 0, 0
        low, _ = self.input_range(*code_range(form, bits))
        if form is Form.S8:
            return 0, TYPE_RANGE[form][0] - int(low[1, 1])
        return -int(low.min()), 0

    def stored_range(self, form: Form, bits: int) -> tuple[Matrix, Matrix]:
        """Least and greatest transformed input as it is stored, for codes of up to `bits` bits: (t, t) each.

        Nothing but codes is ever transformed: windows at an edge read what is needed twice instead of what lies past it
        (tvmsr/kernels/winograd_inputs.py), and channels past the convolution's own meet zero weights.
        """
        low, high = self.input_range(*code_range(form, bits))
        offset, centre = self.offsets(form, bits)
        added = np.full_like(low, offset)
        added[1, 1] = centre
        return low + added, high + added


#: F(2x2,3x3) on bytes: codes of up to 6 bits.
F2_BYTES = Transform(
    "F(2x2,3x3)",
    2,
    weights=((2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2)),
    inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    results=((1, 1, 1, 0), (0, 1, -1, -1)),
    scale=4,
    bytes=True,
)
#: The same on int16: codes of up to 13 bits, as four of them are added up.
F2_WORDS = replace(F2_BYTES, bytes=False)
#: F(4x4,3x3) on int16: codes of up to 8 bits.
F4_WORDS = Transform(
    "F(4x4,3x3)",
    4,
    weights=((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 12)),
    inputs=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    results=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 2)),
    scale=576,
    bytes=False,
)

TRANSFORMS: tuple[Transform, ...] = (F2_BYTES, F2_WORDS, F4_WORDS)


def transform_of(outputs: int, element_bytes: int) -> Transform:
    """The transform whose m and size of a transformed input these are: what a layout of weights says of it."""
    return next(t for t in TRANSFORMS if (t.outputs, t.bytes) == (outputs, element_bytes == 1))
