"""How a picture is cut into pieces, so that their results, put together, have the bytes of the whole."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from tvmsr.commands.upscaling.room import check_memory
from tvmsr.errors import InputFileError, StatusError, UsageError
from tvmsr.imaging.holding import Holding
from tvmsr.runtime import ArtifactInfo, abi

#: Bytes of result that a band has at most, where memory is plenty: larger ones are not faster.
_BAND = 1 << 26

#: What alpha and colour read of their neighbours (docs/numerics-colour.md).
_COLOUR_RADIUS = 2

#: Around tiles that cannot give the bytes of the whole anyway: pixels that soften the seams, at most.
_SOFT = 64

#: How far across a border the tiles of a picture that choose for themselves are blended (docs/numerics.md), at most.
_BLENDED = 32

#: The driver's words for a picture beyond its limit of memory (artifact/driver/api.c).
_OF_LIMIT = re.compile(r"takes (\d+) bytes, the limit is (\d+)")

#: A piece of fewer rows, or columns, would be little but its margin.
_LEAST = 8


@dataclass(frozen=True)
class Span:
    """Rows or columns [start, stop) that a piece gives, and [low, high) that it reads for that."""

    start: int
    stop: int
    low: int
    high: int


@dataclass(frozen=True)
class Cut:
    """Bands of `rows` rows, in tiles of `columns` columns, that read `margin` pixels more on each side.

    multiple: every piece begins at a multiple of it. least: (width, height) that a piece has where the picture has it.
    memory: bytes that the work takes at most.
    """

    rows: int
    columns: int
    margin: int
    multiple: int
    least: tuple[int, int]
    memory: int = 0

    def bands(self, height: int) -> list[Span]:
        return _spans(height, self.rows, self.margin, self.multiple, self.least[1])

    def tiles(self, width: int) -> list[Span]:
        return _spans(width, self.columns, self.margin, self.multiple, self.least[0])

    def piece(self, holding: Holding) -> tuple[int, int]:
        """(width, height) of the largest piece; it is among the first."""
        wide = max(span.high - span.low for span in self.tiles(holding.width)[:3])
        return wide, max(span.high - span.low for span in self.bands(holding.height)[:3])


def _spans(size: int, step: int, margin: int, multiple: int, least: int) -> list[Span]:
    spans = []
    for start in range(0, size, step):
        stop = min(start + step, size)
        low = max(0, start - margin) // multiple * multiple
        high = min(size, -(-(stop + margin) // multiple) * multiple)
        low = max(0, min(low, (high - least) // multiple * multiple))
        spans.append(Span(start, stop, low, min(size, max(high, low + least))))
    return spans


@dataclass(frozen=True)
class Work:
    """A picture and what it is given to. workspace: bytes of a piece (width, height); StatusError beyond a limit.

    fixed: bytes that reading and writing take, whatever the pieces. room: bytes that there are; None: nobody knows.
    limit: MiB that the user gave for pictures and artifact; the artifact has half of them. choose: gives all pieces the
    bit choice of the whole picture, before `workspace` is asked again; None where nothing is chosen by it. grid: side
    of the tiles that choose for themselves, 0 where there are none.
    """

    name: str
    holding: Holding
    info: ArtifactInfo
    workspace: Callable[[int, int], int]
    fixed: int
    room: int | None
    limit: int | None = None
    choose: Callable[[], object] | None = None
    grid: int = 0

    @property
    def multiple(self) -> int:
        """Pieces begin at multiples of it; tiles that choose for themselves are never cut, and how they are blended
        differs from row to row by turns (docs/numerics.md).
        """
        return math.lcm(self.info.size_multiple, *((self.grid, 2) if self.grid else ()))

    @property
    def margin(self) -> int:
        """What pieces read around what they give. The outermost tiles of a piece do not see what the picture's do."""
        return max(self.info.receptive_radius, _COLOUR_RADIUS, self.grid + _BLENDED if self.grid else 0)

    def memory(self, cut: Cut) -> int | None:
        """Bytes that the work takes in such pieces; None where a piece is beyond the artifact's limit."""
        try:
            inside = self.workspace(*cut.piece(self.holding))
        except StatusError as error:
            if error.status == abi.MEMORY_LIMIT:
                return None
            raise
        return inside + self.beside(cut)

    def beside(self, cut: Cut) -> int:
        """Bytes that it takes outside of the artifact."""
        (wide, high), width, scale = cut.piece(self.holding), self.holding.width, self.info.scale
        read = 3 * high * width * self.holding.channels.given  # the band, what follows it, and as the artifact takes it
        made = wide * high * self.holding.channels.given
        band = cut.rows * width * self.holding.channels.given
        return self.fixed + read + scale * scale * (made + 2 * band)


def cut_for(work: Work, tile: int | None) -> Cut:
    """How to cut. tile: what the user asked for. InputFileError where there is too little memory for any way.

    A picture that chooses its bits, or whose tiles do, is one piece where that fits. Else it is looked at first, and
    its pieces have its choice; those of a picture whose tiles choose read much around them.
    """
    whole = Cut(work.holding.height, work.holding.width, 0, 1, (1, 1))
    reasons = work.info.whole_because
    if work.choose is not None or work.grid:
        memory = work.memory(whole) if tile is None else None
        if memory is not None and _fits(work, memory):
            return _with_memory(whole, memory)
    if work.choose is not None:
        work.choose()
    if tile is not None:
        return _checked(work, _asked(work, tile, bool(reasons)), "pass a smaller --tile")
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        because = f"it cannot be cut, because {reasons[0]}{more}"
        return _checked(work, whole, f"{because}; --tile N does so all the same, a larger --memory leaves it whole")
    return _fitting(work)


def _fits(work: Work, memory: int) -> bool:
    return work.room is None or memory <= work.room


def _asked(work: Work, tile: int, soft: bool) -> Cut:
    multiple = work.multiple
    if tile < 1:
        raise UsageError(f"tiles of {tile} pixels; at least 1")
    side = -(-tile // multiple) * multiple
    margin = min(work.margin, _SOFT) if soft else work.margin
    return Cut(side, side, margin, multiple, work.info.minimum_size)


def _checked(work: Work, cut: Cut, why: str) -> Cut:
    memory = work.memory(cut)
    if memory is None:
        _beyond_the_limit(work, cut, why)
    check_memory(work.name, memory or 0, work.room, why)
    return _with_memory(cut, memory or 0)


def _beyond_the_limit(work: Work, cut: Cut, why: str) -> None:
    """Say what a piece takes that is beyond the artifact's limit of memory. InputFileError where that is the user's.

    StatusError where it is the device's: another one may have more.
    """
    try:
        work.workspace(*cut.piece(work.holding))
    except StatusError as error:
        said = _OF_LIMIT.search(str(error))
        if said is None or work.limit is None or int(said[2]) != work.limit << 19:
            raise
        needed = int(said[1])
        enough = -(-max(2 * needed, needed + work.beside(cut)) // (1 << 20))
        raise InputFileError(
            f"{work.name}: needs {needed:,} bytes of memory inside of the artifact, which has half of --memory "
            f"{work.limit}; {why}; --memory {enough} is enough"
        ) from None


def _fitting(work: Work) -> Cut:
    """The largest bands that fit; tiles where a band as wide as the picture does not."""
    info, holding = work.info, work.holding
    multiple = work.multiple
    least = -(-_LEAST // multiple) * multiple
    row = info.scale**2 * holding.width * holding.channels.given
    rows = min(holding.height, max(least, _BAND // row // multiple * multiple))
    columns = holding.width
    while True:
        cut = Cut(rows, columns, work.margin, multiple, info.minimum_size)
        memory = work.memory(cut)
        if memory is not None and _fits(work, memory):
            return _with_memory(cut, memory)
        if rows > least:
            rows = max(least, rows // 2 // multiple * multiple)
        elif columns > least:
            columns = max(least, columns // 2 // multiple * multiple)
        else:
            return _checked(work, cut, "no way of cutting it takes less; pass a larger --memory, or free some")


def _with_memory(cut: Cut, memory: int) -> Cut:
    return Cut(cut.rows, cut.columns, cut.margin, cut.multiple, cut.least, memory)
