"""Relax operators that only move values: concat, slices, shuffles, repeats, reshapes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from tvmsr.frontend import linear, views
from tvmsr.frontend.importer import Importer, Part, UnsupportedError, Value, as_array
from tvmsr.frontend.relax_linear import around, picture_axes, reframed
from tvmsr.frontend.relax_linear import pad as pad_by_pixels
from tvmsr.frontend.views import View
from tvmsr.graph.model import GatherAttrs

#: A crop beyond this is taken for one whose size depends on the picture's.
_LARGEST_CROP = 64


def concat(net: Importer, args: list[Any], attrs: Any) -> Value:
    parts = list(args[0])
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts, axis=attrs.axis)
    if not all(isinstance(part, View) for part in parts):
        raise UnsupportedError("of constants and tensors", "concat of tensors")
    axis, hint = int(attrs.axis) % len(parts[0].axes), net.hint
    net.hint = ""
    if len(parts) == 1:
        return parts[0]
    if all(net.is_tensor(part) for part in parts) and axis == 1:
        names = [net.tensor(part) for part in parts]
        net.hint = hint
        return net.emit("concat", names)
    names = [_along(net, part, axis, parts[0]) for part in parts]
    net.hint = hint
    made = net.emit("concat", names)
    return View(made.source, tuple(made.axes[1] if i == axis else old for i, old in enumerate(parts[0].axes)))


def _along(net: Importer, part: View, axis: int, first: View) -> str:
    """The tensor whose channels a part shows along a dimension, its other dimensions those of the first part."""
    order = views.channel_axis(part, axis, net.size(part.source)[0])
    others = [old for i, old in enumerate(part.axes) if i != axis]
    if order is None or others != [old for i, old in enumerate(first.axes) if i != axis]:
        raise UnsupportedError(f"along dimension {axis}", "concat along channels")
    return _ordered(net, part.source, order)


def _ordered(net: Importer, source: str, order: list[int]) -> str:
    if order == list(range(net.size(source)[0])):
        return source
    return net.emit("gather", (source,), GatherAttrs(tuple(order))).source


def pick(net: Importer, value: View, axis: int, indices: list[int]) -> View:
    """Some steps of a dimension that is channels."""
    if net.is_tensor(value) and axis == 1:
        return net.emit("gather", (net.tensor(value),), GatherAttrs(tuple(indices)))
    if indices == list(range(value.shape[axis])):
        return value
    found = views.picked(value, axis, indices)
    if found is None:
        raise UnsupportedError(f"along dimension {axis} of {value.shape}", "slices of channels, or of height and width")
    order, axes = found
    return View(_ordered(net, value.source, order), axes)


def split(net: Importer, args: list[Any], attrs: Any) -> Value:
    axis = int(attrs.axis) % len(args[0].shape)
    count, sections = args[0].shape[axis], attrs.indices_or_sections
    if hasattr(sections, "value") or isinstance(sections, int):
        size = -(-count // int(sections))
        edges = [min(size * i, count) for i in range(int(sections) + 1)]
    else:
        edges = [0, *(int(v) for v in sections), count]
    if isinstance(args[0], np.ndarray):
        return tuple(np.split(args[0], edges[1:-1], axis))
    net.hint = ""
    return tuple(pick(net, args[0], axis, list(range(a, b))) for a, b in pairwise(edges))


def strided_slice(net: Importer, args: list[Any], attrs: Any) -> Value:
    value, axes, begin, end = args[:4]
    done: dict[int, range] = {}
    if isinstance(value, Sliced):
        done = dict(value.kept)
        value = value.view
    strides = args[4] if len(args) > 4 else (1,) * len(axes)
    slices = {
        int(axis) % len(value.shape): slice(_number(a), _number(b), _number(step))
        for axis, a, b, step in zip(axes, begin, end, strides, strict=True)
    }
    if isinstance(value, np.ndarray):
        return value[tuple(slices.get(i, slice(None)) for i in range(value.ndim))]
    pixels = {
        axis: range(value.shape[axis])[part]
        for axis, part in slices.items()
        if range(value.shape[axis])[part] != range(value.shape[axis])
    }
    if set(done) & set(pixels):
        raise UnsupportedError("a slice of every so many pixels", "one slice")
    pixels |= done
    for axis in list(pixels):
        if all(atom.kind == views.CHANNEL for atom in value.axes[axis]):
            value = pick(net, value, axis, list(pixels.pop(axis)))
    return _cropped(net, value, pixels) if pixels else value


def pad(net: Importer, args: list[Any], attrs: Any) -> Value:
    net.pads_nothing = net.pads_nothing or not any(int(v) for v in attrs.pad_width)
    return pad_by_pixels(net, args, attrs)


def _number(value: Any) -> int:
    return int(np.asarray(value).reshape(-1)[0])


@dataclass(frozen=True)
class Sliced(Part):
    """Every so many rows of a picture, whose columns another slice has to pick in the same way (or the other way)."""

    view: View
    kept: tuple[tuple[int, range], ...]
    words: ClassVar[str] = "every so many rows or columns alone"


def _cropped(net: Importer, value: View, kept: dict[int, range]) -> Value:
    """Some of the rows and columns, every `step`-th of them."""
    net.by_size = True
    rows, columns = picture_axes(net, value)
    if any(axis not in (rows, columns) for axis in kept):
        raise UnsupportedError(f"along dimensions {sorted(kept)} of {value.shape}", "slices of channels, or of pixels")
    ranges = [kept.get(axis, range(value.shape[axis])) for axis in (rows, columns)]
    steps = {part.step for part in ranges}
    if len(kept) == 1 and max(steps) > 1:
        return Sliced(value, tuple(kept.items()))
    ends = [
        (part.start, value.shape[axis] - part.stop if part.step == 1 else 0)
        for part, axis in zip(ranges, (rows, columns), strict=True)
    ]
    exact = all(
        len(range(part.start, value.shape[axis], part.step)) == len(part) or part.step == 1
        for part, axis in zip(ranges, (rows, columns), strict=True)
    )
    if len(steps) > 1 or min(steps) < 1 or not exact:
        raise UnsupportedError("every so many pixels, differently in height and width", "one step for both")
    (top, bottom), (left, right) = ends
    if max(top, bottom, left, right) > _LARGEST_CROP:
        raise UnsupportedError("a crop that depends on the picture's size", "a crop by some pixels")
    padding = (-top, -left, -bottom, -right)
    source = net.whole(value.source) if not net.is_tensor(value) else value
    if steps == {1}:
        made = around(net, source, padding)
    else:
        name = net.tensor(source)
        made = net.emit("conv", (name,), *linear.every(net.size(name)[0], steps.pop(), padding))
    return made if net.is_tensor(value) else reframed(value, made)


def take(net: Importer, args: list[Any], attrs: Any) -> Value:
    value, index = args[0], as_array(args[1])
    if index is None or index.ndim > 1 or attrs.axis is None:
        raise UnsupportedError("anything but constant channels", "slices of channels")
    axis = int(attrs.axis) % len(value.shape)
    if isinstance(value, np.ndarray):
        return value.take(index.astype(int), axis)
    count = value.shape[axis]
    wanted = [int(i) % count for i in index.reshape(-1)]
    if all(atom.kind == views.CHANNEL for atom in value.axes[axis]):
        made = pick(net, value, axis, wanted) if count > 1 else value
    else:
        raise UnsupportedError(f"of pixels (dimension {axis})", "slices")
    if index.ndim:
        return made
    return reshape(net, [made, tuple(n for i, n in enumerate(made.shape) if i != axis)], None)


def pixel_shuffle(net: Importer, args: list[Any], attrs: Any) -> Value:
    block = int(attrs.upscale_factor)
    batch, channels, height, width = args[0].shape
    split = views.reshape(args[0], (batch, channels // block**2, block, block, height, width))
    moved = views.permute(split, (0, 1, 4, 2, 5, 3))
    return named(net, views.reshape(moved, (batch, channels // block**2, height * block, width * block)))


def pixel_unshuffle(net: Importer, args: list[Any], attrs: Any) -> Value:
    block = int(attrs.downscale_factor)
    batch, channels, height, width = args[0].shape
    split = views.reshape(args[0], (batch, channels, height // block, block, width // block, block))
    moved = views.permute(split, (0, 1, 3, 5, 2, 4))
    return named(net, views.reshape(moved, (batch, channels * block**2, height // block, width // block)))


def named(net: Importer, view: View) -> View:
    """The tensor of a view that is four-dimensional again."""
    return net.whole(net.tensor(view))


def reshape(net: Importer, args: list[Any], attrs: Any) -> Value:
    value, shape = args[:2]
    if isinstance(value, np.ndarray):
        return value.reshape(shape)
    wanted = tuple(int(n) for n in shape)
    if -1 in wanted:
        known = -int(np.prod(wanted))
        wanted = tuple(int(np.prod(value.shape)) // known if n == -1 else n for n in wanted)
    return views.reshape(value, wanted)


def flatten(net: Importer, args: list[Any], attrs: Any) -> Value:
    return reshape(net, [args[0], (args[0].shape[0], -1)], attrs)


def permute_dims(net: Importer, args: list[Any], attrs: Any) -> Value:
    count = len(args[0].shape)
    order = tuple(int(v) % count for v in attrs.axes) if attrs.axes is not None else tuple(reversed(range(count)))
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


def same(net: Importer, args: list[Any], attrs: Any) -> Value:
    return args[0]
