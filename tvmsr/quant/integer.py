"""IntegerGraph: a Model with a Plan applied, every number computed. docs/numerics.md defines each operation.

A code q of a tensor stands for (q - zero) * scale * equal[c]. `lo`, `hi` in params are float32 (C,), the bounds of the
result *minus its zero point* (lo = -z and hi = 2**bits - 1 - z unless an activation narrows them); of a term, its
bounds, never beyond +-TERM_LIMIT. C = output channels, `rne` rounds to nearest, ties to even.

conv        params: weight int8 (KH, KW, IC/groups, OC), bias int32 (OC,), pad uint16 (IC,), m float32 (OC,), lo, hi;
            m_neg (OC,) where the activation is LEAKY; table uint16 (2**table_bits,) where it is a table.
            attrs: ConvAttrs.
                acc = bias + sum((q - z_in) * w)     q outside the picture is pad[ic], or by attrs.mode a pixel's code
                v   = float32(acc) * (m_neg if acc < 0 and LEAKY else m)
            code out:   rne(clamp(v, lo, hi)) + z
            table out:  table[rne(clamp(v, lo, hi)) + table_zero]      lo, hi of the table's input
            term out:   rne(clamp(v, lo, hi))                          m carries 2**fraction
add         operand i is a term, or a code with params m{i} float32 (C,):
                t_i = rne(clamp(float32(q - z_i) * m{i}, -TERM_LIMIT, TERM_LIMIT))
            out: clamp((t_0 + t_1 + ... + half) >> fraction, lo, hi) + z   (integers; half = 2**fraction / 2, or 0)
concat      operand i requantized with m{i} float32 (C_i,): rne(clamp(float32(q - z_i) * m{i}, lo_c, hi_c)) + z
requantize  one operand: rne(clamp(float32(q - z_0) * m0, lo, hi)) + z; with m_neg0 where q < z_0 (LEAKY): the reading
            of a stream, or a piecewise linear `activate`
table       one operand: table[q], table uint16 (2**bits,)
mul         rne(clamp(float32((q_a - z_a) * (q_b - z_b)) * m (C,), lo, hi)) + z, the integer product proven to fit int32
            (operands of add, and the second one of mul, may be 1x1 maps: the same for every pixel)
max_pool    the largest code of each window: held as the operand is; attrs PoolAttrs
resize      attrs ResizeAttrs; NEAREST and LINEAR are held as the operand is. CUBIC overshoots and has a code of its
            own, with params m (C,), lo, hi; v keeps `fraction` bits:
                rne(clamp(float32(v - (z_in << fraction)) * m, lo, hi)) + z
statistic   a 1x1 map; params m (C,), lo, hi, and eps int64 (C,) in units of the squared code, 16 fractional bits:
                rne(clamp(float32(v) * m, lo, hi)) + z, v int32 as docs/numerics.md says
layer_norm  params m (C,), beta int32 (C,), lo, hi, eps int64 (): with y the normalised value, 12 fractional bits,
                clamp((rne(clamp(float32(y) * m, -TERM_LIMIT, TERM_LIMIT)) + beta + half) >> fraction, lo, hi) + z
gather, depth_to_space   move codes (or terms) and keep how they are held; attrs GatherAttrs, ShuffleAttrs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.analysis import SizeRule, TileRule
from tvmsr.graph.extent import Extent
from tvmsr.graph.model import Attrs, Colour

#: Bound of a term. At 2**22 a rounding by adding and subtracting 1.5 * 2**23 is still exact (ARMv7 has no other).
TERM_LIMIT = 1 << 22


def fraction_bits(result_bits: int, shared_scale: bool) -> int:
    """Fractional bits of the terms of an add: 8 where the result is narrow enough, none in a stream of one scale."""
    return 0 if shared_scale else min(8, 21 - result_bits)


@dataclass(frozen=True, eq=False)
class Code:
    """How a stored tensor is held: `bits` wide codes q, value (q - zero) * scale * equal[c].

    `equal` (C,) float32 is the scale per channel that equalisation folded into producer and consumers; it belongs to
    the tensor and is the same for every bit choice. Ones where there is none; always ones after a table.
    """

    bits: int
    scale: np.float32
    zero: int
    equal: NDArray[np.float32]


@dataclass(frozen=True)
class Term:
    """An int32 that only an add reads: value = term * scale / 2**fraction, on the scale of the add's result."""

    fraction: int


_PICTURE = Extent()
_ANY_SIZE = SizeRule(1, 1)
_ANY_TILE = TileRule(0, 1, ())


@dataclass(frozen=True, eq=False)
class IntegerNode:
    """One integer operation; `params` as the module's text says, `output` how its result is held.

    acc_min, acc_max (conv): bounds int64 (OC,) of every partial sum, proven in every stored form. step (conv): what one
    unit of the accumulator is worth in the network's units, float64 (OC,); execution does not need it.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attrs: Attrs
    params: Mapping[str, NDArray[Any]]
    output: Code | Term
    channels: int
    fraction: int = 0  # of an add's operands
    table_bits: int = 0
    table_zero: int = 0
    weight_bits: int = 8
    rows: Extent = _PICTURE  # height of the result as a function of the picture's
    columns: Extent = _PICTURE
    acc_min: NDArray[np.int64] | None = None
    acc_max: NDArray[np.int64] | None = None
    step: NDArray[np.float64] | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs whose values it reads: of the second input of a resize only the size counts."""
        return self.inputs[:1] if self.op == "resize" else self.inputs


@dataclass(frozen=True, eq=False)
class IntegerGraph:
    """Nodes in execution order. `input` is the picture's own code: 8 bits, scale 1/255, zero 0.

    sizes: the pictures that it runs on; tvmsr.quant.picture continues others. tiles: how a picture may be cut.
    """

    nodes: tuple[IntegerNode, ...]
    input: Code
    output: str
    scale: int
    colour: Colour
    extra: Mapping[str, Any] = field(default_factory=dict)
    sizes: SizeRule = _ANY_SIZE
    tiles: TileRule = _ANY_TILE

    def __iter__(self) -> Iterator[IntegerNode]:
        return iter(self.nodes)
