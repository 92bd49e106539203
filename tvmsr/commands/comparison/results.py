"""What `tvmsr compare` found, and its tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One variant. psnr in dB, ssim in -1..1: means over the pictures; drop: of PSNR, from FP32, in dB.

    minimum, median: milliseconds a picture of the size; size: bytes of the .so; None for FP32.
    """

    name: str
    text: str
    psnr: float
    ssim: float
    drop: float
    minimum: float | None = None
    median: float | None = None
    size: int | None = None


@dataclass(frozen=True)
class Spread:
    """One variant calibrated on many sets. psnr: of each, in dB, a mean over the pictures."""

    name: str
    text: str
    psnr: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.psnr)

    @property
    def deviation(self) -> float:
        """The standard deviation of a sample."""
        return statistics.stdev(self.psnr) if len(self.psnr) > 1 else 0.0

    @property
    def worst(self) -> float:
        return min(self.psnr)


@dataclass(frozen=True)
class Table:
    """As it is shown: a title, the columns, and lines of as many cells."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """The rows in the order of the variants, all on the same pictures and timed by turns.

    data: the folder measured on; calibration: what was calibrated with, in words; way: of CFQP's pictures.
    width, height: of the LR picture that was timed on `threads` threads at a CPU level (0 and "" where nothing was).
    clips: how the clip is done, and the row whose time that is. spreads: over random sets of calibration pictures.
    """

    model: str
    data: str
    pictures: int
    protocol: str
    width: int
    height: int
    threads: int
    level: str
    calibration: str
    way: str
    seed: int
    rows: tuple[Row, ...]
    clips: Mapping[str, str]
    spreads: tuple[Spread, ...]
    notes: tuple[str, ...]

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    def as_json(self) -> dict[str, Any]:
        """All fields; mean, deviation and worst of each spread; an infinite PSNR is null: JSON has no infinity."""
        spreads = [
            {**asdict(one), "mean": one.mean, "deviation": one.deviation, "worst": one.worst} for one in self.spreads
        ]
        plain = {**vars(self), "rows": [asdict(row) for row in self.rows], "clips": dict(self.clips)}
        return {key: _finite(value) for key, value in {**plain, "spreads": spreads}.items()}

    @property
    def tables(self) -> tuple[Table, ...]:
        """The variants; what the clip costs, and the spread over random sets, where they were measured."""
        made = [_rows_table(self)]
        if self.clips:
            made.append(_clips_table(self))
        if self.spreads:
            made.append(_spreads_table(self))
        return tuple(made)

    def as_markdown(self) -> str:
        """The tables and the notes."""
        parts = [f"# {self.model}"]
        for table in self.tables:
            lines = [table.columns, ("---",) * len(table.columns), *table.lines]
            parts += [table.title, "\n".join(f"| {' | '.join(line)} |" for line in lines)]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts) + "\n"


def _rows_table(found: Comparison) -> Table:
    title = f"{found.pictures} pictures of {found.data}, calibrated with {found.calibration}, seed {found.seed}"
    if found.threads:
        title += f"; times at {found.width}x{found.height}, {_threads(found.threads)}, level {found.level}, by turns"
    named = found.protocol.upper()
    columns = ("variant", "what", f"PSNR {named}", f"SSIM {named}", "drop dB", "minimum ms", "median ms", ".so KiB")
    lines = [
        (
            row.name,
            row.text,
            f"{row.psnr:.3f}",
            f"{row.ssim:.4f}",
            f"{row.drop:.3f}",
            _number(row.minimum),
            _number(row.median),
            "-" if row.size is None else f"{row.size / 1024:.0f}",
        )
        for row in found.rows
    ]
    return Table(title, columns, tuple(lines))


def _clips_table(found: Comparison) -> Table:
    first = next(found.row(name).minimum for name in found.clips.values())
    lines = []
    for how, name in found.clips.items():
        row = found.row(name)
        more = "-" if not first or row.minimum is None else f"{100 * (row.minimum / first - 1):.1f}"
        lines.append((how, name, _number(row.minimum), _number(row.median), more))
    title = f"The time of the clip at {found.width}x{found.height}, {_threads(found.threads)}"
    return Table(title, ("clip", "variant", "minimum ms", "median ms", "more, % of minimum"), tuple(lines))


def _spreads_table(found: Comparison) -> Table:
    count = len(found.spreads[0].psnr)
    title = (
        f"PSNR {found.protocol.upper()} over {count} random sets, each of one crop, seeds from {found.seed}; CFQP's "
        f"pictures by {found.way}"
    )
    lines = [
        (one.name, one.text, f"{one.mean:.3f}", f"{one.deviation:.4f}", f"{one.worst:.3f}") for one in found.spreads
    ]
    return Table(title, ("variant", "what", "mean", "deviation", "worst"), tuple(lines))


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _finite(value: Any) -> Any:
    """The same with None for numbers that are not finite, and lists for tuples."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value
