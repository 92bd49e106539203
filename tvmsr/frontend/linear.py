"""What is linear and looks at neighbours in a fixed pattern, as a convolution: attributes and weights of its node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import F32, ConvAttrs, PadMode

Padding = tuple[int, int, int, int]
Conv = tuple[ConvAttrs, dict[str, F32]]


def weights_of(weight: NDArray[Any], channels: int, bias: NDArray[Any] | None = None, pad: Any = 0.0) -> dict[str, F32]:
    """The weights of a conv node that reads `channels`, from (KH, KW, IC/groups, OC)."""
    return {
        "weight": np.ascontiguousarray(weight, np.float32),
        "bias": np.zeros(weight.shape[3], np.float32) if bias is None else np.asarray(bias, np.float32),
        "pad": np.full(channels, pad, np.float32),
    }


def space_to_depth(channels: int, block: int, order: Sequence[int] | None = None) -> Conv:
    """Output channel order[(dy*block + dx)*C + c] is channel c of pixel (dy, dx) of each block; all by default."""
    order = range(channels * block**2) if order is None else order
    weight = np.zeros((block, block, channels, len(order)))
    for output, index in enumerate(order):
        phase, channel = divmod(index, channels)
        weight[phase // block, phase % block, channel, output] = 1
    return ConvAttrs(stride=block), weights_of(weight, channels)


def padded(channels: int, padding: Padding, mode: PadMode = PadMode.CONSTANT, value: Any = 0.0) -> Conv:
    """A picture with more around it, or less where an amount is negative: an identity per channel."""
    attrs = ConvAttrs(padding, groups=channels, mode=mode)
    return attrs, weights_of(np.ones((1, 1, 1, channels)), channels, pad=value)


def every(channels: int, step: int, padding: Padding) -> Conv:
    """Every `step`-th pixel, after a crop by negative amounts of padding."""
    attrs = ConvAttrs(padding, stride=step, groups=channels)
    return attrs, weights_of(np.ones((1, 1, 1, channels)), channels)


def average_pool(channels: int, kernel: tuple[int, int], stride: int, padding: Padding) -> Conv:
    """The mean of each window, zeros around the picture counted."""
    weight = np.full((*kernel, 1, channels), 1.0 / (kernel[0] * kernel[1]))
    return ConvAttrs(padding, stride=stride, groups=channels), weights_of(weight, channels)


def channel_mean(channels: int) -> Conv:
    """One channel, the mean of all."""
    return ConvAttrs(), weights_of(np.full((1, 1, channels, 1), 1.0 / channels), channels)


@dataclass(frozen=True)
class Transposed:
    """A transposed convolution: a convolution, an order of its channels, a depth to space and a crop after it."""

    conv: Conv
    order: tuple[int, ...] | None  # None: as they are
    block: int
    crop: Padding


@dataclass(frozen=True)
class _Side:
    """One direction of a transposed convolution of n pixels: block * (n + more) - crop pixels come out."""

    taps: int
    before: int
    after: int
    crop: int
    kernel: NDArray[np.int64]  # (block, taps): tap of the original kernel, -1: none


def transposed(
    weight: NDArray[Any],
    stride: int,
    padding: Padding,
    output_padding: tuple[int, int] = (0, 0),
    groups: int = 1,
    dilation: int = 1,
) -> Transposed:
    """A transposed convolution with `weight` (IC, OC/groups, KH, KW), torch's and ONNX' layout.

    Output pixel q*stride + phase reads input pixels near q with every stride-th tap of the kernel: each phase is a
    convolution of its own, and together they are one with stride^2 times the channels.
    """
    ins, outs, height, width = weight.shape
    rows = _side(height, stride, padding[0], padding[2], output_padding[0], dilation)
    columns = _side(width, stride, padding[1], padding[3], output_padding[1], dilation)
    per_group = ins // groups
    made = np.zeros((rows.taps, columns.taps, per_group, groups, stride, stride, outs))
    grouped = weight.reshape(groups, per_group, outs, height, width)
    for phase_y, phase_x in np.ndindex(stride, stride):
        for y, x in np.ndindex(rows.taps, columns.taps):
            tap_y, tap_x = rows.kernel[phase_y, y], columns.kernel[phase_x, x]
            if tap_y >= 0 and tap_x >= 0:
                made[y, x, :, :, phase_y, phase_x] = grouped[..., tap_y, tap_x].transpose(1, 0, 2)
    kernel = made.reshape(rows.taps, columns.taps, per_group, groups * stride**2 * outs)
    attrs = ConvAttrs((rows.before, columns.before, rows.after, columns.after), groups=groups)
    order = np.arange(kernel.shape[3]).reshape(groups, stride**2, outs).transpose(1, 0, 2).reshape(-1)
    grouped_order = tuple(int(i) for i in order) if groups > 1 and stride > 1 else None
    crop = (0, 0, -rows.crop, -columns.crop)
    return Transposed((attrs, weights_of(kernel, ins)), grouped_order, stride, crop)


def _side(kernel: int, stride: int, before: int, after: int, more: int, dilation: int) -> _Side:
    """Offsets d of the input pixels q + d that output pixels q*stride + phase read, and with which tap."""
    taps = [
        (phase, (phase + before - tap * dilation) // stride, tap)
        for phase in range(stride)
        for tap in range(kernel)
        if (phase + before - tap * dilation) % stride == 0
    ]
    first, last = min(offset for _, offset, _ in taps), max(offset for _, offset, _ in taps)
    table = np.full((stride, last - first + 1), -1)
    for phase, offset, tap in taps:
        table[phase, offset - first] = tap
    extra = (kernel - 1) * dilation + 1 - stride - before - after + more  # n*stride + extra pixels come out
    beyond = -(-extra // stride)
    return _Side(last - first + 1, -first, beyond + last, beyond * stride - extra, table)
