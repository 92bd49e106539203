"""Relax operators of arithmetic: with constants, between tensors, and what LayerNorm and GELU are spelled with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tvmsr.frontend import linear, views
from tvmsr.frontend.importer import Importer, Part, UnsupportedError, Value, as_array
from tvmsr.frontend.relax_statistics import Unfinished, root
from tvmsr.frontend.views import View
from tvmsr.graph.model import F32, ActivateAttrs, Activation, LayerNormAttrs, Node, Statistic, StatisticAttrs

Array = NDArray[Any]


def vector(net: Importer, constant: Any, value: View) -> F32:
    """A constant that broadcasts over a view, as one value per channel of the tensor at its place."""
    constant = _flat(np.asarray(constant))
    if constant.size == 1:
        count = net.channels(value) if net.is_tensor(value) else net.size(value.source)[0]
        return np.full(count, constant.reshape(-1)[0], np.float32)
    if net.is_tensor(value):
        return _of_channels(constant, net.channels(value))
    where = views.positions(value, net.size(value.source)[0])
    shape = (1,) * (len(value.axes) - constant.ndim) + constant.shape
    fits = len(shape) == len(value.axes) and all(
        n == 1 or (n == size and all(atom.kind == views.CHANNEL for atom in axis))
        for n, size, axis in zip(shape, value.shape, value.axes, strict=True)
    )
    if where is None or not fits:
        raise UnsupportedError(f"a constant of shape {constant.shape} beside {value.shape}", "one value per channel")
    full = np.broadcast_to(constant.reshape(shape), tuple(_channel_extent(axis) for axis in value.axes))
    return np.asarray([full[index] for index in where], np.float32)


def _channel_extent(axis: views.Axis) -> int:
    return int(np.prod([atom.size for atom in axis if atom.kind == views.CHANNEL], dtype=int))


def _of_channels(value: Array, channels: int) -> F32:
    shape = (1,) * (4 - value.ndim) + value.shape
    if value.ndim > 4 or shape[0] != 1 or shape[2:] != (1, 1) or shape[1] not in (1, channels):
        raise UnsupportedError(f"a constant of shape {value.shape} beside {channels} channels", "one value per channel")
    return np.broadcast_to(value.reshape(-1), (channels,)).astype(np.float32)


def _flat(value: Array) -> Array:
    """A constant without the dimensions along which it repeats: one that was expanded to the picture's size."""
    for axis, size in enumerate(value.shape):
        if size > 1 and (value.strides[axis] == 0 or np.all(value == value.take([0], axis))):
            value = value.take([0], axis)
    return value


def affine(net: Importer, value: View, scale: Any, shift: Any) -> View:
    """Value * scale + shift, constants that broadcast over it."""
    place = net.place(value)
    count = net.size(place.tensor)[0]
    vectors = {"scale": np.full(count, scale, np.float32), "shift": np.full(count, shift, np.float32)}
    return place.show(net.emit("affine", (place.tensor,), None, vectors))


def _grow(net: Importer, value: View, constant: Array) -> View:
    """A one-channel picture beside a constant per channel is repeated first."""
    size = constant.shape[-3] if constant.ndim >= 3 else 1
    if len(value.axes) == 4 and net.is_tensor(value) and net.channels(value) == 1 and size > 1:
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
        return affine(net, left, 1.0, sign * vector(net, b, left))
    if a is not None:
        right = _grow(net, right, a)
        return affine(net, right, sign, vector(net, a, right))
    if sign < 0:
        hint, net.hint = net.hint, ""
        right = affine(net, right, -1.0, 0.0)
        net.hint = hint
    return pair(net, "add", left, right)


def pair(net: Importer, op: str, left: Any, right: Any) -> View:
    """A node of two tensors, one of which may be broadcast over the other."""
    for side in (left, right):
        if not isinstance(side, View):
            raise UnsupportedError(f"{side.words if isinstance(side, Part) else 'several values'} beside a tensor")
    try:
        shape = np.broadcast_shapes(left.shape, right.shape)
    except ValueError:
        raise UnsupportedError(f"operands of shapes {left.shape} and {right.shape}", "operands of one size") from None
    sides = [views.compact(side) for side in (left, right)]
    frame = next((side for side in (left, right) if len(side.axes) == len(shape) and not net.is_tensor(side)), None)
    if frame is None and len(shape) == 4:
        return _fitted(net, _combined(net, op, sides), shape)
    frames = [side for side in sides if len(side.axes) == len(shape) and side.shape == shape]
    if not frames:
        raise UnsupportedError(f"operands of shapes {left.shape} and {right.shape}", "operands of one size")
    pulled = [net.whole(side.source) if side == frames[0] else views.pulled_back(side, frames[0]) for side in sides]
    return View(_combined(net, op, pulled).source, frames[0].axes)


def _fitted(net: Importer, made: View, shape: tuple[int, ...]) -> View:
    return made if made.shape == shape else views.broadcast(made, shape)


def _combined(net: Importer, op: str, sides: list[View]) -> View:
    """The node of two four-dimensional views; the 1x1 map, which may be either, comes second."""
    axes = [((),) * (4 - len(side.axes)) + side.axes for side in sides]
    sides = [View(side.source, content) for side, content in zip(sides, axes, strict=True)]
    count = max(net.channels(side) for side in sides)
    sides = [views.broadcast(v, (1, count, *v.shape[2:])) if net.channels(v) == 1 else v for v in sides]
    hint, net.hint = net.hint, ""
    names = [net.tensor(side) for side in sides]
    net.hint = hint
    flat = [net.types[name].is_one_pixel for name in names]
    sizes = {net.size(name) for name, one in zip(names, flat, strict=True) if not one}
    if len(sizes) > 1:
        raise UnsupportedError(f"operands of shapes {sides[0].shape} and {sides[1].shape}", "operands of one size")
    if flat == [True, False]:
        names.reverse()
    if op == "mul" and names[0] == names[1]:
        return net.emit("activate", names[:1], ActivateAttrs(Activation.SQUARE))
    return net.emit(op, names)


@dataclass(frozen=True)
class ErfGate(Part):
    """factor * (erf(tensor / sqrt(2)) + offset): the half of a GELU that older exporters spell out."""

    tensor: str
    factor: float = 1.0
    offset: float = 0.0
    words: ClassVar[str] = "erf"


@dataclass(frozen=True)
class Reciprocal(Part):
    """1 / value: only a product that is a layer norm may read it."""

    value: View
    words: ClassVar[str] = "a reciprocal"


def erf(net: Importer, args: list[Any], attrs: Any) -> Value:
    node = net.nodes.get(args[0].source) if isinstance(args[0], View) else None
    plain = node is not None and node.op == "affine" and not np.any(node.weights["shift"])
    if node is not None and plain and np.allclose(node.weights["scale"], 0.5**0.5, atol=1e-6):
        return ErfGate(node.inputs[0])
    raise UnsupportedError("outside of a GELU", "GELU")


def _gelu(net: Importer, gate: ErfGate, value: Any) -> Value:
    """Value * gate where value is a multiple of the gate's tensor."""
    if isinstance(value, View) and gate.offset == 1.0:
        place = net.place(value)
        source, node = place.tensor, net.nodes.get(place.tensor)
        scale: F32 | float = 1.0
        if source != gate.tensor and node is not None and node.op == "affine" and not np.any(node.weights["shift"]):
            source, scale = node.inputs[0], node.weights["scale"]
        if source == gate.tensor:
            gelu = place.show(net.emit("activate", (source,), ActivateAttrs(Activation.GELU)))
            return affine(net, gelu, scale * 2.0 * gate.factor, 0.0)
    raise UnsupportedError("a product with erf that is no GELU", "GELU")


def _spelled(net: Importer, part: Any, value: Any) -> Value | None:
    """A product that ends a spelling, or goes on with it; None for other ones."""
    constant = as_array(value)
    factor = float(constant.reshape(-1)[0]) if constant is not None and constant.size == 1 else None
    if isinstance(part, ErfGate) and constant is None:
        return _gelu(net, part, value)
    if isinstance(part, ErfGate) and factor is not None:
        return replace(part, factor=part.factor * factor)
    if isinstance(part, Unfinished) and factor is not None:
        return part.scaled(net, factor)
    if isinstance(part, Reciprocal) and isinstance(value, View):
        return _quotient(net, value, part.value)
    return None


def multiply(net: Importer, args: list[Any], attrs: Any) -> Value:
    for part, value in (args, args[::-1]):
        made = _spelled(net, part, value)
        if made is not None:
            return made
    a, b = as_array(args[0]), as_array(args[1])
    if a is not None and b is not None:
        return np.asarray(a * b)
    if a is None and b is None:
        return pair(net, "mul", args[0], args[1])
    constant, value = (b, args[0]) if a is None else (a, args[1])
    assert constant is not None
    value = _grow(net, value, constant)
    return _scaled(net, value, vector(net, constant, value))


def _scaled(net: Importer, value: View, scale: F32) -> View:
    """Value * scale; variances times N and divided by N - 1 for the picture's N pixels are those without bias."""
    made = affine(net, value, scale, 0.0)
    node = net.nodes[made.source]
    total, source = node.weights["scale"].astype(np.float64), net.nodes.get(node.inputs[0])
    if source is not None and source.op == "affine" and not np.any(source.weights["shift"]):
        total, source = total * source.weights["scale"], net.nodes.get(source.inputs[0])
    if source is None or source.op != "statistic" or not isinstance(source.attrs, StatisticAttrs):
        return made
    _, height, width = net.size(source.inputs[0])
    pixels = height * width
    if source.attrs.kind is Statistic.VARIANCE and np.allclose(total, pixels / (pixels - 1), rtol=0.2 / pixels, atol=0):
        net.by_size = True
        made = View(net.emit("statistic", source.inputs, replace(source.attrs, unbiased=True)).source, made.axes)
    return made


def divide(net: Importer, args: list[Any], attrs: Any) -> Value:
    constant, one = as_array(args[1]), as_array(args[0])
    if constant is not None and np.any(constant == 0):
        raise UnsupportedError("division by zero")
    if constant is not None and one is not None:
        return np.asarray(one / constant)
    if constant is not None:
        return multiply(net, [args[0], 1.0 / constant.astype(np.float64)], attrs)
    if one is not None and np.all(one == 1):
        return Reciprocal(args[1])
    return _quotient(net, args[0], args[1])


def reciprocal(net: Importer, args: list[Any], attrs: Any) -> Value:
    return Reciprocal(args[0])


def rsqrt(net: Importer, args: list[Any], attrs: Any) -> Value:
    return Reciprocal(net.pointwise(args[0], "activate", ActivateAttrs(Activation.SQRT)))


def power(net: Importer, args: list[Any], attrs: Any) -> Value:
    exponent = as_array(args[1])
    if exponent is None or exponent.size != 1 or not isinstance(args[0], View):
        raise UnsupportedError("with an exponent that is no constant", "the square, or the square root")
    value = float(exponent.reshape(-1)[0])
    if value == -0.5:
        return rsqrt(net, args, attrs)
    if value == 1:
        return args[0]
    if value == -1:
        return Reciprocal(args[0])
    if value == 3:
        return pair(net, "mul", net.pointwise(args[0], "activate", ActivateAttrs(Activation.SQUARE)), args[0])
    if value == 0.5:
        return root(net, args, attrs)
    if value != 2:
        raise UnsupportedError(f"with exponent {value:g}", "the square, or the square root")
    return net.pointwise(args[0], "activate", ActivateAttrs(Activation.SQUARE))


def _quotient(net: Importer, value: Any, divisor: Any) -> View:
    """Value / divisor, where that is a layer norm over the channels of each pixel."""
    if isinstance(value, View) and isinstance(divisor, View):
        found = _layer_norm(net, value.source, divisor.source)
        if found is not None:
            source, epsilon = found
            count = net.size(source)[0]
            weights = {"gamma": np.ones(count, np.float32), "beta": np.zeros(count, np.float32)}
            made = net.emit("layer_norm", (source,), LayerNormAttrs(epsilon), weights)
            return View(made.source, value.axes) if not net.is_tensor(value) else made
    raise UnsupportedError("division by a tensor", "a product with a gate, or layer norm over channels")


def _layer_norm(net: Importer, value: str, divisor: str) -> tuple[str, float] | None:
    """The x and epsilon of (x - mean) / sqrt(mean((x - mean)^2) + epsilon), means over channels."""
    source = _centred(net, value)
    root = _through(net, divisor, Activation.SQRT)
    shifted = net.nodes.get(root) if root else None
    if source is None or shifted is None or shifted.op != "affine" or not np.all(shifted.weights["scale"] == 1):
        return None
    mean = _channel_mean(net, shifted.inputs[0])
    squared = _through(net, mean, Activation.SQUARE) if mean else None
    if squared is None or _centred(net, squared) != source:
        return None
    return source, float(shifted.weights["shift"][0])


def _through(net: Importer, name: str | None, kind: Activation) -> str | None:
    node = net.nodes.get(name or "")
    fits = node is not None and isinstance(node.attrs, ActivateAttrs) and node.attrs.activation is kind
    return node.inputs[0] if node is not None and fits else None


def _centred(net: Importer, name: str) -> str | None:
    """The x of x - mean(x), the mean over the channels of each pixel."""
    node = net.nodes.get(name)
    if node is None or node.op != "add":
        return None
    for value, minus in (node.inputs, node.inputs[::-1]):
        inner: Node | None = net.nodes.get(minus)
        if inner is not None and inner.op == "gather":
            inner = net.nodes.get(inner.inputs[0])
        negated = inner is not None and inner.op == "affine" and np.all(inner.weights["scale"] == -1)
        if inner is not None and negated and _channel_mean(net, inner.inputs[0]) == value:
            return value
    return None


def _channel_mean(net: Importer, name: str) -> str | None:
    """The x of a mean over the channels of each pixel."""
    node = net.nodes.get(name)
    if node is None or node.op != "conv" or node.weights["weight"].shape[3] != 1:
        return None
    attrs, weights = linear.channel_mean(net.size(node.inputs[0])[0])
    fits = node.attrs == attrs and np.array_equal(node.weights["weight"], weights["weight"])
    return node.inputs[0] if fits and not np.any(node.weights["bias"]) else None


def negative(net: Importer, args: list[Any], attrs: Any) -> Value:
    return multiply(net, [args[0], -1.0], attrs)


def zeros_like(net: Importer, args: list[Any], attrs: Any) -> Value:
    return np.zeros(1, np.float32)
