"""Stores: a pixel's channels to memory, as slices, through depth to space, without touching a byte that is not its own.

Vectors of int32 are narrowed to chunks of 16 elements. What lies side by side in memory is a segment; it is stored in
pieces of 16, 8, 4, 2 or 1 elements. Where segments of neighbouring pixels touch (nine bytes a row of a 3x shuffle to
RGB), all but the tile's last pixels store a whole piece of a power of two: what it writes too much is the tile's own
next pixel, which is stored next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, Frame, Tensor, concat, ramp
from tvmsr.kernels.spec import Store

_CHUNK = 16


@dataclass(frozen=True)
class Segment:
    """Neighbouring lanes of a block, side by side in memory: in row dy, from element `at` of the stored pixels on.

    `touches`: the next pixel's segment begins where this one ends, and it is stored by the same tile.
    """

    lane: int
    count: int
    dy: int
    at: int
    touches: bool


@dataclass(frozen=True)
class Place:
    """Where a pixel of a tile is stored: row and column of the grid, and how many pixels of its tile follow."""

    row: Expr
    column: Expr
    followers: int


def segments(store: Store, channel: int, count: int) -> Iterator[Segment]:
    """Cut the block of `count` channels from `channel` on where the store's memory jumps.

    Depth to space: grid channel first + (dy*block + dx)*channels + c goes to row dy, pixel dx, channel c of the block x
    block stored pixels. Where pixels lie side by side without a gap, the dx of one dy are one segment.
    """
    pitch, block, width = store.pitch // store.form.bytes, store.block, store.channels
    run = width * block if pitch == width else width
    end = min(channel + count, store.first + width * block * block)
    at = max(channel, store.first)
    while at < end:
        k = at - store.first
        size = min(end - at, run - k % run)
        dy, rest = divmod(k, width * block)
        whole = pitch == width and size == run
        yield Segment(at - channel, size, dy, rest // width * pitch + rest % width, whole)
        at += size


def pieces(lane: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut a segment into powers of two, the largest first."""
    while count:
        size = 1 << (min(count, _CHUNK).bit_length() - 1)
        yield lane, size
        lane, count = lane + size, count - size


def store_channels(frame: Frame, index: int, channel: Expr, count: int, place: Place, values: Sequence[Expr]) -> None:
    """Store one pixel's vectors of int32: `count` channels from `channel` on."""
    store, tensor = frame.spec.epilogue.stores[index], frame.stores[index]
    if not isinstance(channel, int):
        start = _dynamic_start(store, tensor, channel, place)
        _store_pieces(tensor, start, _Narrow(frame, tensor, values), 0, count)
        return
    narrow = _Narrow(frame, tensor, values)
    for segment in segments(store, channel, count):
        row = tensor.row(place.row * store.block + segment.dy)
        start = row + place.column * (store.block * tensor.pitch) + segment.at
        size = min(_CHUNK, 1 << (segment.count - 1).bit_length())
        if segment.touches and segment.count < size <= segment.count * (1 + place.followers):
            T.buffer_store(tensor.data, narrow.lanes(segment.lane, size), [ramp(start, size)])
        else:
            _store_pieces(tensor, start, narrow, segment.lane, segment.count)


class _Narrow:
    """One pixel's vectors as stored elements."""

    def __init__(self, frame: Frame, tensor: Tensor, values: Sequence[Expr]) -> None:
        self._vectors, self._lanes, self._dtype = values, frame.lanes, tensor.dtype
        self._chunks: dict[int, Expr] = {}

    def lanes(self, lane: int, count: int) -> Expr:
        """Elements of `count` lanes from `lane` on; lanes past the last vector hold anything."""
        last = -(-len(self._vectors) * self._lanes // _CHUNK) - 1
        first, end = lane // _CHUNK, min(last, (lane + count - 1) // _CHUNK)
        chunks = [self._chunk(k) for k in range(first, end + 1)]
        return concat(chunks, _CHUNK, count, lane - first * _CHUNK)

    def _chunk(self, number: int) -> Expr:
        if number not in self._chunks:
            per = _CHUNK // self._lanes
            vectors = list(self._vectors[number * per : (number + 1) * per])
            vectors += [vectors[-1]] * (per - len(vectors))
            wide = concat(vectors, self._lanes, _CHUNK)
            self._chunks[number] = T.bind(T.cast(wide, f"{self._dtype}x{_CHUNK}"))
        return self._chunks[number]


def _store_pieces(tensor: Tensor, start: Expr, narrow: _Narrow, lane: int, count: int) -> None:
    for at, size in pieces(lane, count):
        T.buffer_store(tensor.data, narrow.lanes(at, size), [ramp(start + (at - lane), size)])


def _dynamic_start(store: Store, tensor: Tensor, channel: Expr, place: Place) -> Expr:
    """A full block in a loop over blocks lies within one (dy, dx), which follows from its first channel."""
    row, column = place.row, place.column
    if store.block > 1:
        tap = T.truncdiv(channel, T.int32(store.channels))
        row = row * store.block + T.truncdiv(tap, T.int32(store.block))
        column = column * store.block + T.truncmod(tap, T.int32(store.block))
        channel = T.truncmod(channel, T.int32(store.channels))
    return T.bind(tensor.row(row) + column * tensor.pitch + channel)
