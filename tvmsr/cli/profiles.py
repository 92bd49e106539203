"""How `bench --layers` shows a profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvmsr.cli import show
from tvmsr.commands.benchmark.profile import LayerTime, Profile
from tvmsr.hardware.peaks import Origin, Peaks


@dataclass(frozen=True)
class _Column:
    title: str
    cell: Callable[[LayerTime], str]


def _figure(value: float | None, digits: int = 1, times: float = 1.0) -> str:
    return "-" if value is None else f"{times * value:.{digits}f}"


def _algorithm(row: LayerTime) -> str:
    return " ".join(filter(None, (row.algorithm, row.primitive, row.tile)))


_COLUMNS = (
    _Column("layer", lambda row: row.name),
    _Column("shape", lambda row: row.shape),
    _Column("bits", lambda row: row.bits),
    _Column("algorithm", _algorithm),
    _Column("ms", lambda row: _figure(row.milliseconds, 3)),
    _Column("% time", lambda row: _figure(row.share, times=100)),
    _Column("GMAC", lambda row: _figure(row.gmac, 3)),
    _Column("GMAC/s", lambda row: _figure(row.gmacs)),
    _Column("% peak", lambda row: _figure(row.of_peak, times=100)),
    _Column("% direct", lambda row: _figure(row.of_direct, times=100)),
    _Column("% useful", lambda row: _figure(row.useful, times=100)),
    _Column("MB", lambda row: _figure(row.bytes, 2, 1e-6)),
    _Column("MAC/B", lambda row: _figure(row.intensity)),
)


def profile(found: Profile) -> None:
    """A row a layer, the totals, and the peaks that shares are of."""
    show.rows([column.title for column in _COLUMNS], [[c.cell(row) for c in _COLUMNS] for row in found.layers])
    show.say(_totals(found))
    show.say(_meaning(found))
    if found.peaks.origin is not Origin.UNKNOWN:
        _peaks(found.peaks)


def _totals(found: Profile) -> str:
    totals = found.totals
    said = [f"layers {totals.layers_ms:.2f} ms", f"{totals.gmac:.2f} GMAC", f"{totals.gmacs:.1f} GMAC/s"]
    if totals.of_peak is not None:
        said.append(f"{100 * totals.of_peak:.1f} % of the primitives' peaks")
    if totals.bytes is not None:
        said.append(f"{totals.bytes / 1e6:.1f} MB moved")
    return f"{', '.join(said)}; conversion of pixels {totals.conversion_ms:.2f} ms"


def _meaning(found: Profile) -> str:
    runs = "1 run" if found.runs == 1 else f"best of {found.runs} runs"
    direct = f"; % direct: of {found.direct}, by multiply-adds of the direct convolution" if found.direct else ""
    return (
        f"{runs} on {found.threads} thread{'s' if found.threads > 1 else ''}; % peak: multiplies done, of their "
        f"primitive's peak{direct}; peaks {found.peaks.origin.value}: {found.peaks.source}"
    )


def _peaks(peaks: Peaks) -> None:
    """A row a primitive and a memory, a column a number of threads."""
    counts = sorted({roof.threads for roof in peaks.roofs} | {read.threads for read in peaks.bandwidths})
    lines: dict[tuple[str, str], list[str]] = {}
    for count in counts:
        roofs, reads = peaks.of(count)
        said = [(roof.primitive, roof.words, f"{roof.gmacs:.0f} GMAC/s") for roof in roofs]
        said += [(read.memory, read.words, f"{read.gb_s:.0f} GB/s") for read in reads]
        for name, words, speed in said:
            lines.setdefault((name, words if peaks.origin is Origin.MEASURED else ""), []).append(speed)
    titles = ["peak", "of", *(f"{count} thread{'s' if count > 1 else ''}" for count in counts)]
    show.rows(titles, [[*key, *speeds] for key, speeds in lines.items()])
