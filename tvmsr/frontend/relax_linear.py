"""Relax operators that are convolutions of the canonical graph, and the norms beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tvmsr.frontend import linear, views
from tvmsr.frontend.importer import Importer, UnsupportedError, Value, single
from tvmsr.frontend.linear import Padding
from tvmsr.frontend.relax_arithmetic import affine, vector
from tvmsr.frontend.views import View
from tvmsr.graph.model import ConvAttrs, GatherAttrs, LayerNormAttrs, PadMode, ShuffleAttrs


def one(name: str, pair: Iterable[Any]) -> int:
    """The stride (or dilation) of both directions."""
    values = [int(v) for v in pair]
    if len(set(values)) != 1:
        raise UnsupportedError(f"{name} {values} differ in height and width", f"equal {name}")
    return values[0]


def sides(padding: Iterable[Any]) -> Padding:
    top, left, bottom, right = (int(v) for v in padding)
    return top, left, bottom, right


def _constant(value: Any, what: str) -> Any:
    if not isinstance(value, np.ndarray):
        raise UnsupportedError(f"its {what} is computed from the picture", f"a constant {what}")
    return value


def _expect_layout(attrs: Any, kernel: str) -> None:
    if (attrs.data_layout, attrs.kernel_layout) != ("NCHW", kernel):
        raise UnsupportedError(f"layout {attrs.data_layout}/{attrs.kernel_layout}", f"NCHW and {kernel}")


def conv2d(net: Importer, args: list[Any], attrs: Any) -> Value:
    _expect_layout(attrs, "OIHW")
    weight = _constant(args[1], "weight")
    conv = ConvAttrs(
        sides(attrs.padding), one("strides", attrs.strides), one("dilation", attrs.dilation), int(attrs.groups)
    )
    name = net.hint
    source = net.tensor(args[0])
    weights = linear.weights_of(weight.transpose(2, 3, 1, 0), net.size(source)[0])
    return net.emit("conv", (source,), conv, weights, name=name)


def conv2d_transpose(net: Importer, args: list[Any], attrs: Any) -> Value:
    _expect_layout(attrs, "IOHW")
    rows, columns = (int(v) for v in attrs.output_padding)
    made = linear.transposed(
        _constant(args[1], "weight"),
        one("strides", attrs.strides),
        sides(attrs.padding),
        (rows, columns),
        int(attrs.groups),
        one("dilation", attrs.dilation),
    )
    name = net.hint
    result = net.emit("conv", (net.tensor(args[0]),), *made.conv, name=name)
    if made.order is not None:
        result = net.emit("gather", (result.source,), GatherAttrs(made.order))
    if made.block > 1:
        result = net.emit("depth_to_space", (result.source,), ShuffleAttrs(made.block))
    return around(net, result, made.crop)


def around(
    net: Importer, value: View, padding: Padding, mode: PadMode = PadMode.CONSTANT, constant: float = 0.0
) -> View:
    """More (or, where negative, less) picture on the four sides."""
    if not any(padding):
        return value
    source = net.tensor(value)
    return net.emit("conv", (source,), *linear.padded(net.size(source)[0], padding, mode, constant))


_PAD_MODES = {
    "constant": PadMode.CONSTANT,
    "reflect": PadMode.REFLECT,
    "replicate": PadMode.REPLICATE,
    "edge": PadMode.REPLICATE,
}


def pad(net: Importer, args: list[Any], attrs: Any) -> Value:
    widths, value = [int(v) for v in attrs.pad_width], args[0]
    if not any(widths):
        return value
    if attrs.pad_mode not in _PAD_MODES:
        raise UnsupportedError(f"in mode {attrs.pad_mode}", "zeros, replicate or reflect")
    rows, columns = picture_axes(net, value)
    amounts = list(zip(widths[::2], widths[1::2], strict=True))
    if any(any(amount) for axis, amount in enumerate(amounts) if axis not in (rows, columns)):
        raise UnsupportedError("of channels", "padding of height and width")
    (top, bottom), (left, right) = amounts[rows], amounts[columns]
    net.by_size = True
    mode, constant = _PAD_MODES[attrs.pad_mode], float(attrs.pad_value)
    if net.is_tensor(value):
        return around(net, value, (top, left, bottom, right), mode, constant)
    made = around(net, net.whole(value.source), (top, left, bottom, right), mode, constant)
    return reframed(value, made)


def picture_axes(net: Importer, value: View) -> tuple[int, int]:
    """The dimensions that are the picture's height and width."""
    if net.is_tensor(value):
        return 2, 3
    found = {axis[0].kind: i for i, axis in enumerate(value.axes) if len(axis) == 1}
    if views.HEIGHT not in found or views.WIDTH not in found:
        raise UnsupportedError(f"of dimensions {value.shape}, none of which is the height or width alone")
    return found[views.HEIGHT], found[views.WIDTH]


def reframed(value: View, made: View) -> View:
    """A tensor shown as `value` shows its own, which had another height and width."""
    new = {views.HEIGHT: made.axes[2], views.WIDTH: made.axes[3]}
    axes = [new.get(axis[0].kind, axis) if len(axis) == 1 else axis for axis in value.axes]
    return View(made.source, tuple(axes))


def matmul(net: Importer, args: list[Any], attrs: Any) -> Value:
    """A product with a constant matrix over channels is a 1x1 convolution."""
    value, matrix = args[:2]
    if not isinstance(value, View) or not isinstance(matrix, np.ndarray):
        raise UnsupportedError("of two tensors", "a 1x1 convolution, or a product with a gate")
    name = net.hint
    if matrix.ndim > 2 and max(matrix.shape[:-2]) == 1:
        matrix = matrix.reshape(matrix.shape[-2:])
    source = value.source
    count = net.size(source)[0]
    order = views.channel_axis(value, len(value.axes) - 1, count)
    if order is None or matrix.ndim != 2:
        raise UnsupportedError(
            f"of {value.shape} and {matrix.shape}, which mixes more than channels", "a 1x1 convolution"
        )
    weight = np.zeros((1, 1, count, matrix.shape[1]))
    weight[0, 0, order] = matrix
    made = net.emit("conv", (source,), ConvAttrs(), linear.weights_of(weight, count), name=name)
    axis = made.axes[1]
    return View(made.source, (*value.axes[:-1], axis))


def layer_norm(net: Importer, args: list[Any], attrs: Any) -> Value:
    value = net.whole(net.tensor(args[0])) if net.is_tensor(args[0]) else args[0]
    axes = [int(v) % len(value.axes) for v in attrs.axes]
    count = net.size(value.source)[0]
    if len(axes) != 1 or views.channel_axis(value, axes[0], count) is None:
        raise UnsupportedError(f"over dimensions {axes} of {value.shape}", "layer norm over all channels of a pixel")
    shape = [1] * len(value.axes)
    shape[axes[0]] = -1
    vectors = [
        vector(net, np.asarray(weight).reshape(shape), value) if used else np.full(count, neutral, np.float32)
        for weight, used, neutral in zip(args[1:3], (attrs.scale, attrs.center), (1.0, 0.0), strict=True)
    ]
    weights = {"gamma": vectors[0], "beta": vectors[1]}
    made = net.emit("layer_norm", (value.source,), LayerNormAttrs(single(attrs.epsilon)), weights)
    return View(made.source, value.axes)


def batch_norm(net: Importer, args: list[Any], attrs: Any) -> Value:
    if attrs.training or attrs.axis != 1:
        raise UnsupportedError("in training mode, or not over channels", "the model in evaluation mode")
    gamma, beta, mean, variance = (np.asarray(v, np.float64) for v in args[1:5])
    scale = gamma / np.sqrt(variance + attrs.epsilon)
    return (affine(net, args[0], scale, beta - mean * scale), None, None)
