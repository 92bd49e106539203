"""Relax operators over windows of pixels and over the whole picture: pools and statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from tvmsr.frontend import linear, views
from tvmsr.frontend.importer import Importer, UnsupportedError, Value
from tvmsr.frontend.relax_linear import one, sides
from tvmsr.frontend.relax_statistics import GLOBAL, Unfinished, over, statistic, without
from tvmsr.frontend.views import View
from tvmsr.graph.model import ConvAttrs, PoolAttrs, Statistic, StatisticAttrs


def _window(attrs: Any) -> tuple[int, int]:
    if one("dilation", getattr(attrs, "dilation", (1, 1))) != 1 or getattr(attrs, "layout", "NCHW") != "NCHW":
        raise UnsupportedError("with dilation, or channels last", "a dense window")
    rows, columns = (int(v) for v in attrs.pool_size)
    return rows, columns


def max_pool2d(net: Importer, args: list[Any], attrs: Any) -> Value:
    name, kernel, padding = net.tensor(args[0]), _window(attrs), sides(attrs.padding)
    if kernel == net.size(name)[1:] and not any(padding):
        return statistic(net, name, StatisticAttrs(Statistic.MAX))
    stride = one("strides", attrs.strides)
    if attrs.ceil_mode:
        if stride > min(kernel):
            raise UnsupportedError("in ceil mode with gaps between windows", "windows as large as their stride")
        padding = (*padding[:2], padding[2] + stride - 1, padding[3] + stride - 1)
    return net.emit("max_pool", (name,), PoolAttrs(kernel, stride, padding))


def avg_pool2d(net: Importer, args: list[Any], attrs: Any) -> Value:
    name, kernel, padding = net.tensor(args[0]), _window(attrs), sides(attrs.padding)
    count, height, width = net.size(name)
    if kernel == (height, width) and not any(padding):
        net.by_size = True
        return statistic(net, name, StatisticAttrs())
    stride = one("strides", attrs.strides)
    if any(padding) and not attrs.count_include_pad:
        raise UnsupportedError("that leaves the padding out of its means", "count_include_pad, or no padding")
    if attrs.ceil_mode:
        net.by_size = True
        whole = all((size - k) % stride == 0 for size, k in zip((height, width), kernel, strict=True))
        if any(padding) or not whole:
            raise UnsupportedError("in ceil mode with windows that are not whole", "floor mode")
    return net.emit("conv", (name,), *linear.average_pool(count, kernel, stride, padding))


def adaptive(kind: Statistic) -> Any:
    """To 1x1: of the whole picture; to other sizes: of windows that cover it exactly."""

    def handler(net: Importer, args: list[Any], attrs: Any) -> Value:
        name = net.tensor(args[0])
        count, height, width = net.size(name)
        wanted = [int(v) for v in attrs.output_size]
        if wanted == [1, 1]:
            return statistic(net, name, StatisticAttrs(kind))
        net.by_size = True
        if wanted == [height, width]:
            return net.whole(name)
        steps = {height // wanted[0], width // wanted[1]}
        if height % wanted[0] or width % wanted[1] or len(steps) > 1:
            raise UnsupportedError(
                f"from {height}x{width} to {wanted[0]}x{wanted[1]} pixels, which is not by a whole number", GLOBAL
            )
        step = steps.pop()
        if kind is Statistic.MAX:
            return net.emit("max_pool", (name,), PoolAttrs((step, step), step))
        return net.emit("conv", (name,), *linear.average_pool(count, (step, step), step, (0, 0, 0, 0)))

    return handler


def reduced(kind: Statistic) -> Any:
    """Relax' reductions: over all pixels a statistic, a mean over all channels of a pixel a 1x1 convolution."""

    def handler(net: Importer, args: list[Any], attrs: Any) -> Value:
        axes, unbiased = _axes(args[0], attrs.axis), bool(getattr(attrs, "unbiased", False))
        return over(net, args[0], axes, StatisticAttrs(kind, unbiased=unbiased), bool(attrs.keepdims))

    return handler


def _axes(value: Any, axis: Any) -> list[int]:
    if isinstance(value, np.ndarray):
        raise UnsupportedError("of a constant", "the constant it makes")
    count = len(value.shape)
    return sorted(int(v) % count for v in (range(count) if axis is None else axis))


def total(net: Importer, args: list[Any], attrs: Any) -> Value:
    """A sum over all channels of a pixel is a 1x1 convolution; one over pixels is a mean once it is divided by them."""
    value, axes, keep = args[0], _axes(args[0], attrs.axis), bool(attrs.keepdims)
    if isinstance(value, Unfinished):
        return value.reduced(net, axes, StatisticAttrs(), keep, is_sum=True)
    if net.is_tensor(value):
        value = net.whole(net.tensor(value))
    count = net.size(value.source)[0]
    if len(axes) == 1 and views.channel_axis(value, axes[0], count) is not None:
        made = net.emit("conv", (value.source,), ConvAttrs(), linear.weights_of(np.ones((1, 1, count, 1)), count))
        return without(View(made.source, value.axes), axes, keep)
    return Unfinished(value, value, StatisticAttrs()).reduced(net, axes, StatisticAttrs(), keep, is_sum=True)
