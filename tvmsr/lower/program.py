"""Program: what the driver runs on one CPU level: steps, buffers and the plain parameters of every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from tvmsr.kernels.spec import Form, KernelSpec


@dataclass(frozen=True, eq=False)
class Buffer:
    """A stored tensor. pitch: bytes a pixel; border: pad codes on each side (the widest reader's)."""

    name: str
    channels: int
    form: Form
    bits: int
    pitch: int
    ratio: Fraction
    border: int
    pad: NDArray[Any]  # (channels,) codes


@dataclass(frozen=True)
class View:
    """Channels of a buffer from byte `offset` of each pixel on."""

    buffer: str
    offset: int = 0


@dataclass(frozen=True)
class Stored:
    """What a store holds: channels [first, first + channels) of an IntegerGraph node, `input` among them."""

    tensor: str
    first: int
    channels: int


@dataclass(frozen=True, eq=False)
class Layer:
    """The weights of a convolution, shared by its bit choices and by all levels: int8 codes (KH, KW, IC/groups, OC)."""

    name: str
    weight: NDArray[Any]
    bits: int


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel call over all rows.

    operands: as the kernel takes them: x, times, residuals, stores. params: one set of plain arrays and scalars per bit
    choice (today one), named as tvmsr/kernels/pack.h names them.
    """

    name: str
    spec: KernelSpec
    operands: tuple[View, ...]
    padding: tuple[int, int, int, int]  # top, left, bottom, right
    layer: Layer | None
    params: tuple[Mapping[str, NDArray[Any] | int], ...]
    nodes: tuple[str, ...]  # the IntegerGraph nodes it computes, for profiles and `inspect`
    macs_per_pixel: int
    reason: str  # why this algorithm and tile
    stored: tuple[Stored, ...]  # what each store holds


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order for one level. `input` is filled by the driver (RGB codes), `output` read by it."""

    level: str
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    input: str
    output: str
    radius: int  # receptive radius in input pixels
