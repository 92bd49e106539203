"""`resize`: nearest, linear or cubic, by a factor or to another tensor's size; separable, outside lies the edge."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import F32, Grid, Node, Resampling, ResizeAttrs, TensorType
from tvmsr.operations.operation import expect

#: Source pixels that one resized pixel is made of, in each direction.
TAPS = {Resampling.NEAREST: 1, Resampling.LINEAR: 2, Resampling.CUBIC: 4}


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    attrs = cast(ResizeAttrs, node.attrs)
    expect(attrs.factor >= 0, node, f"factor {attrs.factor}")
    if attrs.factor == 0:
        expect(len(types) == 2, node, "needs the tensor, and one whose size it takes")
        return TensorType(types[0].channels, *types[1].size)
    expect(len(types) == 1, node, "needs one input")
    numerator, denominator = attrs.factor.numerator, attrs.factor.denominator
    return TensorType(types[0].channels, *(extent.then(numerator, 0, denominator) for extent in types[0].size))


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    attrs, x = cast(ResizeAttrs, node.attrs), inputs[0]
    if attrs.factor:
        height, width = (size * attrs.factor.numerator // attrs.factor.denominator for size in x.shape[:2])
    else:
        height, width = inputs[1].shape[:2]
    if min(height, width, *x.shape[:2]) < 1:
        raise ValueError(f"a resize of {x.shape[1]}x{x.shape[0]} to {width}x{height} pixels")
    rows = _along(x, height, attrs)
    return np.ascontiguousarray(_along(rows.transpose(1, 0, 2), width, attrs).transpose(1, 0, 2))


def _along(x: F32, count: int, attrs: ResizeAttrs) -> F32:
    """The first dimension resized to `count`."""
    first, fraction = positions(count, x.shape[0], attrs)
    weights = kernel(np.array([float(f) for f in fraction]), attrs).astype(np.float32)
    out = np.zeros((count, *x.shape[1:]), np.float32)
    for tap in range(weights.shape[1]):
        out += weights[:, tap, None, None] * x[np.clip(first + tap, 0, x.shape[0] - 1)]
    return out


def positions(count: int, size: int, attrs: ResizeAttrs) -> tuple[NDArray[np.int64], list[Fraction]]:
    """Of each of `count` resized pixels: the first source pixel that it reads, and how far beyond its base it lies.

    The base is the last source pixel at or before the exact position; NEAREST reads it alone. First pixels may lie
    outside the picture.
    """
    firsts, fractions = np.empty(count, np.int64), []
    before = 1 if attrs.method is Resampling.CUBIC else 0
    for i in range(count):
        exact = position(i, count, size, attrs)
        base = exact.numerator // exact.denominator
        firsts[i] = base - before
        fractions.append(exact - base)
    return firsts, fractions


def position(index: int, count: int, size: int, attrs: ResizeAttrs) -> Fraction:
    """Where resized pixel `index` lies among the `size` source pixels, by Grid."""
    if attrs.grid is Grid.ALIGN_CORNERS:
        return Fraction(index * (size - 1), count - 1) if count > 1 else Fraction(0)
    step = 1 / attrs.factor if attrs.factor else Fraction(size, count)
    if attrs.grid is Grid.ASYMMETRIC:
        return index * step
    middle = (index + Fraction(1, 2)) * step
    return middle if attrs.method is Resampling.NEAREST else middle - Fraction(1, 2)


def kernel(fraction: NDArray[np.float64], attrs: ResizeAttrs) -> NDArray[np.float64]:
    """(N, TAPS) weights, of sum 1, of pixels that lie `fraction` (N,) beyond their base."""
    t = fraction
    if attrs.method is Resampling.NEAREST:
        return np.ones((len(t), 1))
    if attrs.method is Resampling.LINEAR:
        return np.stack([1 - t, t], axis=1)
    a = attrs.cubic

    def far(d: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    def near(d: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    return np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)], axis=1)
