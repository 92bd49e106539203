"""Relax operators that only move values: concat, slices, shuffles, repeats, reshapes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from tvmsr.frontend import views
from tvmsr.frontend.relax_arithmetic import as_array
from tvmsr.frontend.relax_import import Importer, UnsupportedError, Value
from tvmsr.frontend.views import View
from tvmsr.graph.model import GatherAttrs


def concat(net: Importer, args: list[Any], attrs: Any) -> Value:
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


def split(net: Importer, args: list[Any], attrs: Any) -> Value:
    if attrs.axis not in (1, -3):
        raise UnsupportedError(f"along dimension {attrs.axis}", "split along channels")
    count, sections = net.channels(args[0]), attrs.indices_or_sections
    if hasattr(sections, "value") or isinstance(sections, int):
        parts = int(sections)
        edges = [count * i // parts for i in range(parts + 1)]
    else:
        edges = [0, *(int(v) for v in sections), count]
    net.hint = ""
    return tuple(_gather(net, args[0], list(range(a, b))) for a, b in pairwise(edges))


def strided_slice(net: Importer, args: list[Any], attrs: Any) -> Value:
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


def take(net: Importer, args: list[Any], attrs: Any) -> Value:
    index = as_array(args[1])
    if index is None or attrs.axis not in (1, -3) or index.ndim > 1 or not isinstance(args[0], View):
        raise UnsupportedError("anything but constant channels", "slices of channels")
    if index.ndim == 0:
        raise UnsupportedError("drops the channel dimension", "a slice of one channel")
    count = net.channels(args[0])
    return _gather(net, args[0], [int(i) % count for i in index])


def pixel_shuffle(net: Importer, args: list[Any], attrs: Any) -> Value:
    block = int(attrs.upscale_factor)
    batch, channels, height, width = args[0].shape
    split = views.reshape(args[0], (batch, channels // block**2, block, block, height, width))
    moved = views.permute(split, (0, 1, 4, 2, 5, 3))
    return _named(net, views.reshape(moved, (batch, channels // block**2, height * block, width * block)))


def _named(net: Importer, view: View) -> View:
    """The tensor of a view that is four-dimensional again."""
    return views.whole(name := net.tensor(view), *net.sizes[name])


def reshape(net: Importer, args: list[Any], attrs: Any) -> Value:
    if isinstance(args[0], np.ndarray):
        return args[0].reshape(args[1])
    return views.reshape(args[0], args[1])


def permute_dims(net: Importer, args: list[Any], attrs: Any) -> Value:
    count = args[0].ndim if isinstance(args[0], np.ndarray) else len(args[0].axes)
    order = tuple(int(v) for v in attrs.axes) if attrs.axes is not None else tuple(reversed(range(count)))
    if isinstance(args[0], np.ndarray):
        return args[0].transpose(order)
    return views.permute(args[0], order)


def expand_dims(net: Importer, args: list[Any], attrs: Any) -> Value:
    shape, count = list(args[0].shape), len(args[0].shape) + len(attrs.axis)
    for axis in sorted(int(v) % count for v in attrs.axis):
        shape.insert(axis, 1)
    return reshape(net, [args[0], tuple(shape)], attrs)


def squeeze(net: Importer, args: list[Any], attrs: Any) -> Value:
    shape = args[0].shape
    axes = (
        [i for i, n in enumerate(shape) if n == 1] if attrs.axis is None else [int(v) % len(shape) for v in attrs.axis]
    )
    return reshape(net, [args[0], tuple(n for i, n in enumerate(shape) if i not in axes)], attrs)


def broadcast_to(net: Importer, args: list[Any], attrs: Any) -> Value:
    if isinstance(args[0], np.ndarray):
        return np.broadcast_to(args[0], args[1])
    return views.broadcast(args[0], args[1])


def repeat_channels(net: Importer, args: list[Any], attrs: Any) -> Value:
    if isinstance(args[0], np.ndarray):
        return np.repeat(args[0], int(attrs.repeats), int(attrs.axis))
    return views.repeat(args[0], int(attrs.axis), int(attrs.repeats))


def tile_channels(net: Importer, args: list[Any], attrs: Any) -> Value:
    times = tuple(int(v) for v in attrs.repeats)
    if isinstance(args[0], np.ndarray):
        return np.tile(args[0], times)
    return views.tile(args[0], times)


def resize2d(net: Importer, args: list[Any], attrs: Any) -> Value:
    height, width = args[0].shape[2:]
    tall, wide = args[1]
    block = tall // height
    whole = block >= 1 and (tall, wide) == (height * block, width * block)
    plain = attrs.method == "nearest_neighbor" and attrs.layout == "NCHW"
    if not plain or not whole or not _repeats(attrs.coordinate_transformation_mode, attrs.rounding_method, block):
        raise UnsupportedError(
            f"{attrs.method} resize by {tall / height:g} x {wide / width:g}",
            "nearest by a whole number, or pixel shuffle",
        )
    view = args[0]
    if block > 1:
        axes = (*view.axes[:2], *((*axis, views.Atom(views.CHANNEL, block)) for axis in view.axes[2:]))
        view = View(view.source, axes)
    return _named(net, view)


def _repeats(mode: str, rounding: str, block: int) -> bool:
    """True where this nearest-neighbour rule repeats every pixel `block` times, no more and no less."""
    fine = np.arange(4 * block)
    positions = {
        "half_pixel": (fine + 0.5) / block - 0.5,
        "pytorch_half_pixel": (fine + 0.5) / block - 0.5,
        "tf_half_pixel_for_nn": (fine + 0.5) / block,
        "asymmetric": fine / block,
    }
    rules: dict[str, Callable[[Any], Any]] = {
        "": np.round,
        "round": np.round,
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if mode not in positions or rounding not in rules:
        return False
    return bool(np.all(np.clip(rules[rounding](positions[mode]), 0, 3) == fine // block))


def same(net: Importer, args: list[Any], attrs: Any) -> Value:
    return args[0]
