"""`conv`: convolution, bias and activation, padded with a value per input channel."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import F32, ConvAttrs, Node, PadMode, TensorType
from tvmsr.operations.activate import apply_activation, check_activation
from tvmsr.operations.operation import expect, expect_vector

#: Values of the column matrix that is built at once: with its share of the output it stays near the L2 cache.
_BLOCK_VALUES = 1 << 18


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 1, node, "needs one input")
    attrs, channels = cast(ConvAttrs, node.attrs), types[0].channels
    weight = node.weights.get("weight")
    if weight is None or weight.ndim != 4:
        expect(False, node, "needs a weight (KH, KW, IC/groups, OC)")
        raise AssertionError
    outputs = weight.shape[3]
    expect(attrs.groups >= 1 and channels % attrs.groups == 0, node, f"{attrs.groups} groups of {channels} channels")
    expect(outputs % attrs.groups == 0, node, f"{attrs.groups} groups of {outputs} output channels")
    expect(
        weight.shape[2] * attrs.groups == channels,
        node,
        f"reads {weight.shape[2] * attrs.groups} channels, is given {channels}",
    )
    expect(attrs.stride >= 1 and attrs.dilation >= 1, node, "stride or dilation below 1")
    expect_vector(node, "bias", outputs)
    expect_vector(node, "pad", channels)
    check_activation(node, outputs)
    top, left, bottom, right = attrs.padding
    rows, columns = ((taps - 1) * attrs.dilation + 1 for taps in weight.shape[:2])
    return TensorType(
        outputs,
        types[0].rows.windows(rows, attrs.stride, top + bottom),
        types[0].columns.windows(columns, attrs.stride, left + right),
    )


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    attrs, weight = cast(ConvAttrs, node.attrs), node.weights["weight"]
    padded = pad(inputs[0], attrs, node.weights["pad"])
    if attrs.groups == 1:
        out = convolve(padded, weight, attrs.stride, attrs.dilation)
    else:
        # Channels of a group are neighbours in input and output alike.
        ins, outs = weight.shape[2], weight.shape[3] // attrs.groups
        parts = [
            convolve(
                np.ascontiguousarray(padded[:, :, g * ins : (g + 1) * ins]),
                np.ascontiguousarray(weight[:, :, :, g * outs : (g + 1) * outs]),
                attrs.stride,
                attrs.dilation,
            )
            for g in range(attrs.groups)
        ]
        out = np.concatenate(parts, axis=2)
    out += node.weights["bias"]
    return apply_activation(out, node)


def pad(x: F32, attrs: ConvAttrs, value: F32) -> F32:
    """(H, W, C) -> (H + top + bottom, W + left + right, C), filled with `value` (C,) or by the mode of attrs."""
    if not any(attrs.padding):
        return x
    if attrs.mode is not PadMode.CONSTANT:
        return np.ascontiguousarray(x[np.ix_(*outside(x.shape, attrs))])
    if min(attrs.padding) < 0:
        x = cropped(x, attrs.padding)
    top, left, bottom, right = (max(amount, 0) for amount in attrs.padding)
    height, width, channels = x.shape
    padded = np.empty((height + top + bottom, width + left + right, channels), np.float32)
    padded[:top] = padded[top + height :] = value
    padded[:, :left] = padded[:, left + width :] = value
    padded[top : top + height, left : left + width] = x
    return padded


def cropped(x: NDArray[Any], padding: tuple[int, int, int, int]) -> NDArray[Any]:
    """What negative amounts of padding leave of (H, W, C)."""
    top, left, bottom, right = (max(-amount, 0) for amount in padding)
    return x[top : x.shape[0] - bottom, left : x.shape[1] - right]


def outside(shape: tuple[int, ...], attrs: ConvAttrs) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the picture that stand at each row and column of the padded one (REPLICATE, REFLECT)."""
    top, left, bottom, right = attrs.padding
    found = []
    for before, after, size in ((top, bottom, shape[0]), (left, right, shape[1])):
        index = np.arange(-before, size + after)
        if attrs.mode is PadMode.REFLECT:
            if max(before, after) >= size:
                raise ValueError(f"{size} pixels cannot be reflected over {max(before, after)}")
            index = np.abs(index)
            index = np.where(index >= size, 2 * (size - 1) - index, index)
        found.append(np.clip(index, 0, size - 1))
    return found[0], found[1]


def convolve(x: F32, weight: F32, stride: int = 1, dilation: int = 1) -> F32:
    """Valid convolution of x (H, W, IC) with weight (KH, KW, IC, OC), as matrix products over blocks of rows.

    Memory beside the output is bounded: only one block of columns (rows * W', KH*KW*IC) exists at a time.
    """
    kernel_h, kernel_w, ins, outs = weight.shape
    height = (x.shape[0] - dilation * (kernel_h - 1) - 1) // stride + 1
    width = (x.shape[1] - dilation * (kernel_w - 1) - 1) // stride + 1
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {x.shape[1]}x{x.shape[0]} is smaller than the {kernel_w}x{kernel_h} kernel")
    matrix = np.ascontiguousarray(weight, np.float32).reshape(-1, outs)
    out = np.empty((height, width, outs), np.float32)
    if kernel_h == kernel_w == stride == 1:
        np.matmul(x.reshape(-1, ins), matrix, out=out.reshape(-1, outs))
        return out
    step_y, step_x, step_c = x.strides
    windows = np.lib.stride_tricks.as_strided(
        x,
        (height, width, kernel_h, kernel_w, ins),
        (step_y * stride, step_x * stride, step_y * dilation, step_x * dilation, step_c),
        writeable=False,
    )
    rows = max(1, _BLOCK_VALUES // (width * matrix.shape[0]))
    columns = np.empty((rows, width, kernel_h, kernel_w, ins), np.float32)
    for row in range(0, height, rows):
        count = min(rows, height - row)
        columns[:count] = windows[row : row + count]
        np.matmul(
            columns[:count].reshape(count * width, -1), matrix, out=out[row : row + count].reshape(count * width, outs)
        )
    return out
