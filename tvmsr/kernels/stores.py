"""Stores: a pixel's channels to memory, as slices, through depth to space, without touching a byte beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, Frame, Tensor, concat, ramp
from tvmsr.kernels.spec import Store


@dataclass(frozen=True)
class Segment:
    """Neighbouring lanes of a block, side by side in memory: in row dy, from element `at` of the stored pixels on."""

    lane: int
    count: int
    dy: int
    at: int


def segments(store: Store, channel: int, valid: Sequence[int], lanes: int) -> Iterator[Segment]:
    """Cut the block that starts at `channel` where the store's memory jumps.

    Depth to space: grid channel first + (dy*block + dx)*channels + c goes to row dy, pixel dx, channel c of the block x
    block stored pixels. Where pixels lie side by side without a gap, the dx of one dy are one segment.
    """
    pitch, block, width = store.pitch // store.form.bytes, store.block, store.channels
    run = width * block if pitch == width else width
    end = store.first + width * block * block
    for n, count in enumerate(valid):
        at, stop = max(channel + n * lanes, store.first), min(channel + n * lanes + count, end)
        while at < stop:
            k = at - store.first
            size = min(stop - at, run - k % run)
            dy, rest = divmod(k, width * block)
            yield Segment(at - channel, size, dy, rest // width * pitch + rest % width)
            at += size


def store_channels(
    frame: Frame, index: int, channel: Expr, valid: Sequence[int], pixel: tuple[Expr, Expr], values: Sequence[Expr]
) -> None:
    """Store one pixel's vectors of int32; `channel` is the first lane's, pixel its (row, column) on the grid."""
    store, tensor = frame.spec.epilogue.stores[index], frame.stores[index]
    if not isinstance(channel, int):
        _store_whole(frame, store, tensor, channel, pixel, values)
        return
    row, column = pixel
    narrow: dict[int, Expr] = {}
    for segment in segments(store, channel, valid, frame.lanes):
        start = tensor.row(row * store.block + segment.dy) + column * (store.block * tensor.pitch) + segment.at
        for lane, count in pieces(segment.lane, segment.count, frame.lanes):
            n = lane // frame.lanes
            if n not in narrow:
                narrow[n] = T.bind(T.cast(values[n], f"{tensor.dtype}x{frame.lanes}"))
            part = concat([narrow[n]], frame.lanes, count, lane % frame.lanes)
            T.buffer_store(tensor.data, part, [ramp(start + (lane - segment.lane), count)])


def pieces(lane: int, count: int, lanes: int) -> Iterator[tuple[int, int]]:
    """Cut a segment at vector boundaries, and what is left into powers of two, the largest first."""
    while count:
        size = min(count, lanes - lane % lanes)
        size = 1 << (size.bit_length() - 1)
        yield lane, size
        lane, count = lane + size, count - size


def _store_whole(
    frame: Frame, store: Store, tensor: Tensor, channel: Expr, pixel: tuple[Expr, Expr], values: Sequence[Expr]
) -> None:
    """A full block of a loop over blocks: it lies within one (dy, dx), which follows from the channel."""
    row, column = pixel
    tap = T.truncdiv(channel, T.int32(store.channels)) if store.block > 1 else T.int32(0)
    dy, dx = T.truncdiv(tap, T.int32(store.block)), T.truncmod(tap, T.int32(store.block))
    if store.block > 1:
        row, column = row * store.block + dy, column * store.block + dx
        channel = T.truncmod(channel, T.int32(store.channels))
    start = T.bind(tensor.row(row) + column * tensor.pitch + channel)
    step = 2 if frame.lanes == 8 and len(values) % 2 == 0 else 1
    for n in range(0, len(values), step):
        lanes = frame.lanes * step
        vector = concat(values[n : n + step], frame.lanes, lanes)
        T.buffer_store(tensor.data, T.cast(vector, f"{tensor.dtype}x{lanes}"), [ramp(start + n * frame.lanes, lanes)])
