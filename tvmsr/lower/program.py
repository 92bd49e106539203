"""Program: what the driver runs for a bit choice on a CPU level: steps, buffers and plain parameters of every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from numpy.typing import NDArray

from tvmsr.graph.extent import Extent
from tvmsr.graph.model import PadMode
from tvmsr.kernels.spec import Form, KernelSpec


@dataclass(frozen=True, eq=False)
class Buffer:
    """A stored tensor. pitch: bytes a pixel; border: pixels on each side (the widest reader's), which `mode` fills."""

    name: str
    channels: int
    form: Form
    bits: int
    pitch: int
    rows: Extent
    columns: Extent
    border: int
    mode: PadMode
    pad: NDArray[Any]  # (channels,) codes


@dataclass(frozen=True)
class View:
    """Channels of a buffer from byte `offset` of each pixel on. broadcast: a 1x1 map that stands for all pixels."""

    buffer: str
    offset: int = 0
    broadcast: bool = False


@dataclass(frozen=True)
class Stored:
    """What a store holds: channels [first, first + channels) of an IntegerGraph node, `input` among them."""

    tensor: str
    first: int
    channels: int


@dataclass(frozen=True, eq=False)
class Layer:
    """The weights of a convolution, shared by all bit choices and levels: int8 codes (KH, KW, IC/groups, OC)."""

    name: str
    weight: NDArray[Any]
    bits: int


class Kind(IntEnum):
    """What the driver does in plain C: SR_MAX_POOL ... of program.h."""

    MAX_POOL = 1
    RESIZE = 2
    STATISTIC = 3
    LAYER_NORM = 4


@dataclass(frozen=True)
class Spatial:
    """A step of the driver's own: sr_spatial of program.h. `words` says what it does, for people.

    kernel (height, width), stride: of a pool. method, grid: numbers of program.h. more: further statistics of the same
    rows, one a store.
    """

    kind: Kind
    channels: int
    words: str
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    method: int = 0
    grid: int = 0
    unbiased: bool = False
    numerator: int = 0
    denominator: int = 0
    cubic: int = 0
    more: tuple[Spatial, ...] = ()

    @property
    def each(self) -> tuple[Spatial, ...]:
        """One for each store."""
        return (self, *self.more)


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel call, or one loop of the driver's own, over all rows.

    operands: as the kernel takes them: x, times, residuals, stores. params: plain arrays and scalars, named as
    tvmsr/kernels/pack.h and the fields of tvmsr/lower/spatial.py name them.
    """

    name: str
    spec: KernelSpec | None
    spatial: Spatial | None
    operands: tuple[View, ...]
    padding: tuple[int, int, int, int]  # top, left, bottom, right
    layer: Layer | None
    params: Mapping[str, NDArray[Any] | int]
    nodes: tuple[str, ...]  # the IntegerGraph nodes it computes, for profiles and `inspect`
    macs_per_pixel: int
    reason: str  # why this algorithm and tile
    stored: tuple[Stored, ...]  # what each store holds

    @property
    def kernel(self) -> KernelSpec:
        """Of a step that is one."""
        if self.spec is None:
            raise TypeError(f"{self.name!r} is no kernel")
        return self.spec

    @property
    def blocks(self) -> tuple[int, ...]:
        """Of its stores: depth to space."""
        if self.spec is None:
            return (1,) * len(self.stored)
        return tuple(store.block for store in self.spec.epilogue.stores)

    @property
    def reads(self) -> int:
        """Number of operands that are read; the others are stores."""
        return len(self.operands) - len(self.blocks)


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order for one level and bit choice. `input` is filled by the driver (RGB codes), `output` read by it.

    choice: its number; 0 where there is one.
    """

    level: str
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    input: str
    output: str
    radius: int  # receptive radius in input pixels
    choice: int = 0
