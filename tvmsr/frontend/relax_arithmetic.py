"""Relax operators that compute: convolution, batch norm and arithmetic with constants and between tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.frontend import views
from tvmsr.frontend.relax_import import Importer, Part, UnsupportedError, Value
from tvmsr.frontend.views import View
from tvmsr.graph.model import F32, ActivateAttrs, Activation, ConvAttrs

Array = NDArray[Any]


def conv2d(net: Importer, args: list[Any], attrs: Any) -> Value:
    if (attrs.data_layout, attrs.kernel_layout) != ("NCHW", "OIHW"):
        raise UnsupportedError(f"layout {attrs.data_layout}/{attrs.kernel_layout}", "NCHW and OIHW")
    weight = args[1]
    if not isinstance(weight, np.ndarray):
        raise UnsupportedError("its weight is computed from the picture", "constant weights")
    strides, dilation = ([int(v) for v in pair] for pair in (attrs.strides, attrs.dilation))
    if len(set(strides)) != 1 or len(set(dilation)) != 1:
        raise UnsupportedError(f"strides {strides}, dilation {dilation} differ in height and width")
    top, left, bottom, right = (int(v) for v in attrs.padding)
    conv = ConvAttrs((top, left, bottom, right), strides[0], dilation[0], int(attrs.groups))
    name = net.hint
    source = net.tensor(args[0])
    _, height, width = net.sizes[source]
    size = tuple(
        (extent + pad - dilation[0] * (kernel - 1) - 1) // strides[0] + 1
        for extent, pad, kernel in zip((height, width), (top + bottom, left + right), weight.shape[2:], strict=True)
    )
    weights = {
        "weight": np.ascontiguousarray(weight.transpose(2, 3, 1, 0), np.float32),
        "bias": np.zeros(weight.shape[0], np.float32),
        "pad": np.zeros(net.sizes[source][0], np.float32),
    }
    return net.emit("conv", (source,), conv, weights, channels=weight.shape[0], size=(size[0], size[1]), name=name)


def _vector(value: Array, channels: int) -> F32:
    """A constant that broadcasts over (1, C, H, W) as a vector per channel."""
    value = _flat(value)
    shape = (1,) * (4 - value.ndim) + value.shape
    if value.ndim > 4 or shape[0] != 1 or shape[2:] != (1, 1) or shape[1] not in (1, channels):
        raise UnsupportedError(f"a constant of shape {value.shape} beside {channels} channels", "one value per channel")
    return np.broadcast_to(value.reshape(-1), (channels,)).astype(np.float32)


def _flat(value: Array) -> Array:
    """A constant that was expanded to the picture's size, without that size."""
    if value.ndim >= 2 and value.shape[-2:] != (1, 1) and np.all(value == value[..., :1, :1]):
        return value[..., :1, :1]
    return value


def affine(net: Importer, value: View, scale: Any, shift: Any) -> View:
    source = net.tensor(value)
    channels = net.sizes[source][0]
    vectors = {"scale": np.full(channels, scale, np.float32), "shift": np.full(channels, shift, np.float32)}
    return net.emit("affine", (source,), None, vectors)


def as_array(value: Any) -> Array | None:
    if isinstance(value, np.ndarray | int | float):
        return np.asarray(value)
    return None


def _grow(net: Importer, value: View, constant: Array) -> View:
    """A one-channel picture beside a constant per channel is repeated first."""
    size = constant.shape[-3] if constant.ndim >= 3 else 1
    if net.channels(value) == 1 and size > 1:
        return views.broadcast(value, (1, size, *value.shape[2:]))
    return value


def add(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _sum(net, args[0], args[1], 1.0)


def subtract(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _sum(net, args[0], args[1], -1.0)


def _sum(net: Importer, left: Any, right: Any, sign: float) -> Value:
    a, b = as_array(left), as_array(right)
    for gate, constant in ((left, b), (right, a)):
        if isinstance(gate, ErfGate) and constant is not None and sign > 0 and constant.size == 1:
            return replace(gate, offset=gate.offset + float(constant.reshape(-1)[0]))
    if a is not None and b is not None:
        return np.asarray(a + sign * b)
    if b is not None:
        left = _grow(net, left, b)
        return affine(net, left, 1.0, sign * _vector(b, net.channels(left)))
    if a is not None:
        right = _grow(net, right, a)
        return affine(net, right, sign, _vector(a, net.channels(right)))
    if sign < 0:
        hint, net.hint = net.hint, ""
        right = affine(net, right, -1.0, 0.0)
        net.hint = hint
    return _pair(net, "add", left, right)


def _pair(net: Importer, op: str, left: View, right: View) -> View:
    count = max(net.channels(left), net.channels(right))
    sides = [views.broadcast(v, (1, count, *v.shape[2:])) if net.channels(v) == 1 else v for v in (left, right)]
    if sides[0].shape != sides[1].shape:
        raise UnsupportedError(f"operands of shapes {left.shape} and {right.shape}", "operands of one size")
    hint, net.hint = net.hint, ""
    names = [net.tensor(side) for side in sides]
    net.hint = hint
    return net.emit(op, names)


@dataclass(frozen=True)
class ErfGate(Part):
    """factor * (erf(tensor / sqrt(2)) + offset): the half of a GELU that older exporters spell out."""

    tensor: View
    factor: float = 1.0
    offset: float = 0.0


def erf(net: Importer, args: list[Any], attrs: Any) -> Value:
    node = net.nodes.get(args[0].source) if isinstance(args[0], View) else None
    if node is not None and node.op == "affine" and not np.any(node.weights["shift"]):
        source = node.inputs[0]
        if np.allclose(node.weights["scale"], 0.5**0.5, atol=1e-6):
            return ErfGate(views.whole(source, *net.sizes[source]))
    raise UnsupportedError("outside of a GELU", "GELU")


def _gelu(net: Importer, gate: ErfGate, value: Any) -> Value:
    """Value * gate where value is a multiple of the gate's tensor."""
    if isinstance(value, View) and gate.offset == 1.0:
        source, node = net.tensor(value), net.nodes.get(value.source)
        scale: F32 | float = 1.0
        if (
            source != gate.tensor.source
            and node is not None
            and node.op == "affine"
            and not np.any(node.weights["shift"])
        ):
            source, scale = node.inputs[0], node.weights["scale"]
        if source == gate.tensor.source:
            gelu = net.emit("activate", (source,), ActivateAttrs(Activation.GELU))
            return affine(net, gelu, scale * 2.0 * gate.factor, 0.0)
    raise UnsupportedError("a product with erf that is no GELU", "GELU")


def multiply(net: Importer, args: list[Any], attrs: Any) -> Value:
    for gate, value in (args, args[::-1]):
        if isinstance(gate, ErfGate):
            constant = as_array(value)
            if constant is None:
                return _gelu(net, gate, value)
            if constant.size == 1:
                return replace(gate, factor=gate.factor * float(constant.reshape(-1)[0]))
    a, b = as_array(args[0]), as_array(args[1])
    if a is not None and b is not None:
        return np.asarray(a * b)
    if a is None and b is None:
        return _pair(net, "mul", args[0], args[1])
    constant, value = (b, args[0]) if a is None else (a, args[1])
    assert constant is not None
    value = _grow(net, value, constant)
    return affine(net, value, _vector(constant, net.channels(value)), 0.0)


def divide(net: Importer, args: list[Any], attrs: Any) -> Value:
    constant = as_array(args[1])
    if constant is None:
        raise UnsupportedError("division by a tensor", "a product with a gate")
    if np.any(constant == 0):
        raise UnsupportedError("division by zero")
    return multiply(net, [args[0], 1.0 / constant.astype(np.float64)], attrs)


def negative(net: Importer, args: list[Any], attrs: Any) -> Value:
    return multiply(net, [args[0], -1.0], attrs)


def zeros_like(net: Importer, args: list[Any], attrs: Any) -> Value:
    return np.zeros(1, np.float32)


def batch_norm(net: Importer, args: list[Any], attrs: Any) -> Value:
    if attrs.training or attrs.axis != 1:
        raise UnsupportedError("in training mode, or not over channels", "the model in evaluation mode")
    gamma, beta, mean, variance = (np.asarray(v, np.float64) for v in args[1:5])
    scale = gamma / np.sqrt(variance + attrs.epsilon)
    return (affine(net, args[0], scale, beta - mean * scale), None, None)
