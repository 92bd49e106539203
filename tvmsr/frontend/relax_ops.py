"""What each Relax operator becomes in the graph: one small handler each, and one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.frontend import views
from tvmsr.frontend.relax_import import Importer, Mask, UnsupportedError, Value
from tvmsr.frontend.views import View
from tvmsr.graph.model import Activation, ActivateAttrs, ConvAttrs, F32, GatherAttrs

Handler = Callable[[Importer, list[Any], Any], Value]
Array = NDArray[Any]


def _conv2d(net: Importer, args: list[Any], attrs: Any) -> Value:
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
    shape = (1,) * (4 - value.ndim) + value.shape
    if value.ndim > 4 or shape[0] != 1 or shape[2:] != (1, 1) or shape[1] not in (1, channels):
        raise UnsupportedError(f"a constant of shape {value.shape} beside {channels} channels", "one value per channel")
    return np.broadcast_to(value.reshape(-1), (channels,)).astype(np.float32)


def _affine(net: Importer, value: View, scale: Any, shift: Any) -> View:
    source = net.tensor(value)
    channels = net.sizes[source][0]
    vectors = {"scale": np.full(channels, scale, np.float32), "shift": np.full(channels, shift, np.float32)}
    return net.emit("affine", (source,), None, vectors)


def _as_array(value: Any) -> Array | None:
    if isinstance(value, np.ndarray | int | float):
        return np.asarray(value)
    return None


def _grow(net: Importer, value: View, constant: Array) -> View:
    """A one-channel picture beside a constant per channel is repeated first."""
    size = constant.shape[-3] if constant.ndim >= 3 else 1
    if net.channels(value) == 1 and size > 1:
        return views.broadcast(value, (1, size, *value.shape[2:]))
    return value


def _add(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _sum(net, args[0], args[1], 1.0)


def _subtract(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _sum(net, args[0], args[1], -1.0)


def _sum(net: Importer, left: Any, right: Any, sign: float) -> Value:
    a, b = _as_array(left), _as_array(right)
    if a is not None and b is not None:
        return np.asarray(a + sign * b)
    if b is not None:
        left = _grow(net, left, b)
        return _affine(net, left, 1.0, sign * _vector(b, net.channels(left)))
    if a is not None:
        right = _grow(net, right, a)
        return _affine(net, right, sign, _vector(a, net.channels(right)))
    if sign < 0:
        hint, net.hint = net.hint, ""
        right = _affine(net, right, -1.0, 0.0)
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


def _multiply(net: Importer, args: list[Any], attrs: Any) -> Value:
    a, b = _as_array(args[0]), _as_array(args[1])
    if a is not None and b is not None:
        return np.asarray(a * b)
    if a is None and b is None:
        return _pair(net, "mul", args[0], args[1])
    constant, value = (b, args[0]) if a is None else (a, args[1])
    assert constant is not None
    value = _grow(net, value, constant)
    return _affine(net, value, _vector(constant, net.channels(value)), 0.0)


def _divide(net: Importer, args: list[Any], attrs: Any) -> Value:
    constant = _as_array(args[1])
    if constant is None:
        raise UnsupportedError("division by a tensor", "a product with a gate")
    if np.any(constant == 0):
        raise UnsupportedError("division by zero")
    return _multiply(net, [args[0], 1.0 / constant.astype(np.float64)], attrs)


def _negative(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _multiply(net, [args[0], -1.0], attrs)


def _activate(kind: Activation) -> Handler:
    def handler(net: Importer, args: list[Any], attrs: Any) -> Value:
        return net.emit("activate", (net.tensor(args[0]),), ActivateAttrs(kind))

    return handler


def _clip_to(net: Importer, value: View, low: float, high: float) -> View:
    return net.emit("activate", (net.tensor(value),), ActivateAttrs(Activation.CLIP, float(low), float(high)))


def _clip(net: Importer, args: list[Any], attrs: Any) -> Value:
    low, high = (float(np.asarray(v)) for v in args[1:3])
    return _clip_to(net, args[0], low, high)


def _bound(net: Importer, args: list[Any], *, lower: bool) -> Value:
    a, b = _as_array(args[0]), _as_array(args[1])
    constant, value = (b, args[0]) if a is None else (a, args[1])
    if constant is None or not isinstance(value, View) or np.ptp(constant) != 0:
        raise UnsupportedError("of two tensors", "a clip with constant bounds")
    bound = float(constant.reshape(-1)[0])
    return _clip_to(net, value, bound if lower else -np.inf, np.inf if lower else bound)


def _maximum(net: Importer, args: list[Any], attrs: Any) -> Value:
    leaky = _leaky_slope(net, args)
    return _bound(net, args, lower=True) if leaky is None else _leaky(net, *leaky)


def _minimum(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _bound(net, args, lower=False)


def _leaky(net: Importer, value: View, slope: Any) -> View:
    channels = net.channels(value)
    slope = np.broadcast_to(np.asarray(slope, np.float32).reshape(-1), (channels,)).copy()
    return net.emit("activate", (net.tensor(value),), ActivateAttrs(Activation.LEAKY), {"slope": slope})


def _leaky_slope(net: Importer, args: list[Any]) -> tuple[View, F32] | None:
    """The x and s of a pair x, s * x (s a constant per channel); None where it is no such pair."""
    for value, scaled in (args, args[::-1]):
        if isinstance(value, View) and isinstance(scaled, View):
            node = net.nodes.get(scaled.source)
            if node is not None and node.op == "affine" and node.inputs == (net.tensor(value),):
                if not np.any(node.weights["shift"]) and np.all(node.weights["scale"] <= 1):
                    return value, node.weights["scale"]
    return None


def _leakyrelu(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _leaky(net, args[0], attrs.alpha)


def _prelu(net: Importer, args: list[Any], attrs: Any) -> Value:
    if not isinstance(args[1], np.ndarray) or args[1].size not in (1, net.channels(args[0])):
        raise UnsupportedError("slopes that are not one per channel", "PReLU with one slope, or one per channel")
    return _leaky(net, args[0], args[1])


def _greater(net: Importer, args: list[Any], attrs: Any) -> Value:
    zero = _as_array(args[1])
    if not isinstance(args[0], View) or zero is None or np.any(zero != 0):
        raise UnsupportedError("comparison with anything but zero", "ReLU, PReLU or clip")
    return Mask(args[0])


def _where(net: Importer, args: list[Any], attrs: Any) -> Value:
    mask, kept, other = args
    pair = _leaky_slope(net, [kept, other]) if isinstance(mask, Mask) and mask.tensor == kept else None
    if pair is None or pair[0] != kept:
        raise UnsupportedError("a choice between two tensors", "ReLU, PReLU or LeakyReLU")
    return _leaky(net, *pair)


def _batch_norm(net: Importer, args: list[Any], attrs: Any) -> Value:
    if attrs.training or attrs.axis != 1:
        raise UnsupportedError("in training mode, or not over channels", "the model in evaluation mode")
    gamma, beta, mean, variance = (np.asarray(v, np.float64) for v in args[1:5])
    scale = gamma / np.sqrt(variance + attrs.epsilon)
    return (_affine(net, args[0], scale, beta - mean * scale), None, None)


def _concat(net: Importer, args: list[Any], attrs: Any) -> Value:
    parts = list(args[0])
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts, axis=attrs.axis)
    if attrs.axis not in (1, -3):
        raise UnsupportedError(f"along dimension {attrs.axis}", "concat along channels")
    hint, net.hint = net.hint, ""
    names = [net.tensor(part) for part in parts]
    net.hint = hint
    return net.emit("concat", names, channels=sum(net.sizes[name][0] for name in names))


def _gather(net: Importer, value: View, channels: list[int]) -> View:
    return net.emit("gather", (net.tensor(value),), GatherAttrs(tuple(channels)), channels=len(channels))


def _split(net: Importer, args: list[Any], attrs: Any) -> Value:
    if attrs.axis not in (1, -3):
        raise UnsupportedError(f"along dimension {attrs.axis}", "split along channels")
    count, sections = net.channels(args[0]), attrs.indices_or_sections
    if hasattr(sections, "value") or isinstance(sections, int):
        parts = int(sections)
        edges = [count * i // parts for i in range(parts + 1)]
    else:
        edges = [0, *(int(v) for v in sections), count]
    net.hint = ""
    return tuple(_gather(net, args[0], list(range(a, b))) for a, b in zip(edges[:-1], edges[1:], strict=True))


def _strided_slice(net: Importer, args: list[Any], attrs: Any) -> Value:
    value, axes, begin, end = args[:4]
    strides = args[4] if len(args) > 4 else (1,) * len(axes)
    if isinstance(value, np.ndarray):
        index = [slice(None)] * value.ndim
        for axis, a, b, step in zip(axes, begin, end, strides, strict=True):
            index[axis] = slice(a, b, step)
        return value[tuple(index)]
    channels = list(range(net.channels(value)))
    for axis, a, b, step in zip(axes, begin, end, strides, strict=True):
        if axis % 4 == 1:
            channels = channels[slice(a, b, step)]
        elif len(range(value.shape[axis])[slice(a, b, step)]) != value.shape[axis] or step != 1:
            raise UnsupportedError(f"a crop along dimension {axis}", "slices of channels only")
    return _gather(net, value, channels)


def _take(net: Importer, args: list[Any], attrs: Any) -> Value:
    index = _as_array(args[1])
    if index is None or attrs.axis not in (1, -3) or index.ndim > 1 or not isinstance(args[0], View):
        raise UnsupportedError("anything but constant channels", "slices of channels")
    if index.ndim == 0:
        raise UnsupportedError("drops the channel dimension", "a slice of one channel")
    count = net.channels(args[0])
    return _gather(net, args[0], [int(i) % count for i in index])


def _pixel_shuffle(net: Importer, args: list[Any], attrs: Any) -> Value:
    block = int(attrs.upscale_factor)
    batch, channels, height, width = args[0].shape
    split = views.reshape(args[0], (batch, channels // block**2, block, block, height, width))
    moved = views.permute(split, (0, 1, 4, 2, 5, 3))
    return _named(net, views.reshape(moved, (batch, channels // block**2, height * block, width * block)))


def _named(net: Importer, view: View) -> View:
    """The tensor of a view that is four-dimensional again."""
    return views.whole(name := net.tensor(view), *net.sizes[name])


def _reshape(net: Importer, args: list[Any], attrs: Any) -> Value:
    if isinstance(args[0], np.ndarray):
        return args[0].reshape(args[1])
    return views.reshape(args[0], args[1])


def _permute_dims(net: Importer, args: list[Any], attrs: Any) -> Value:
    count = args[0].ndim if isinstance(args[0], np.ndarray) else len(args[0].axes)
    order = tuple(int(v) for v in attrs.axes) if attrs.axes is not None else tuple(reversed(range(count)))
    if isinstance(args[0], np.ndarray):
        return args[0].transpose(order)
    return views.permute(args[0], order)


def _expand_dims(net: Importer, args: list[Any], attrs: Any) -> Value:
    shape, count = list(args[0].shape), len(args[0].shape) + len(attrs.axis)
    for axis in sorted(int(v) % count for v in attrs.axis):
        shape.insert(axis, 1)
    return _reshape(net, [args[0], tuple(shape)], attrs)


def _squeeze(net: Importer, args: list[Any], attrs: Any) -> Value:
    shape = args[0].shape
    axes = [i for i, n in enumerate(shape) if n == 1] if attrs.axis is None else [int(v) % len(shape) for v in attrs.axis]
    return _reshape(net, [args[0], tuple(n for i, n in enumerate(shape) if i not in axes)], attrs)


def _broadcast_to(net: Importer, args: list[Any], attrs: Any) -> Value:
    if isinstance(args[0], np.ndarray):
        return np.broadcast_to(args[0], args[1])
    return views.broadcast(args[0], args[1])


def _repeat(net: Importer, args: list[Any], attrs: Any) -> Value:
    if isinstance(args[0], np.ndarray):
        return np.repeat(args[0], int(attrs.repeats), int(attrs.axis))
    return views.repeat(args[0], int(attrs.axis), int(attrs.repeats))


def _tile(net: Importer, args: list[Any], attrs: Any) -> Value:
    times = tuple(int(v) for v in attrs.repeats)
    if isinstance(args[0], np.ndarray):
        return np.tile(args[0], times)
    return views.tile(args[0], times)


def _resize2d(net: Importer, args: list[Any], attrs: Any) -> Value:
    height, width = args[0].shape[2:]
    tall, wide = args[1]
    block = tall // height
    if attrs.method != "nearest_neighbor" or attrs.layout != "NCHW" or (tall, wide) != (height * block, width * block):
        raise UnsupportedError(
            f"{attrs.method} resize by {tall / height:g} x {wide / width:g}", "nearest by a whole number, or pixel shuffle"
        )
    view = args[0]
    if block > 1:
        axes = (*view.axes[:2], *(axis + (views.Atom(views.CHANNEL, block),) for axis in view.axes[2:]))
        view = View(view.source, axes)
    return _named(net, view)


def _same(net: Importer, args: list[Any], attrs: Any) -> Value:
    return args[0]


HANDLERS: Mapping[str, Handler] = {
    "relax.nn.conv2d": _conv2d,
    "relax.nn.batch_norm": _batch_norm,
    "relax.add": _add,
    "relax.subtract": _subtract,
    "relax.multiply": _multiply,
    "relax.divide": _divide,
    "relax.negative": _negative,
    "relax.maximum": _maximum,
    "relax.minimum": _minimum,
    "relax.clip": _clip,
    "relax.nn.relu": _activate(Activation.RELU),
    "relax.tanh": _activate(Activation.TANH),
    "relax.sigmoid": _activate(Activation.SIGMOID),
    "relax.nn.gelu": _activate(Activation.GELU),
    "relax.nn.silu": _activate(Activation.SILU),
    "relax.nn.relu6": lambda net, args, attrs: _clip_to(net, args[0], 0.0, 6.0),
    "relax.nn.leakyrelu": _leakyrelu,
    "relax.nn.prelu": _prelu,
    "relax.greater": _greater,
    "relax.greater_equal": _greater,
    "relax.where": _where,
    "relax.concat": _concat,
    "relax.split": _split,
    "relax.strided_slice": _strided_slice,
    "relax.take": _take,
    "relax.nn.pixel_shuffle": _pixel_shuffle,
    "relax.reshape": _reshape,
    "relax.permute_dims": _permute_dims,
    "relax.expand_dims": _expand_dims,
    "relax.squeeze": _squeeze,
    "relax.broadcast_to": _broadcast_to,
    "relax.repeat": _repeat,
    "relax.tile": _tile,
    "relax.image.resize2d": _resize2d,
    "relax.wrap_param": _same,
    "relax.astype": _same,
}

#: What could stand in place of the operators that SR networks use and that are not supported (yet).
INSTEAD: Mapping[str, str] = {
    "relax.nn.conv2d_transpose": "a convolution and a pixel shuffle",
    "relax.nn.conv1d": "a 2-d convolution",
    "relax.mean": "a network without channel attention",
    "relax.nn.avg_pool2d": "a strided convolution",
    "relax.nn.max_pool2d": "a strided convolution",
    "relax.nn.adaptive_avg_pool2d": "a network without channel attention",
    "relax.nn.softmax": "a network without self-attention",
    "relax.matmul": "a 1x1 convolution",
    "relax.nn.instance_norm": "batch norm",
    "relax.nn.layer_norm": "batch norm",
    "relax.nn.group_norm": "batch norm",
    "relax.nn.pad": "the padding of a convolution",
}
