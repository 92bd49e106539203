"""Re-parameterised blocks as the one convolution that they are: in double precision, exact up to the border."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.state import State
from tvmsr.graph.model import F32
from tvmsr.graph.passes.chains import compose

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear:
    """A convolution that keeps the size, zeros outside: kernel (KH, KW, IC, OC), bias (OC,).

    Blocks that pad after their 1x1 convolution do so with its bias, so that zeros outside of the picture mean the same.
    """

    kernel: F64
    bias: F64

    def __add__(self, other: Linear) -> Linear:
        """Both side by side, their sum."""
        rows, columns = np.maximum(self.kernel.shape[:2], other.kernel.shape[:2]).tolist()
        return Linear(_grown(self.kernel, rows, columns) + _grown(other.kernel, rows, columns), self.bias + other.bias)

    def then(self, other: Linear) -> Linear:
        """The other of what it makes."""
        bias = np.einsum("m,hwmo->o", self.bias, other.kernel) + other.bias
        return Linear(compose(self.kernel, other.kernel), bias)

    def with_identity(self, factor: float = 1.0) -> Linear:
        """Plus its input."""
        count = self.kernel.shape[3]
        return self + Linear(np.eye(count)[None, None] * factor, np.zeros(count))

    def scaled(self, factors: F64) -> Linear:
        """Every output times its factor."""
        return Linear(self.kernel * factors, self.bias * factors)


def _grown(kernel: F64, rows: int, columns: int) -> F64:
    """The kernel with zeros around it."""
    down, right = rows - kernel.shape[0], columns - kernel.shape[1]
    return np.pad(kernel, ((down // 2, down // 2), (right // 2, right // 2), (0, 0), (0, 0)))


def linear(state: State, key: str, weight: str = ".weight", bias: str = ".bias") -> Linear:
    """The convolution of a key: torch's (OC, IC, KH, KW), or (OC, IC); without bias where there is none."""
    found = state[key + weight].astype(np.float64)
    kernel = found.reshape(*found.shape[:2], *(found.shape[2:] or (1, 1))).transpose(2, 3, 1, 0)
    offset = state.get(key + bias)
    return Linear(kernel, np.zeros(kernel.shape[3]) if offset is None else offset.astype(np.float64))


def depthwise(weight: F32, bias: F32) -> Linear:
    """A convolution of every channel for itself, (C, 1, KH, KW), written as a full one."""
    kernel = weight.astype(np.float64)[:, 0].transpose(1, 2, 0)
    return Linear(kernel[..., None] * np.eye(kernel.shape[2]), bias.astype(np.float64))


def chained(parts: Iterable[Linear]) -> Linear:
    """All of them in a row."""
    return reduce(Linear.then, parts)


def edge_branches(state: State, key: str) -> Linear:
    """The branches of an edge-oriented convolution block (ECBSR, Zhang, Zeng and Zhang, 2021).

    A 1x1 convolution followed by a 3x3 one, and 1x1 convolutions followed by scaled Sobel and Laplace filters.
    """
    grown = linear(state, f"{key}.conv1x1_3x3", ".k0", ".b0").then(linear(state, f"{key}.conv1x1_3x3", ".k1", ".b1"))
    for branch in ("conv1x1_sbx", "conv1x1_sby", "conv1x1_lpl"):
        stem = f"{key}.{branch}"
        filters = depthwise(state[f"{stem}.scale"] * state[f"{stem}.mask"], state[f"{stem}.bias"])
        grown = grown + linear(state, stem, ".k0", ".b0").then(filters)
    return grown


def unshuffled(kernel: F32, block: int) -> F32:
    """The kernel (OC, C, KH*block, KW*block), of stride `block`, in place of a pixel unshuffle and `kernel`."""
    outs, ins, rows, columns = kernel.shape
    split = kernel.reshape(outs, ins // block**2, block, block, rows, columns).transpose(0, 1, 4, 2, 5, 3)
    return np.ascontiguousarray(split.reshape(outs, ins // block**2, rows * block, columns * block))


def put(net: NetBuilder, folded: Mapping[str, Linear]) -> None:
    """Let `net.conv` find these convolutions under their keys."""
    arrays: dict[str, F32] = {}
    for key, one in folded.items():
        arrays[f"{key}.weight"] = np.ascontiguousarray(one.kernel.transpose(3, 2, 0, 1), np.float32)
        arrays[f"{key}.bias"] = one.bias.astype(np.float32)
    net.put(arrays)


def folded_conv(net: NetBuilder, x: Any, key: str, one: Linear) -> Any:
    """The convolution `one` of x, called `key`."""
    put(net, {key: one})
    return net.conv(x, key)
