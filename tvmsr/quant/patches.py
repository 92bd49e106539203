"""What an integer convolution reads: its patches of codes, their sums, and second moments of a sample of them.

A patch is what the weights of one output pixel meet, K = KH * KW * IC/groups codes less their zero point for each group
of channels, pad codes among them. In these units the weight of a column is W * e / s_w, whose nearest integer is the
weight code, and a sum of 1 is a step of the accumulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from threading import Lock
from typing import TypeAlias, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tvmsr.abreast import in_order
from tvmsr.graph.model import ConvAttrs
from tvmsr.quant.beside import Seen
from tvmsr.quant.held import Held, Values
from tvmsr.quant.integer import IntegerNode
from tvmsr.quant.reference import padded

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Indices = NDArray[np.intp]
#: What `_sums` gives.
Sums: TypeAlias = tuple[F64, F64, F64, F64]

#: Patches that moments are taken over, of all crops together; a layer has 577 unknowns an output channel, or fewer.
MOST_PATCHES = 20_000
#: Values of the patches that exist at a time (16 MiB).
_BLOCK_VALUES = 1 << 21
SEED = 0
#: Integers below it are float32 numbers. Sums over fewer patches than this at a time are not worth it.
_FLOAT32_LIMIT, _LEAST_PATCHES = 1 << 24, 64


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums of products over patches, each factor less its mean: a bias takes back what the means make.

    inputs (G, K, K): of two codes. cross (G, K, O): of a code and the FP32 network's sum, in steps of the accumulator.
    wanted (G, O): squares of these sums. patches: how many. G groups, K inputs and O outputs each.
    """

    inputs: F64
    cross: F64
    wanted: F64
    patches: int

    def error(self, weights: F64) -> F64:
        """Squared distance (G, O) of what weights (G, K, O) make of the patches from the FP32 sums, means taken back.

        In squared steps of the accumulator, summed over the patches.
        """
        return self.wanted + (weights * (self.inputs @ weights - 2 * self.cross)).sum(axis=1)


def by_group(weight: NDArray[np.generic], groups: int) -> F64:
    """(KH, KW, IC/groups, OC) as (G, K, O) of float64."""
    outs = weight.shape[3]
    return weight.astype(np.float64).reshape(-1, groups, outs // groups).transpose(1, 0, 2)


def patch_sums(node: IntegerNode, x: Held) -> F64:
    """The sum over all patches (K, OC) of what each weight meets; exact integers."""
    attrs, outs = cast(ConvAttrs, node.attrs), node.channels
    (kernel_h, kernel_w), step, dilation = node.params["weight"].shape[:2], attrs.stride, attrs.dilation
    codes = padded(x, attrs, node.params["pad"], np.float64)
    height, width = _size(node, codes)
    sums = np.empty((kernel_h, kernel_w, codes.shape[2]))
    for j in range(kernel_w):  # each row once, for all places of the kernel that it comes under
        lines = codes[:, j * dilation :: step][:, :width].sum(axis=1)
        for i in range(kernel_h):
            sums[i, j] = lines[i * dilation :: step][:height].sum(axis=0)
    groups = sums.reshape(kernel_h * kernel_w, attrs.groups, -1).transpose(0, 2, 1).reshape(-1, attrs.groups)
    return np.repeat(groups, outs // attrs.groups, axis=1)


def moments(node: IntegerNode, seen: Sequence[Seen], most: int = MOST_PATCHES) -> Moments:
    """Of at most so many patches, an equal share from each crop, drawn with a fixed seed."""
    groups, rng = cast(ConvAttrs, node.attrs).groups, np.random.default_rng(SEED)
    count, chosen, adding = int(np.prod(node.params["weight"].shape[:3])), [], Lock()
    for one in seen:
        pixels = one.sums.shape[0] * one.sums.shape[1]
        chosen.append(np.sort(rng.choice(pixels, min(-(-most // len(seen)), pixels), replace=False)))
    inputs, patches = np.zeros((groups, count, count)), sum(len(some) for some in chosen)

    def add(products: Values) -> None:
        """To inputs: integers, so that it does not matter which are the first."""
        with adding:
            np.add(inputs, products, out=inputs)

    found = in_order(lambda pair: list(_sums(node, *pair, add)), zip(seen, chosen, strict=True))
    cross, squares, sums_in, sums_out = reduce(_added, chain.from_iterable(found))
    return Moments(
        inputs - sums_in[:, :, None] * sums_in[:, None, :] / patches,
        cross - sums_in[:, :, None] * sums_out[:, None, :] / patches,
        np.maximum(squares - sums_out**2 / patches, 0),
        patches,
    )


def _added(one: Sums, other: Sums) -> Sums:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]


def _sums(node: IntegerNode, one: Seen, chosen: Indices, add: Callable[[Values], None]) -> Iterator[Sums]:
    """Of some pixels of a crop, blocks of them: sums of code times FP32 sum, of its squares, of codes, and of itself.

    add: is given sums of the products of codes.
    """
    groups, width = cast(ConvAttrs, node.attrs).groups, one.sums.shape[1]
    windows = _windows(node, one.x)
    for where in _blocks(chosen, int(np.prod(windows.shape[2:]))):
        rows, columns = where // width, where % width
        codes = _sample(windows, rows, columns, groups)
        sums = one.sums[rows, columns] / cast(F64, node.step)
        sums = sums.reshape(len(where), groups, -1).transpose(1, 0, 2)
        for products in _products(codes):
            add(products)
        codes = codes.astype(np.float64)
        yield codes.transpose(0, 2, 1) @ sums, (sums**2).sum(axis=1), codes.sum(axis=1), sums.sum(axis=1)


def _blocks(chosen: Indices, values: int) -> Iterator[Indices]:
    rows = max(1, _BLOCK_VALUES // values)
    for first in range(0, len(chosen), rows):
        yield chosen[first : first + rows]


def _products(codes: F32) -> Iterator[F32 | F64]:
    """Sums over some patches (G, n, K) at a time of the products of any two of their codes, (G, K, K): exactly.

    float32 takes half the time, and holds the sums of so many patches at a time that none leaves its integers.
    """
    patches, largest = codes.shape[1], float(max(codes.max(), -codes.min(), 1.0))
    some = int(_FLOAT32_LIMIT / largest**2)
    if some < _LEAST_PATCHES:
        some, codes = patches, codes.astype(np.float64)
    for first in range(0, patches, some):
        part = codes[:, first : first + some]
        yield part.transpose(0, 2, 1) @ part


def _sample(windows: F32, rows: Indices, columns: Indices, groups: int) -> F32:
    """The patches (G, N, K) of N output pixels."""
    values = windows[rows, columns].reshape(len(rows), windows.shape[2] * windows.shape[3], groups, -1)
    return np.ascontiguousarray(values.transpose(2, 0, 1, 3)).reshape(groups, len(rows), -1)


def _windows(node: IntegerNode, x: Held) -> F32:
    """What the kernel meets at each output pixel: centred codes (H, W, KH, KW, IC), a view."""
    attrs, kernel = cast(ConvAttrs, node.attrs), node.params["weight"].shape[:2]
    codes, step, dilation = padded(x, attrs, node.params["pad"], np.float32), attrs.stride, attrs.dilation
    line, pixel, value = codes.strides
    strides = (line * step, pixel * step, line * dilation, pixel * dilation, value)
    return as_strided(codes, (*_size(node, codes), *kernel, codes.shape[2]), strides, writeable=False)


def _size(node: IntegerNode, codes: Values) -> tuple[int, int]:
    """Height and width of what the convolution makes of padded codes (H, W, IC)."""
    attrs, kernel = cast(ConvAttrs, node.attrs), node.params["weight"].shape
    rows, columns = (codes.shape[axis] - attrs.dilation * (kernel[axis] - 1) for axis in (0, 1))
    return (rows - 1) // attrs.stride + 1, (columns - 1) // attrs.stride + 1
