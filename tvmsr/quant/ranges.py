"""Ranges of tensors over calibration crops: observers whose memory does not grow with the crops, and what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import in_order
from tvmsr.errors import InputFileError
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import F32, ActivateAttrs, Activation, ConvAttrs, Graph, Node
from tvmsr.quant.plan import affine

Item = TypeVar("Item")
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

BINS = 2048
#: Values of tensors are below it: scales and their quotients stay float32 numbers.
LARGEST = 1e24
#: What goes into the table of convolution X is observed as X + TABLE_SUFFIX.
TABLE_SUFFIX = "#table"


@dataclass(frozen=True, eq=False)
class ChannelStats:
    """Of one tensor over all crops, per channel (C,): least and largest value, mean of the squares."""

    low: F64
    high: F64
    square: F64


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts (BINS,) of values in [low, high], in bins of one width."""

    low: float
    high: float
    counts: F64

    @property
    def centres(self) -> F64:
        width = (self.high - self.low) / len(self.counts)
        return self.low + width * (np.arange(len(self.counts), dtype=np.float64) + 0.5)


def split_tables(graph: Graph) -> Graph:
    """The same function, with what goes into a convolution's table as a tensor of its own."""
    nodes: list[Node] = []
    for node in graph:
        attrs = node.attrs
        if not (isinstance(attrs, ConvAttrs) and attrs.activation.is_table):
            nodes.append(node)
            continue
        before = node.name + TABLE_SUFFIX
        nodes.append(replace(node, name=before, attrs=replace(attrs, activation=Activation.NONE)))
        table = ActivateAttrs(attrs.activation, gain=attrs.gain, offset=attrs.offset)
        nodes.append(Node(node.name, "activate", (before,), table, node.weights))
    return graph.with_nodes(tuple(nodes))


@dataclass(frozen=True, eq=False)
class Observation:
    """stats: of every tensor, tables' inputs among them. outputs: of the FP32 network, float32, one a crop."""

    stats: Mapping[str, ChannelStats]
    outputs: Sequence[F32]


def observe_channels(graph: Graph, crops: Sequence[U8], done: Callable[[], None]) -> Observation:
    """Run the FP32 network over all crops. `done` is called after each.

    Raises InputFileError where a tensor has values that no plan can hold.
    """
    split, found, pixels = split_tables(graph), dict[str, list[F64]](), dict[str, int]()
    outputs: list[F32] = []
    for output, seen in in_order(partial(_observed, split), crops):
        for name, (count, least, most, square) in seen.items():
            low, high, squares = found.get(name, (least, most, np.float64(0.0)))
            found[name] = [np.minimum(low, least), np.maximum(high, most), squares + square]
            pixels[name] = pixels.get(name, 0) + count
        outputs.append(output)
        done()
    for name, (low, high, _) in found.items():
        if not np.all(np.maximum(np.abs(low), np.abs(high)) < LARGEST):
            raise InputFileError(f"the network cannot be quantized: {name!r} has values of {LARGEST:g} or more")
    stats = {name: ChannelStats(low, high, square / pixels[name]) for name, (low, high, square) in found.items()}
    return Observation(stats, outputs)


def _observed(graph: Graph, crop: U8) -> tuple[F32, dict[str, tuple[int, F64, F64, F64]]]:
    """The output of a crop, and of every tensor how many pixels, least and largest values and sums of squares (C,)."""
    seen = {}

    def visit(name: str, value: NDArray[Any]) -> None:
        flat = value.reshape(-1, value.shape[-1])
        # Over rows first: over pixels alone, the few channels of each are slower to go through.
        least, most = value.min(axis=0).min(axis=0), value.max(axis=0).max(axis=0)
        square = np.einsum("nc,nc->c", flat, flat, dtype=np.float64)
        seen[name] = len(flat), least.astype(np.float64), most.astype(np.float64), square

    with np.errstate(over="ignore", invalid="ignore"):  # said by name, of all crops together
        return cast(F32, run_fp32(graph, as_float(crop), visit=visit)), seen


def covering(stats: Mapping[str, ChannelStats], more: Mapping[str, ChannelStats]) -> dict[str, ChannelStats]:
    """The extremes of both, by tensor; the mean squares of the first."""
    return {
        name: ChannelStats(np.minimum(one.low, more[name].low), np.maximum(one.high, more[name].high), one.square)
        for name, one in stats.items()
    }


@dataclass(frozen=True, eq=False)
class Watched:
    """What a histogram is made of: tensors with the factor of each channel, values divided by it, in [low, high]."""

    tensors: Mapping[str, F64]
    low: float
    high: float


def observe_histograms(
    graph: Graph, crops: Sequence[U8], watched: Sequence[Watched], done: Callable[[], None]
) -> list[Histogram]:
    """One histogram an entry of `watched`, in a single run over the crops."""
    split = split_tables(graph)
    where: dict[str, list[int]] = {}
    for index, entry in enumerate(watched):
        for name in entry.tensors:
            where.setdefault(name, []).append(index)

    def counted(crop: U8) -> list[F64]:
        counts = [np.zeros(BINS) for _ in watched]

        def visit(name: str, value: NDArray[Any]) -> None:
            for index in where.get(name, ()):
                entry = watched[index]
                values = value / entry.tensors[name].astype(np.float32)
                counts[index] += np.histogram(values, BINS, (entry.low, entry.high))[0]

        run_fp32(split, as_float(crop), visit=visit)
        return counts

    totals = [np.zeros(BINS) for _ in watched]
    for counts in in_order(counted, crops):
        for total, count in zip(totals, counts, strict=True):
            np.add(total, count, out=total)
        done()
    return [Histogram(entry.low, entry.high, count) for entry, count in zip(watched, totals, strict=True)]


def spaced(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spaced."""
    return list(items[:: -(-len(items) // most)]) if items else []


def as_float(picture: U8) -> NDArray[np.float32]:
    """A picture of bytes as the network's input, 0..1."""
    return picture.astype(np.float32) * np.float32(1 / 255)


def percentile_range(histogram: Histogram, bits: int, settings: Mapping[str, float]) -> tuple[float, float]:
    """The range that leaves out half of what exceeds the percentile on either side."""
    del bits
    total = histogram.counts.sum()
    if total == 0:
        return histogram.low, histogram.high
    share = np.cumsum(histogram.counts) / total
    outside = (1 - settings["percentile"] / 100) / 2
    width = (histogram.high - histogram.low) / len(histogram.counts)
    first = int(np.searchsorted(share, outside, side="right"))
    last = int(np.searchsorted(share, 1 - outside, side="left"))
    low, high = histogram.low + width * first, histogram.low + width * (last + 1)
    return low, min(high, histogram.high)


def mse_range(histogram: Histogram, bits: int, settings: Mapping[str, float]) -> tuple[float, float]:
    """The range, each end shrunk on its own, whose codes lie nearest to the values in the mean square."""
    del settings
    shrink = np.linspace(1.0, 0.4, 25)
    lows = shrink if histogram.low < 0 else shrink[:1]
    highs = shrink if histogram.high > 0 else shrink[:1]
    best, chosen = np.inf, (histogram.low, histogram.high)
    for low in lows * histogram.low:
        for high in highs * histogram.high:
            error = rounding_error(histogram, float(low), float(high), bits)
            if error < best:
                best, chosen = error, (float(low), float(high))
    return chosen


def rounding_error(histogram: Histogram, low: float, high: float, bits: int) -> float:
    """Sum of squared differences between values and their codes: 1/12 step squared inside, the distance outside."""
    scale, zero = affine(low, high, bits)
    least, most = -zero * scale, ((1 << bits) - 1 - zero) * scale
    centres = histogram.centres
    beyond = centres - np.clip(centres, least, most)
    inside = beyond == 0
    return float(histogram.counts @ np.where(inside, scale * scale / 12, beyond * beyond))


def widened(low: float, high: float, bits: int) -> tuple[float, float]:
    """Codes of more than 8 bits cover twice the range that was seen: they can afford it, and new pictures exceed it."""
    return (2 * low, 2 * high) if bits > 8 else (low, high)
