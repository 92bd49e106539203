"""FAB and BitOPs: what a choice of bits costs on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tvmsr.adabm_paper.layers import Layout, Role

#: Bits of the weights and activations of a convolution that is not quantized.
FLOAT_BITS = 32
EIGHT_BITS = 8


def fab(bits: Mapping[str, float], layout: Layout) -> float:
    """Feature average bit: the mean of the activation bits over the counted convolutions, all alike.

    Adaptive and fixed ones count; those of 8 bits and in FP32 do not. bits: what each counted convolution reads.
    """
    return sum(bits[name] for name in layout.counted) / len(layout.counted)


@dataclass(frozen=True)
class BitOps:
    """sum over convolutions of MACs * weight bits * activation bits.

    total: with convolutions in FP32 as 32 x 32; quantized: without them; share: total / that of FP32 alone, 0..1.
    """

    total: float
    quantized: float
    share: float


def bit_ops(
    bits: Mapping[str, float], layout: Layout, macs: Mapping[str, Fraction], weight_bits: int, pixels: int
) -> BitOps:
    """Of a picture of so many LR pixels. macs: of each convolution per LR pixel; bits: as for `fab`."""
    quantized = floats = whole = 0.0
    for name, role in layout.roles.items():
        work = float(macs[name]) * pixels
        whole += work * FLOAT_BITS**2
        if role is Role.FLOAT:
            floats += work * FLOAT_BITS**2
        elif role is Role.EIGHT:
            quantized += work * EIGHT_BITS**2
        else:
            quantized += work * weight_bits * bits[name]
    return BitOps(quantized + floats, quantized, (quantized + floats) / whole)


def joined(parts: Sequence[tuple[float, BitOps]]) -> tuple[float, BitOps]:
    """FAB and BitOPs of a picture from those of its windows: FAB is their mean, BitOPs their sum."""
    total, quantized = sum(ops.total for _, ops in parts), sum(ops.quantized for _, ops in parts)
    whole = sum(ops.total / ops.share for _, ops in parts)
    return sum(average for average, _ in parts) / len(parts), BitOps(total, quantized, total / whole)
