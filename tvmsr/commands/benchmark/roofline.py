"""The roofline of a profile: how fast each layer is over how many multiply-adds it does for each byte that it moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmsr.commands.benchmark.axes import Axes
from tvmsr.commands.benchmark.svg import Box, Drawing, room_of
from tvmsr.hardware.peaks import Origin

if TYPE_CHECKING:
    from tvmsr.commands.benchmark.profile import LayerTime, Profile
    from tvmsr.commands.benchmark.results import Benchmark
    from tvmsr.hardware.peaks import Bandwidth, Roof

_WIDTH, _HEIGHT = 1180, 700
_CHART = Box(76, 76, 680, 500)
_STRIP = Box(76, 636, 680, 40)  # of steps that have no place in the chart
_LIST = Box(784, 92, 380, 580)
_LINE = 16.0  # from line to line of the list

#: Colours of algorithms, in the order in which they appear; told apart by those who see few colours, too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#999999")
_ROOF, _READ, _QUIET = "#222222", "#7a5cc0", "#555555"

#: A mark's area is the layer's share of the time; radius of the whole, and the least that can be seen.
_WHOLE, _LEAST = 34.0, 3.0

#: Marks as near as this share a label.
_NEAR = 24.0


@dataclass(frozen=True)
class _Mark:
    """A layer, numbered by its share of the time. centre: None where it has no place in the chart."""

    layer: LayerTime
    number: int
    colour: str
    centre: tuple[float, float] | None

    @property
    def radius(self) -> float:
        return max(_LEAST, _WHOLE * math.sqrt(self.layer.share))


def roofline(found: Benchmark) -> str:
    """The chart as the text of an SVG file. `found` has a profile."""
    profile = found.profile
    if profile is None:
        raise ValueError("a roofline needs a profile")
    threads = f"{profile.threads} thread" + ("s" if profile.threads > 1 else "")
    title = f"{found.artifact}, level {found.level}, {found.width}x{found.height}, {threads}, on {found.device}"
    drawing = Drawing(_WIDTH, _HEIGHT, f"Roofline of {title}")
    drawing.text((_CHART.left, 30), title, font_size=16, font_weight="bold")
    drawing.text((_CHART.left, 50), _said(profile), fill=_QUIET)
    roofs, reads = profile.peaks.of(profile.threads)
    axes = _axes(profile, roofs, reads)
    axes.draw(drawing, "multiply-adds a byte moved", "GMAC/s (multiply-adds of the direct convolution)")
    _draw_reads(drawing, axes, roofs, reads)
    _draw_roofs(drawing, axes, roofs, reads)
    marks = _marks(profile, axes)
    _draw_marks(drawing, [mark for mark in marks if mark.centre is not None])
    _draw_strip(drawing, [mark for mark in marks if mark.centre is None])
    _draw_list(drawing, profile, marks)
    return drawing.to_text()


def _said(profile: Profile) -> str:
    totals = profile.totals
    share = "" if totals.of_peak is None else f", {100 * totals.of_peak:.1f} % of the primitives' peaks"
    speed = f"layers {totals.layers_ms:.2f} ms, {totals.gmacs:.1f} GMAC/s{share}"
    return f"{speed}; peaks {profile.peaks.origin.value}: {profile.peaks.source}"


def _axes(profile: Profile, roofs: Sequence[Roof], reads: Sequence[Bandwidth]) -> Axes:
    placed = [row for row in profile.layers if row.intensity is not None]
    ridges = [roof.gmacs / read.gb_s for roof in roofs for read in reads]
    ys = [row.gmacs for row in placed] + [roof.gmacs for roof in roofs]
    return Axes.of(_CHART, [row.intensity or 0.0 for row in placed] + ridges, ys)


def _draw_reads(drawing: Drawing, axes: Axes, roofs: Sequence[Roof], reads: Sequence[Bandwidth]) -> None:
    """A line for each memory: what could be multiplied if every byte came from there."""
    top = max((roof.gmacs for roof in roofs), default=axes.y.high)
    for read in reads:
        first, last = max(axes.x.low, axes.y.low / read.gb_s), min(axes.x.high, top / read.gb_s)
        if first >= last:
            continue
        start, end = axes.at(first, first * read.gb_s), axes.at(last, last * read.gb_s)
        drawing.line(start, end, _READ, stroke_dasharray="5 3", **{"class": "bandwidth"})
        angle = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
        turned = f"rotate({angle:.1f} {start[0]:.1f} {start[1]:.1f})"
        words = f"{read.memory} {read.gb_s:.0f} GB/s"
        drawing.text((start[0] + 24, start[1] - 5), words, fill=_READ, transform=turned)


def _draw_roofs(drawing: Drawing, axes: Axes, roofs: Sequence[Roof], reads: Sequence[Bandwidth]) -> None:
    """A line for each kind of multiplication; primitives of the same instructions have one."""
    fastest = max((read.gb_s for read in reads), default=0.0)
    names: dict[tuple[str, float], list[str]] = {}
    for roof in roofs:
        names.setdefault((roof.words, roof.gmacs), []).append(roof.primitive)
    taken: list[Box] = []
    for (words, gmacs), primitives in sorted(names.items(), key=lambda item: -item[0][1]):
        first = max(axes.x.low, gmacs / fastest) if fastest else axes.x.low
        drawing.line(axes.at(first, gmacs), axes.at(axes.x.high, gmacs), _ROOF, **{"class": "roof"})
        label = f"{', '.join(primitives)}: {gmacs:.0f} ({words})"
        room = _free(room_of((0, axes.y(gmacs) - 4), label, 11), taken)
        taken.append(room)
        drawing.text((room.left, axes.y(gmacs) - 4), label, fill=_ROOF, font_size=11)


def _free(room: Box, taken: Sequence[Box]) -> Box:
    """Where a label has room: at the right end, else to the left of others."""
    left = _CHART.right - 8 - room.width
    while True:
        moved = Box(left, room.top, room.width, room.height)
        met = [other.left for other in taken if moved.meets(other)]
        if not met or min(met) - 12 - room.width < _CHART.left:
            return moved
        left = min(met) - 12 - room.width


def _marks(profile: Profile, axes: Axes) -> list[_Mark]:
    algorithms = list(dict.fromkeys(row.algorithm for row in profile.layers if row.gmac))
    slowest = sorted(range(len(profile.layers)), key=lambda i: -profile.layers[i].share)
    numbers = {index: number + 1 for number, index in enumerate(slowest)}
    marks = []
    for index, row in enumerate(profile.layers):
        order = algorithms.index(row.algorithm) if row.gmac else len(_COLOURS) - 1
        place = None if row.intensity is None else axes.at(row.intensity, row.gmacs)
        marks.append(_Mark(row, numbers[index], _COLOURS[min(order, len(_COLOURS) - 1)], place))
    return marks


def _draw_marks(drawing: Drawing, marks: Sequence[_Mark]) -> None:
    """Large ones first, so that none is hidden; marks that lie on each other share a label."""
    labels: list[tuple[tuple[float, float], list[int]]] = []
    for mark in sorted(marks, key=lambda mark: mark.number):
        x, y = mark.centre or (0.0, 0.0)
        style: dict[str, str | float] = {"fill": mark.colour, "fill_opacity": 0.5, "stroke": mark.colour}
        drawing.mark("circle", "layer", _told(mark), cx=x, cy=y, r=mark.radius, **style)
        near = next((label for label in labels if math.dist(label[0], (x, y)) < _NEAR), None)
        near[1].append(mark.number) if near else labels.append(((x, y), [mark.number]))
    for (x, y), numbers in labels:
        drawing.text((x, y + 4), _ranges(numbers), text_anchor="middle", font_size=11, font_weight="bold")


def _ranges(numbers: Sequence[int]) -> str:
    """[1, 2, 3, 5] as "1-3, 5"; of many, the first."""
    words: list[str] = []
    ordered = sorted(numbers)
    start = ordered[0]
    for this, following in zip(ordered, [*ordered[1:], 0], strict=True):
        if following != this + 1:
            words.append(str(start) if start == this else f"{start}-{this}")
            start = following
    return ", ".join(words) if len(words) <= 3 else f"{', '.join(words[:3])} ..."


def _draw_strip(drawing: Drawing, marks: Sequence[_Mark]) -> None:
    """Steps that multiply nothing, or of which the file does not tell what they move."""
    if not marks:
        return
    drawing.text((_STRIP.left, _STRIP.top), "steps without multiply-adds or bytes to compare", fill=_QUIET)
    left = _STRIP.left
    for mark in sorted(marks, key=lambda mark: mark.number):
        side = min(2 * mark.radius, _STRIP.height)
        place = {"x": min(left, _STRIP.right - side), "y": _STRIP.top + 8, "width": side, "height": side}
        kind = "layer" if mark.layer.is_layer else "conversion"
        drawing.mark("rect", kind, _told(mark), **place, fill="none", stroke=mark.colour)
        left += side + 6


def _told(mark: _Mark) -> str:
    row = mark.layer
    lines = [f"{mark.number}: {row.name}", ", ".join(filter(None, (row.shape, row.bits)))]
    how = " with ".join(filter(None, (row.algorithm, row.primitive)))
    lines.append(", ".join(filter(None, (how, row.tile and f"tile {row.tile}"))))
    lines.append(f"{row.milliseconds:.3f} ms, {100 * row.share:.1f} % of the time")
    if row.gmac:
        lines.append(f"{row.gmac:.3f} GMAC, {row.gmacs:.1f} GMAC/s")
    if row.peak is not None and row.of_peak is not None:
        lines.append(f"{100 * row.of_peak:.1f} % of its primitive's peak, {row.peak:.1f} GMAC/s")
    if row.multiplies != 1 and row.of_direct is not None:
        lines.append(f"{100 * row.of_direct:.1f} % of the direct convolution's peak, by fewer multiplies")
    if row.bytes is not None:
        lines.append(f"{row.bytes / 1e6:.2f} MB moved")
    return "\n".join(filter(None, lines))


def _draw_list(drawing: Drawing, profile: Profile, marks: Sequence[_Mark]) -> None:
    """Colours of the algorithms, then the layers that take most of the time."""
    at = _LIST.top
    for name, colour in {mark.layer.algorithm: mark.colour for mark in marks if mark.layer.gmac}.items():
        drawing.add("circle", cx=_LIST.left + 5, cy=at - 4, r=5, fill=colour, fill_opacity=0.5, stroke=colour)
        drawing.text((_LIST.left + 18, at), name)
        at += _LINE
    drawing.text((_LIST.left, at + 4), "area of a mark: share of the time", fill=_QUIET)
    at += 2 * _LINE
    columns = (("layer", 24, ""), ("ms", 270, "end"), ("% time", 322, "end"), ("% peak", 376, "end"))
    for words, offset, anchor in columns:
        drawing.text((_LIST.left + offset, at), words, fill=_QUIET, text_anchor=anchor or "start")
    shown = int((_LIST.bottom - at) / _LINE) - 1
    for mark in sorted(marks, key=lambda mark: mark.number)[:shown]:
        at += _LINE
        row = mark.layer
        share = "-" if row.of_peak is None else f"{100 * row.of_peak:.1f}"
        cells = (_shortened(row.name), f"{row.milliseconds:.3f}", f"{100 * row.share:.1f}", share)
        drawing.text((_LIST.left + 18, at), str(mark.number), fill=mark.colour, text_anchor="end")
        for words, (_, offset, anchor) in zip(cells, columns, strict=True):
            drawing.text((_LIST.left + offset, at), words, text_anchor=anchor or "start")
    if len(marks) > shown:
        drawing.text((_LIST.left + 24, at + _LINE), f"and {len(marks) - shown} more", fill=_QUIET)
    if profile.peaks.origin is Origin.UNKNOWN:
        drawing.text((_CHART.left + 12, _CHART.top + 20), "no peaks to compare with", fill=_QUIET)


def _shortened(name: str, most: int = 26) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}..{name[-(most // 2 - 1) :]}"
