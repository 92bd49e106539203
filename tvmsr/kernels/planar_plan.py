"""What planar kernels keep in scratch, and where; the tiles that are offered. Nothing in this file needs tvm.

Two areas of 32-bit words. Inputs of a strip of pixels, [slot][unit][pixel]: a slot for each kernel row, a unit for each
step and half of a primitive. Then the sums of one tile, [pixel][channel], as the epilogue reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvmsr.kernels.isa import Isa, Kind, Primitive
from tvmsr.kernels.spec import Conv, Tile

#: What is transposed at a time: as many words of a pixel, and pixels of 128 bits of a vector.
QUAD = 4
#: Pixels that a strip has, at least: inputs of a longer one leave L1, of a shorter one the taps beside it weigh more.
_STRIP, _SHORT_STRIP = 64, 32
#: Bytes of inputs that stay in L1.
_NEAR = 36_000
#: Vectors of pixels that a tile may have, and pixels: a range of fewer columns fills no tile.
_MOST_VECTORS, _MOST_PIXELS = 4, 64


@dataclass(frozen=True)
class Plan:
    """Sizes and places for one kernel."""

    kernel: tuple[int, int]
    words: int  # of a pixel
    halves: int
    lanes: int
    pixels: int  # of a tile
    strip: int  # pixels of the grid; its inputs are as many and those that the taps of the last one need
    outputs: int  # of a block
    blocks: int

    @property
    def units(self) -> int:
        return self.words * self.halves

    @property
    def line(self) -> int:
        """Words from unit to unit. Side by side they are few lines: most loads cross one however they lie."""
        return self.strip + self.kernel[1] - 1

    @property
    def slot(self) -> int:
        """Words from kernel row to kernel row."""
        return self.units * self.line

    @property
    def sums(self) -> int:
        """Word at which the sums begin."""
        return self.kernel[0] * self.slot

    @property
    def pitch(self) -> int:
        """Words of sums from pixel to pixel: whole vectors, and room for what the last block writes beside its own."""
        end = (self.blocks - 1) * self.outputs + -(-self.outputs // QUAD) * QUAD
        return -(-end // self.lanes) * self.lanes

    @property
    def bytes(self) -> int:
        return 4 * (self.sums + self.pixels * self.pitch)


def plan(conv: Conv, isa: Isa, primitive: Primitive, tile: Tile) -> Plan:
    """The plan of a kernel; `tile.vectors` are the output channels of a block."""
    return Plan(
        kernel=conv.kernel,
        words=-(-conv.inputs // primitive.group),
        halves=primitive.halves,
        lanes=isa.lanes,
        pixels=tile.pixels,
        strip=tile.strip,
        outputs=tile.vectors,
        blocks=-(-conv.outputs // tile.vectors),
    )


def shapes(conv: Conv, isa: Isa, primitive: Primitive) -> tuple[Tile, ...]:
    """The tiles that are offered: as many channels as registers hold sums of, evenly shared out to blocks."""
    found = []
    for vectors in range(1, min(_MOST_VECTORS, _MOST_PIXELS // isa.lanes) + 1):
        most = (isa.registers - vectors - _others(primitive)) // vectors
        outputs = -(-conv.outputs // -(-conv.outputs // most))
        pixels = vectors * isa.lanes
        long, short = (Tile(pixels, outputs, strip=-(-n // pixels) * pixels) for n in (_STRIP, _SHORT_STRIP))
        found.append(long if 4 * plan(conv, isa, primitive, long).sums <= _NEAR else short)
    return tuple(found)


def _others(primitive: Primitive) -> int:
    """Registers beside sums and inputs: words of weights, or one and a product, and what pairs are widened with."""
    return 3 if primitive.fused or (primitive.widen and primitive.kind is not Kind.WINDOW) else 2
