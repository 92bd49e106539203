"""What an integer convolution reads: its patches of codes, their sums, and second moments of a sample of them.

A patch is what the weights of one output pixel meet, K = KH * KW * IC/groups codes less their zero point for each group
of channels, pad codes among them. In these units the weight of a column is W * e / s_w, whose nearest integer is the
weight code, and a sum of 1 is a step of the accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import ConvAttrs
from tvmsr.quant.beside import Seen
from tvmsr.quant.held import Held, Values
from tvmsr.quant.integer import IntegerNode
from tvmsr.quant.reference import padded

F64 = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Patches that moments are taken over, of all crops together; a layer has 577 unknowns an output channel, or fewer.
MOST_PATCHES = 20_000
#: Values of the patches that exist at a time (16 MiB).
_BLOCK_VALUES = 1 << 21
SEED = 0


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
    sums = np.stack([tap.sum(axis=(0, 1), dtype=np.int64) for tap in _taps(node, x)])
    groups = sums.reshape(len(sums), attrs.groups, -1).transpose(0, 2, 1).reshape(-1, attrs.groups)
    return np.repeat(groups, outs // attrs.groups, axis=1).astype(np.float64)


def moments(node: IntegerNode, seen: Sequence[Seen], most: int = MOST_PATCHES) -> Moments:
    """Of at most so many patches, an equal share from each crop, drawn with a fixed seed."""
    groups, rng = cast(ConvAttrs, node.attrs).groups, np.random.default_rng(SEED)
    weight, outs = node.params["weight"], node.channels // groups
    count = int(np.prod(weight.shape[:3]))
    inputs, cross = np.zeros((groups, count, count)), np.zeros((groups, count, outs))
    squares, sums_in, sums_out = np.zeros((groups, outs)), np.zeros((groups, count)), np.zeros((groups, outs))
    patches = 0
    for one in seen:
        taps, (height, width) = _taps(node, one.x), one.sums.shape[:2]
        share = min(-(-most // len(seen)), height * width)
        chosen = np.sort(rng.choice(height * width, share, replace=False))
        for where in _blocks(chosen, count * groups):
            rows, columns = where // width, where % width
            codes = _sample(taps, rows, columns, groups)
            sums = one.sums[rows, columns] / cast(F64, node.step)
            sums = sums.reshape(len(where), groups, outs).transpose(1, 0, 2)
            turned = codes.transpose(0, 2, 1)
            inputs += turned @ codes
            cross += turned @ sums
            squares += (sums**2).sum(axis=1)
            sums_in += codes.sum(axis=1)
            sums_out += sums.sum(axis=1)
        patches += share
    return Moments(
        inputs - sums_in[:, :, None] * sums_in[:, None, :] / patches,
        cross - sums_in[:, :, None] * sums_out[:, None, :] / patches,
        np.maximum(squares - sums_out**2 / patches, 0),
        patches,
    )


def _blocks(chosen: Indices, values: int) -> Iterator[Indices]:
    rows = max(1, _BLOCK_VALUES // values)
    for first in range(0, len(chosen), rows):
        yield chosen[first : first + rows]


def _sample(taps: Sequence[Values], rows: Indices, columns: Indices, groups: int) -> F64:
    """The patches (G, N, K) of N output pixels."""
    values = np.stack([tap[rows, columns] for tap in taps], axis=1)
    split = values.reshape(len(rows), len(taps), groups, -1).transpose(2, 0, 1, 3)
    return split.reshape(groups, len(rows), -1).astype(np.float64)


def _taps(node: IntegerNode, x: Held) -> list[Values]:
    """For each place in the kernel, row by row, what it meets: centred codes (H, W, IC), a view a place."""
    attrs, (kernel_h, kernel_w) = cast(ConvAttrs, node.attrs), node.params["weight"].shape[:2]
    codes, step, dilation = padded(x, attrs, node.params["pad"]), attrs.stride, attrs.dilation
    height = (codes.shape[0] - dilation * (kernel_h - 1) - 1) // step + 1
    width = (codes.shape[1] - dilation * (kernel_w - 1) - 1) // step + 1
    return [
        codes[i * dilation :: step, j * dilation :: step][:height, :width]
        for i in range(kernel_h)
        for j in range(kernel_w)
    ]
