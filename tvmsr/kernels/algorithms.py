"""The table of algorithms, and the choice among them. Lowering asks here; nothing in this file needs tvm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.kernels.isa import ISAS, Isa, Primitive
from tvmsr.kernels.layout import WeightLayout
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Load

Weight = NDArray[np.int8]


@dataclass(frozen=True)
class Choice:
    """A complete spec, why it was chosen, and what it is predicted to cost."""

    spec: KernelSpec
    reason: str
    cycles_per_pixel: float  # of one core


@dataclass(frozen=True)
class Algorithm:
    """One exact way to compute a source.

    `legal` says why not, or "" where it is. `tiles` are those offered; `generator` names "module:function", a TIR
    generator; granule and read_ahead as the kernel contract has them.
    """

    name: str
    legal: Callable[[Conv | Load, Weight | None, Isa], str]
    tiles: Callable[[Conv | Load, Isa], tuple[tuple[int, int], ...]]
    cycles: Callable[[Conv | Load, Epilogue, Isa, tuple[int, int]], float]
    weights: Callable[[Conv, Isa, tuple[int, int]], WeightLayout] | None
    generator: str
    granule: tuple[int, int] = (1, 1)
    read_ahead: tuple[int, int] = (0, 0)


def accepted_forms(isa: str, bits: int) -> tuple[Form, ...]:
    """Forms in which convolutions of this isa can read codes of up to `bits` bits, the best first."""
    wanted = (Form.U8, Form.S16, Form.U16) if bits <= 8 else (Form.S16, Form.U16)
    if bits == 16 and isa != "portable":
        wanted = (Form.S16,)
    return wanted


def wanted_form(isa: str, bits: int, conv: Conv | None = None, weight: Weight | None = None) -> Form:
    """The form in which a convolution wants its input stored; `bits`: the widest of its choices."""
    return accepted_forms(isa, bits)[0]


def choose(source: Conv | Load, epilogue: Epilogue, isa: str, weight: Weight | None = None) -> Choice:
    """The cheapest legal algorithm and tile for one step on one isa; `weight`: its codes, where there are any."""
    raise NotImplementedError


def weight_layout(spec: KernelSpec) -> WeightLayout | None:
    """Layout of the packed weights of a convolution; None for a pointwise pass."""
    raise NotImplementedError


def positions(spec: KernelSpec) -> tuple[int, int]:
    """Groups of output positions, and positions of one group, padding included: the shape of parameter arrays."""
    raise NotImplementedError


def symbol(spec: KernelSpec) -> str:
    """Readable name of a kernel: what it computes, its tile, and a hash of the whole spec. Levels append theirs."""
    raise NotImplementedError


ALGORITHMS: dict[str, Algorithm] = {}
