"""`max_pool`: the largest value of each window."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import F32, Node, PoolAttrs, TensorType
from tvmsr.operations.operation import expect


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 1, node, "needs one input")
    attrs = cast(PoolAttrs, node.attrs)
    (rows, columns), (top, left, bottom, right) = attrs.kernel, attrs.padding
    expect(min(rows, columns, attrs.stride) >= 1, node, "kernel or stride below 1")
    fits = min(attrs.padding) >= 0 and max(top, bottom) < rows and max(left, right) < columns
    expect(fits, node, "padding below 0, or as large as the kernel")
    return TensorType(
        types[0].channels,
        types[0].rows.windows(rows, attrs.stride, top + bottom),
        types[0].columns.windows(columns, attrs.stride, left + right),
    )


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    pooled: F32 = largest(inputs[0], cast(PoolAttrs, node.attrs), -np.inf)
    return pooled


def largest(x: NDArray[Any], attrs: PoolAttrs, least: float) -> NDArray[Any]:
    """(H, W, C) -> (H', W', C) of the same type; `least` is no larger than any value."""
    (rows, columns), (top, left, bottom, right) = attrs.kernel, attrs.padding
    padded = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=least)
    height = (padded.shape[0] - rows) // attrs.stride + 1
    width = (padded.shape[1] - columns) // attrs.stride + 1
    if height < 1 or width < 1:
        raise ValueError(f"{x.shape[1]}x{x.shape[0]} pixels are fewer than the {columns}x{rows} window")
    out = np.full((height, width, x.shape[2]), least, x.dtype)
    for i in range(rows):
        for j in range(columns):
            part = padded[i : i + (height - 1) * attrs.stride + 1 : attrs.stride]
            np.maximum(out, part[:, j : j + (width - 1) * attrs.stride + 1 : attrs.stride], out=out)
    return out
