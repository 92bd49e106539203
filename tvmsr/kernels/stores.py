"""Stores: a tile's elements to memory, as slices, through depth to space, without touching a byte that is not its own.

What lies side by side in memory is a *run*: of one pixel, or of all pixels of the tile where they touch. A run is cut
into slots of sixteen bytes (narrow.py), and slots are stored in pieces of a power of two. A slot that is not full is
stored whole where the run goes on: what it writes too much is the run's own next elements, which are stored next. The
last slot of a run begins earlier, if it can, and stores some elements twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, Frame, Tensor, clamp, concat, ramp
from tvmsr.kernels.narrow import Packing, Slot, arrangement, packing_of
from tvmsr.kernels.spec import Store

_WORD = 4  # bytes: what permutations move


@dataclass(frozen=True)
class Segment:
    """Neighbouring lanes of a block, side by side in memory: in row dy, from element `at` of the stored pixels on."""

    lane: int
    count: int
    dy: int
    at: int


@dataclass(frozen=True)
class Run:
    """Neighbours in memory, from element `at` of row dy on, and the (vector, lane) of the tile that each is."""

    dy: int
    at: int
    sources: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Piece:
    """Elements [first, first + count) of a slot, or of a register, go to element `at` of row dy and those after it."""

    dy: int
    at: int
    first: int
    count: int


@dataclass(frozen=True)
class Filled:
    """A slot and its pieces."""

    slot: Slot
    pieces: tuple[Piece, ...]


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
        yield Segment(at - channel, size, dy, rest // width * pitch + rest % width)
        at += size


def runs(segments: Sequence[Segment], stride: int, pixels: int, vectors: int, lanes: int) -> list[Run]:
    """What neighbouring pixels of a tile, `vectors` vectors each, store. stride: elements from pixel to pixel."""
    found: list[Run] = []
    last: dict[int, int] = {}
    for pixel in range(pixels):
        for s in segments:
            sources = tuple((pixel * vectors + k // lanes, k % lanes) for k in range(s.lane, s.lane + s.count))
            at, before = pixel * stride + s.at, last.get(s.dy)
            if before is not None and found[before].at + len(found[before].sources) == at:
                found[before] = replace(found[before], sources=found[before].sources + sources)
            else:
                last[s.dy] = len(found)
                found.append(Run(s.dy, at, sources))
    return found


def pieces(at: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut elements into powers of two, the largest first."""
    while count:
        size = 1 << (count.bit_length() - 1)
        yield at, size
        at, count = at + size, count - size


def fill(run: Run, packing: Packing) -> Iterator[Filled]:
    """The slots of a run, in the order in which they are stored."""
    places = [packing.place(*source) for source in run.sources]
    full, at = packing.slot, 0
    while at < len(places):
        left = len(places) - at
        count = next(n for n in range(min(full, left), 0, -1) if packing.fits(places[at : at + n]))
        if left < full and at and packing.fits(places[-full:]):
            at, count, left = len(places) - full, full, full
        if left >= full:
            yield Filled(_slot(places[at : at + count], full), (Piece(run.dy, run.at + at, 0, full),))
        else:
            cut = tuple(Piece(run.dy, run.at + at + first, first, size) for first, size in pieces(0, count))
            yield Filled(_slot(places[at : at + count], full), cut)
        at += count


def _slot(places: Sequence[tuple[int, int]], full: int) -> Slot:
    return [*places, *[None] * (full - len(places))]


def filled(found: Sequence[Run], packing: Packing) -> list[Filled]:
    """The slots of all runs: those of one run in its order, short ones two in one."""
    slots = [slot for run in found for slot in fill(run, packing)]
    if len(found) > 1:  # what comes from one register is stored together
        slots.sort(key=lambda f: min(place[0] for place in f.slot if place is not None))
    joined: list[Filled] = []
    for one in slots:
        both = _joined(joined[-1], one, packing) if joined else None
        if both:
            joined[-1] = both
        else:
            joined.append(one)
    return joined


def _joined(a: Filled, b: Filled, packing: Packing) -> Filled | None:
    """Two slots in one: b's elements after a's, at a multiple of their own size."""
    ends = [max(p.first + p.count for p in f.pieces) for f in (a, b)]
    size = max(_WORD // packing.size, 1 << (ends[1] - 1).bit_length())
    start = -(-ends[0] // size) * size
    slot = [*a.slot[:start], *b.slot[: packing.slot - start]]
    if start + size > packing.slot or not packing.fits(place for place in slot if place is not None):
        return None
    return Filled(slot, a.pieces + tuple(replace(p, first=p.first + start) for p in b.pieces))


def joined_pieces(slots: Sequence[Filled], size: int) -> list[Piece]:
    """The pieces of a register's slots of `size` elements; neighbours of one size, there and in memory, are one."""
    found = [replace(p, first=k * size + p.first) for k, f in enumerate(slots) for p in f.pieces]
    joins = True
    while joins:
        again = found[:1]
        for piece in found[1:]:
            a = again[-1]
            touch = (a.dy, a.at + a.count, a.first + a.count) == (piece.dy, piece.at, piece.first)
            if touch and a.count == piece.count >= size and a.first % (2 * a.count) == 0:
                again[-1] = replace(a, count=2 * a.count)
            else:
                again.append(piece)
        joins, found = len(again) < len(found), again
    return found


@dataclass(frozen=True)
class Place:
    """Where a tile is stored: row and column of the grid of its first pixel, and how many pixels it has.

    channel: of its block's first lane. It has `count` channels, a pixel `vectors` vectors.
    """

    row: Expr
    column: Expr
    pixels: int
    channel: Expr
    count: int
    vectors: int


#: Bounds of a register's elements, zero points included: (low, high).
Limits = tuple[Expr, Expr]


class TileStore:
    """A store of a tile, register by register."""

    def __init__(self, frame: Frame, index: int, place: Place) -> None:
        self._tensor = frame.stores[index]
        self.packing = packing_of(frame.isa, self._tensor.bytes)
        parts, self._starts = _parts(frame.spec.epilogue.stores[index], self._tensor, place)
        stride = frame.spec.epilogue.stores[index].block * self._tensor.pitch
        slots = filled(runs(parts, stride, place.pixels, place.vectors, frame.lanes), self.packing)
        size = self.packing.slots
        self._waiting = [slots[first : first + size] for first in range(0, len(slots), size)]
        self._registers: list[Expr] = []
        self._limits: list[Limits] = []

    def add(self, register: Expr, limits: Limits | None) -> None:
        """Take the next packed register, with the bounds that its elements still need; store what needs no further one.

        Either all registers have bounds or none.
        """
        self._registers.append(register)
        self._limits += [] if limits is None else [limits]
        while self._waiting and self._needs(self._waiting[0]) < len(self._registers):
            self._store(self._waiting.pop(0))

    def _needs(self, slots: Sequence[Filled]) -> int:
        return max(place[0] for f in slots for place in f.slot if place is not None)

    def _store(self, slots: Sequence[Filled]) -> None:
        packing, data = self.packing, self._tensor.data
        how = arrangement(packing, self._tensor.dtype, [f.slot for f in slots])
        whole = T.bind(how.collect(self._registers))
        if self._limits:
            low, high = (how.collect(side) for side in zip(*self._limits, strict=True))
            whole = T.bind(clamp(whole, low, high))
        whole = T.bind(how.order(whole))
        for piece in joined_pieces(slots, packing.slot):
            value = concat([whole], packing.elements, piece.count, piece.first)
            T.buffer_store(data, value, [ramp(self._starts[piece.dy] + piece.at, piece.count)])


def _parts(store: Store, tensor: Tensor, place: Place) -> tuple[list[Segment], dict[int, Expr]]:
    """The segments of a pixel, and for every dy the element that the tile's first pixel begins at."""
    if not isinstance(place.channel, int):
        return [Segment(0, place.count, 0, 0)], {0: _dynamic_start(store, tensor, place)}
    parts = list(segments(store, place.channel, place.count))
    column = place.column * (store.block * tensor.pitch)
    rows = sorted({s.dy for s in parts})
    return parts, {dy: T.bind(tensor.row(place.row * store.block + dy) + column) for dy in rows}


def _dynamic_start(store: Store, tensor: Tensor, place: Place) -> Expr:
    """A full block in a loop over blocks lies within one (dy, dx), which follows from its first channel."""
    row, column, channel = place.row, place.column, place.channel
    if store.block > 1:
        tap = T.truncdiv(channel, T.int32(store.channels))
        row = row * store.block + T.truncdiv(tap, T.int32(store.block))
        column = column * store.block + T.truncmod(tap, T.int32(store.block))
        channel = T.truncmod(channel, T.int32(store.channels))
    return T.bind(tensor.row(row) + column * tensor.pitch + channel)
