"""KernelSpec: everything that decides the machine code of a kernel, in one small hashable value with a stable key.

A kernel makes one int32 value per output channel and pixel (the `source`: a convolution's accumulator, a stored code
minus its zero point, or the product of two of them) and sends it through one `Epilogue`. Numbers (multipliers, zero
points, bounds, tables) are not in here: they are data in the parameter block, so layers of one shape share a kernel.
Bit widths are those that a convolution has to be exact for; bit choices of one layer share a kernel where all of this
is equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Form(str, Enum):
    """How a code lies in memory: type, and what is subtracted from the code before it is stored."""

    U8 = "u8"  # bits <= 8, as it is
    S8 = "s8"  # bits <= 8, q - 128: signed dot products (ARM)
    U16 = "u16"  # bits <= 16, as it is: streams, operands of adds
    S16 = "s16"  # operands of 16-bit multipliers: q for up to 15 bits, q - 32768 for 16

    @property
    def bytes(self) -> int:
        return 1 if self in (Form.U8, Form.S8) else 2

    def offset(self, bits: int) -> int:
        """What the stored value is less than the code. The packer folds it into zero points and bounds."""
        return 128 if self is Form.S8 else 32768 if self is Form.S16 and bits == 16 else 0


@dataclass(frozen=True)
class Operand:
    """A tensor that is read. pitch: bytes from pixel to pixel."""

    form: Form
    pitch: int


class Reads(str, Enum):
    """What a store requantizes."""

    VALUE = "value"  # what the source and the adds made; the first store
    CODE = "code"  # the code of the first store, with a multiplier per channel of its own: the reading of a stream


@dataclass(frozen=True)
class Store:
    """A tensor that is written: channels [first, first + channels * block**2) of the grid's pixel.

    block > 1 is depth to space: channel first + (dy*block + dx)*channels + c -> pixel (y*block + dy, x*block + dx), c.
    pitch: bytes between stored pixels. full: for every channel, the bounds of its codes are those of the form's type,
    to which elements may be saturated (the bytes are the same).
    """

    form: Form
    pitch: int
    channels: int
    first: int = 0
    block: int = 1
    reads: Reads = Reads.VALUE
    full: bool = False


@dataclass(frozen=True)
class Residual:
    """A further operand of a fused add. modulo > 0: output channel c reads channel c % modulo (a repeated anchor).

    identity: for every channel the multiplier is exactly 2**fraction, so that the centred code is shifted instead of
    multiplied (the bytes are the same).
    """

    operand: Operand
    identity: bool = False
    modulo: int = 0


@dataclass(frozen=True)
class Epilogue:
    """From int32 to stored codes; the formulas are in tvmsr/quant/integer.py and docs/numerics.md.

    tame: for every channel and whatever is read, no float product leaves +-TERM_LIMIT, and a source that is a term has
    no other bounds. Bounds may then wait for the integer that is stored (the bytes are the same).
    """

    stores: tuple[Store, ...]
    residuals: tuple[Residual, ...] = ()
    fraction: int = 0  # of the terms, where there are residuals
    leaky: bool = False  # another multiplier for negative values of the source
    # An activation behind a sum: the code is requantized before the table or a store reads it, by another multiplier
    # where it is negative.
    post: bool = False
    table: bool = False  # the final code is looked up (before any store); the table ends the block
    tame: bool = False


@dataclass(frozen=True)
class Conv:
    """Convolution. kernel (height, width); x holds `inputs` channels from its base pointer on.

    max_bits: of the widest codes that x may hold; weight_bits: of its weights.
    """

    kernel: tuple[int, int]
    inputs: int
    outputs: int
    x: Operand
    max_bits: int
    weight_bits: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1


@dataclass(frozen=True)
class Load:
    """A pointwise pass: the value is the stored code minus its zero point.

    channels: which channel of x each output channel reads; empty: the same. times: a second operand, of `outputs`
    channels; the value is the product of the two centred codes, whose ranges the plan keeps so that it fits int32.
    """

    inputs: int
    outputs: int
    x: Operand
    channels: tuple[int, ...] = ()
    times: Operand | None = None


class Tile(NamedTuple):
    """What may be chosen freely of an algorithm: every value computes the same bytes. Tuning chooses it.

    pixels x vectors (of output channels) sums are in registers together; a transform's `pixels` are transformed tiles,
    of which it holds the sums of `positions`.
    With pixels in the lanes, `vectors` are single output channels, and `pixels` fill whole vectors.
    """

    pixels: int
    vectors: int
    window: int = 0  # steps whose products are summed in 16 bits before they are widened; 0: each by itself
    strip: int = 0  # how many tiles are transformed together; with pixels in the lanes, pixels that are transposed
    unroll: int = 1  # of a direct loop over steps without windows: loads of every pixel that one turn of it takes
    positions: int = 1  # of a transform, whose sums are in registers together: one, or a row of them

    def __repr__(self) -> str:
        """Kernels are named by it: an unroll of 1 changes no name, nor does one position."""
        plain = {name for name in ("unroll", "positions") if getattr(self, name) == 1}
        return f"Tile({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields if name not in plain)})"

    def __str__(self) -> str:
        window = f"w{self.window}" if self.window else ""
        strip = f"s{self.strip}" if self.strip else ""
        unroll = f"u{self.unroll}" if self.unroll > 1 else ""
        positions = f"x{self.positions}" if self.positions > 1 else ""
        return f"{self.pixels}x{self.vectors}{positions}{window}{strip}{unroll}"


@dataclass(frozen=True)
class KernelSpec:
    """source -> epilogue, for one row of the isa table, by one algorithm with its tile."""

    source: Conv | Load
    epilogue: Epilogue
    isa: str
    algorithm: str  # row of tvmsr.kernels.algorithms
    tile: Tile

    @property
    def times(self) -> Operand | None:
        """The second factor of a product."""
        return self.source.times if isinstance(self.source, Load) else None

    @property
    def read_operands(self) -> int:
        """Number of operands that are read: x, then times, then residuals."""
        return 1 + (self.times is not None) + len(self.epilogue.residuals)

    @property
    def operands(self) -> int:
        """Number of (pointer, rows) pairs the kernel takes: those that are read, then stores."""
        return self.read_operands + len(self.epilogue.stores)
