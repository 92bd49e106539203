"""What the page's drawings are made of: numbers in the units of their SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tvmsr.reporting.facts import Choosing, Report

#: Of the strip of complexities, and the space beside it; a dot.
WIDTH, HEIGHT, SIDE, FLOOR, DOT = 720, 150, 16, 118, 5


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    choice: int  # 0, 1, 2: below, between, above
    title: str


@dataclass(frozen=True)
class Mark:
    """A line with a text beside it."""

    x: float
    text: str


@dataclass(frozen=True)
class Group:
    """Pictures of one choice: how many, their share 0..1, and the means of their figures, None where there are none."""

    name: str
    number: int
    pictures: int
    share: float
    psnr: float | None
    milliseconds: float | None
    activations: float | None


@dataclass(frozen=True)
class Distribution:
    """Pictures along their complexity, in a logarithmic scale. rule: how choices are made, in words.

    lowest, highest: numbers of pictures.
    """

    key: str
    rule: str
    dots: tuple[Dot, ...]
    limits: tuple[Mark, ...]
    ticks: tuple[Mark, ...]
    groups: tuple[Group, ...]
    lowest: int
    highest: int


def distributions(report: Report) -> tuple[Distribution, ...]:
    """Of every variant that chooses by the picture."""
    return tuple(
        _distribution(report, variant.key, variant.choosing) for variant in report.variants if variant.choosing
    )


def _distribution(report: Report, key: str, choosing: Choosing) -> Distribution:
    found = [picture.complexity for picture in report.pictures]
    ends = [max(value, 1) for value in (*found, choosing.low, choosing.high) if value < 2**31]
    low, high = math.log2(min(ends)) - 0.25, math.log2(max(ends)) + 0.25

    def place(value: float) -> float:
        return round(SIDE + (WIDTH - 2 * SIDE) * (math.log2(max(value, 1)) - low) / (high - low), 1)

    below, base, above = choosing.names
    limits = {limit: None for limit, name in ((choosing.low, below), (choosing.high, above)) if name != base}
    powers = range(math.ceil(low), math.floor(high) + 1)
    return Distribution(
        key,
        _rule(choosing),
        _dots(report, key, choosing, [place(value) for value in found]),
        tuple(Mark(place(limit), f"{limit:,}") for limit in limits),
        tuple(Mark(place(2**power), f"{2**power:,}") for power in powers[:: max(len(powers) // 5, 1)]),
        _groups(report, key, choosing),
        min(range(len(found)), key=found.__getitem__),
        max(range(len(found)), key=found.__getitem__),
    )


def _rule(choosing: Choosing) -> str:
    """Ends that have the choice between them are not told."""
    below, base, above = choosing.names
    said = [f"{below} below a complexity of {choosing.low:,}"] if below != base else []
    said += [f"{above} above {'' if said else 'a complexity of '}{choosing.high:,}"] if above != base else []
    return ", ".join([*said, f"else {base}"])


def _dots(report: Report, key: str, choosing: Choosing, places: Sequence[float]) -> tuple[Dot, ...]:
    """Dots that would cover others lie above them."""
    stacked: dict[int, int] = {}
    found = []
    for picture, x in zip(report.pictures, places, strict=True):
        column = round(x / (2 * DOT))
        level = stacked.get(column, 0)
        stacked[column] = level + 1
        above = min(level * (2 * DOT + 1), FLOOR - 24)
        name = picture.figures[key].choice
        title = f"{picture.name}: complexity {picture.complexity:,}, {name}"
        found.append(Dot(x, FLOOR - DOT - above, choosing.place_of(name), title))
    return tuple(found)


def _groups(report: Report, key: str, choosing: Choosing) -> tuple[Group, ...]:
    variant = next(one for one in report.variants if one.key == key)
    bits = {choice.name: choice.activations for choice in variant.choices}
    groups = []
    for number, name in enumerate(choosing.names):
        if name in choosing.names[:number]:
            continue
        rows = [one.figures[key] for one in report.pictures if one.figures[key].choice == name]
        times = [row.milliseconds for row in rows if row.milliseconds is not None]
        groups.append(
            Group(
                name,
                number,
                len(rows),
                len(rows) / len(report.pictures),
                sum(row.psnr for row in rows) / len(rows) if rows else None,
                sum(times) / len(times) if times else None,
                bits.get(name),
            )
        )
    return tuple(groups)
