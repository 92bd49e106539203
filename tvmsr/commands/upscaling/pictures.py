"""Pictures from files to files, in pieces (a PiecewiseJob of tvmsr.devices.pool)."""

from __future__ import annotations

import contextlib
import filecmp
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tvmsr.commands.choices import chooser_of, tile_of
from tvmsr.commands.parts import Parts
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.upscaling.cut import Cut, Span, Work, cut_for
from tvmsr.commands.upscaling.looking import choice_of_whole
from tvmsr.commands.upscaling.names import Pair
from tvmsr.commands.upscaling.room import check_disk, check_memory
from tvmsr.commands.upscaling.stamp import digest_of, network_of, stamp_for
from tvmsr.devices.pool import Run
from tvmsr.errors import WorkError
from tvmsr.imaging.formats import format_named
from tvmsr.imaging.holding import Holding, from_artifact, to_artifact
from tvmsr.imaging.opening import Source, open_picture
from tvmsr.imaging.shrinking import Shrinking
from tvmsr.imaging.sink import check_fits, exif_kept, memory_of, open_sink
from tvmsr.runtime import ArtifactInfo

U8 = NDArray[np.uint8]

#: What resizing takes beside the rows.
_SHRINKING = 1 << 26


@dataclass(frozen=True)
class How:
    """What is wanted of every picture.

    artifact: its path. network: what is in it (stamp.network_of). factor: its scale; scale: of the results, at most
    that. tile: see cut_for. room: bytes of memory that one device's picture may take, None: nobody knows. limit: MiB
    that the user gave for pictures and artifact. choice: of bits, forced where the artifact has several; None: none is.
    """

    artifact: Path
    network: str
    factor: int
    scale: Fraction
    tile: int | None
    room: int | None
    overwrite: bool
    limit: int | None = None
    choice: str | None = None

    def stamps(self, source: Path) -> tuple[str, ...]:
        """What a result of a picture may carry. InputFileError where it cannot be read."""
        digest = digest_of(source)
        tiles = dict.fromkeys((None, self.tile))
        return tuple(stamp_for(self.network, digest, self.scale, tile, self.choice) for tile in tiles)

    def stamp(self, source: Path, info: ArtifactInfo) -> str:
        """What its result carries, from an artifact that says this of itself."""
        return self.stamps(source)[-1 if info.whole_because else 0]

    def size(self, holding: Holding) -> tuple[int, int]:
        """(width, height) of a picture's result: rounded half up, 1 at least."""
        return _scaled(holding.width, self.scale), _scaled(holding.height, self.scale)


def _scaled(size: int, scale: Fraction) -> int:
    return max(1, int(size * scale + Fraction(1, 2)))


@dataclass(frozen=True)
class Kept:
    """A result that does not count yet, at `part`; notices: sentences; choice: of bits, in words ("": there is one)."""

    part: Path
    size: tuple[int, int]
    notices: tuple[str, ...]
    choice: str = ""


class Pictures:
    """A context manager: at its end no part is left. written: numbers to sizes (width, height) of what counts; choices:
    to the bit choices of these, in words.

    progress: hears of pictures in several bands, by their names, in the threads of devices.
    """

    def __init__(self, pairs: list[Pair], how: How, progress: Progress = silent) -> None:
        self._pairs, self._how, self._progress = pairs, how, progress
        self._lock = threading.Lock()
        self._ends = contextlib.ExitStack()
        self._parts: Parts | None = None
        self._ended = False
        self.written: dict[int, tuple[int, int]] = {}
        self.choices: dict[int, str] = {}
        self.notices: list[str] = []

    @property
    def count(self) -> int:
        return len(self._pairs)

    def name(self, number: int) -> str:
        return self._pairs[number][0].name

    def files(self) -> tuple[tuple[Path, tuple[int, int]], ...]:
        """What was written, in the order of the pictures."""
        return tuple((self._pairs[number][1], self.written[number]) for number in sorted(self.written))

    def read(self, number: int) -> Source:
        """Open a picture and see whether its result can be held, before any pixel is decoded."""
        path, target = self._pairs[number]
        source = open_picture(path)
        try:
            result = source.holding.sized(*self._how.size(source.holding))
            check_fits(str(path), format_named(target), result)
            why = "pass a larger --memory, or free some"
            check_memory(str(path), source.memory + memory_of(format_named(target), result), self._how.room, why)
            check_disk(self._folder(), str(path), result.width * result.height * result.channels.count)
        except BaseException:
            source.__exit__(None, None, None)
            raise
        return source

    def upscale(self, number: int, source: Source, run: Run) -> Kept:
        """Read, run and write it piece by piece into a hidden file of a name of its own."""
        target = self._pairs[number][1]
        self._check_artifact(run)
        result = source.holding.sized(*self._how.size(source.holding))
        part = self._folder() / f".{number}-{secrets.token_hex(4)}.part"
        with source:
            stamp = self._how.stamp(source.path, run.info)
            cut = self._cut(source, result, run, target)
            with _written(part, target) as file, open_sink(file, format_named(target), result, stamp) as sink:
                for rows in self._rows(source, cut, run):
                    sink.write(rows)
                    self._check_ended()
                sink.finish()
        return Kept(part, (result.width, result.height), self._notices(source, target, result, run), _choices_of(run))

    def deliver(self, number: int, kept: Kept) -> None:
        target = self._pairs[number][1]
        _place(kept.part, target, self._how.overwrite)
        self.written[number] = kept.size
        self.choices[number] = kept.choice
        self.notices += kept.notices

    def discard(self, kept: Kept) -> None:
        kept.part.unlink(missing_ok=True)
        if self._ended:
            with contextlib.suppress(OSError):  # gone already, as a rule
                kept.part.parent.rmdir()

    def _cut(self, source: Source, result: Holding, run: Run, target: Path) -> Cut:
        shrinks = self._how.scale != self._how.factor
        fixed = source.memory + memory_of(format_named(target), result) + (_SHRINKING if shrinks else 0)
        work = Work(
            str(source.path),
            source.holding,
            run.info,
            run.workspace,
            fixed,
            self._how.room,
            self._how.limit,
            self._choosing(source, run),
            0 if self._how.choice is not None else tile_of(run.manifest),
        )
        return cut_for(work, self._how.tile)

    def _choosing(self, source: Source, run: Run) -> Callable[[], None] | None:
        """What gives the pieces of a picture the choice of the whole; None where its artifact does not choose."""
        if self._how.choice is not None or len(run.info.choices) < 2 or tile_of(run.manifest):
            return None
        choose = chooser_of(run.manifest)

        def force() -> None:
            if choose is None:
                raise WorkError(
                    f"{source.path}: cannot be cut, because {self._how.artifact} does not say how it chooses its bits; "
                    "pass --choice NAME, or compile it again"
                )
            run.force(choice_of_whole(source.path, choose, self._check_ended))

        return force

    def _rows(self, source: Source, cut: Cut, run: Run) -> Iterator[U8]:
        """The result's rows, from the top."""
        bands = self._told(source, cut, enlarged(source, cut, run))
        if self._how.scale == self._how.factor:
            yield from bands
            return
        holding, factor = source.holding, self._how.factor
        width, height = self._how.size(holding)
        shrinking = Shrinking((holding.height * factor, holding.width * factor), (height, width))
        for band in bands:
            yield shrinking.put(band)

    def _told(self, source: Source, cut: Cut, bands: Iterator[U8]) -> Iterator[U8]:
        spans = cut.bands(source.holding.height)
        for span, band in zip(spans, bands, strict=True):
            yield band
            if len(spans) > 1:
                self._progress(source.path.name, span.stop, source.holding.height)

    def _notices(self, source: Source, target: Path, result: Holding, run: Run) -> tuple[str, ...]:
        said = list(source.holding.notices)
        if not exif_kept(format_named(target), result):
            said.append(f"its EXIF data do not fit into {target.name} and were left out")
        reasons = run.info.whole_because
        if self._how.tile is not None and reasons:
            said.append(
                f"was cut into tiles of {self._how.tile} although {', '.join(reasons)}: pixels differ from those of "
                "the whole, and seams may show"
            )
        return tuple(f"{source.path.name}: {notice}" for notice in said)

    def _check_artifact(self, run: Run) -> None:
        """What runs is what the results say that they are of."""
        if network_of(run.manifest) != self._how.network:
            raise WorkError(
                f"{self._how.artifact}: was replaced by another while it was opened; what is written is kept, run it "
                "again"
            )

    def _check_ended(self) -> None:
        if self._ended:
            raise WorkError("the work has ended")  # of a thread that was left alone

    def _folder(self) -> Path:
        """Where parts are; made when it is first needed."""
        with self._lock:
            self._check_ended()
            if self._parts is None:
                self._parts = self._ends.enter_context(_parts_beside(self._pairs[0][1]))
            return self._parts.path

    def __enter__(self) -> Pictures:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended = True
        self._ends.close()


def _choices_of(run: Run) -> str:
    """The bit choices of a picture in words, with how many tiles each had where these choose; "" where there is one."""
    names = run.info.choices
    if len(names) < 2:
        return ""
    if sum(run.tiles) > 1 and tile_of(run.manifest):
        return ", ".join(f"{names[number]} {count}" for number, count in enumerate(run.tiles) if count)
    return ", ".join(names[number] for number in run.choices)


def enlarged(source: Source, cut: Cut, run: Callable[[U8], U8]) -> Iterator[U8]:
    """Bands of the enlarged picture, from the top: uint8, `Channels.shape` of the picture."""
    holding = source.holding
    tiles = cut.tiles(holding.width)
    have, top = np.empty(holding.channels.shape(0, holding.width), np.uint8), 0
    for band in cut.bands(holding.height):
        missing = band.high - top - len(have)
        kept = have[band.low - top :]
        have = np.concatenate([kept, source.read(missing)]) if missing else kept
        top = band.low
        yield from_artifact(_one_band(to_artifact(have, holding.channels), band, tiles, run), holding.channels)


def _one_band(rows: U8, band: Span, tiles: list[Span], run: Callable[[U8], U8]) -> U8:
    """rows: [band.low, band.high) of the picture."""
    parts = [_cropped(run(rows[:, tile.low : tile.high]), band, tile) for tile in tiles]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _cropped(result: U8, band: Span, tile: Span) -> U8:
    """Without the margins."""
    scale = result.shape[0] // (band.high - band.low)
    rows = slice(scale * (band.start - band.low), scale * (band.stop - band.low))
    return result[rows, scale * (tile.start - tile.low) : scale * (tile.stop - tile.low)]


def _parts_beside(target: Path) -> Parts:
    try:
        return Parts(target.parent)
    except OSError as error:
        raise WorkError(f"{target.parent}: nothing can be written there: {error.strerror or error}") from None


@contextlib.contextmanager
def _written(part: Path, target: Path) -> Iterator[BinaryIO]:
    """A new file, whole and on the disk at the end of the block, or gone."""
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WorkError(f"{target}: cannot be written: {error.strerror or error}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _place(part: Path, target: Path, overwrite: bool) -> None:
    """Give a whole file its name. Unless it may, it replaces nothing that has appeared since the work began."""
    try:
        if overwrite:
            part.replace(target)
            return
        with contextlib.suppress(PermissionError, NotImplementedError):  # no hard links on this disk
            os.link(part, target)
            part.unlink()
            return
        if target.exists():
            raise FileExistsError
        part.replace(target)
    except FileExistsError:
        if not _same(part, target):
            raise WorkError(f"{target}: somebody else wrote it meanwhile, and it was left as it is") from None
        part.unlink()
    except OSError as error:
        raise WorkError(f"{target}: cannot be written: {error.strerror or error}") from None


def _same(part: Path, target: Path) -> bool:
    """Whether another run has written the same."""
    return filecmp.cmp(part, target, shallow=False)
