"""Two logarithmic axes of a chart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tvmsr.commands.benchmark.svg import Box, Drawing

#: Ticks of a decade.
_STEPS = (1, 2, 5)

_GRID, _FRAME = "#e4e4e4", "#444444"


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high`, both above 0, at places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = (step * 10.0**decade for decade in decades for step in _STEPS)
        return [value for value in values if self.low <= value <= self.high]


@dataclass(frozen=True)
class Axes:
    """What lies where in `box`: x grows to the right, y upwards."""

    box: Box
    x: Scale
    y: Scale

    @staticmethod
    def of(box: Box, xs: Iterable[float], ys: Iterable[float]) -> Axes:
        """Axes that show all values, with some room around them; values that are not above 0 do not count."""
        return Axes(box, _scale(xs, box.left, box.right), _scale(ys, box.bottom, box.top))

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.x(x), self.y(y)

    def draw(self, drawing: Drawing, x_title: str, y_title: str) -> None:
        box = self.box
        for value in self.x.ticks():
            drawing.line((self.x(value), box.top), (self.x(value), box.bottom), _GRID)
            drawing.text((self.x(value), box.bottom + 16), f"{value:g}", text_anchor="middle")
        for value in self.y.ticks():
            drawing.line((box.left, self.y(value)), (box.right, self.y(value)), _GRID)
            drawing.text((box.left - 6, self.y(value) + 4), f"{value:g}", text_anchor="end")
        drawing.add("rect", x=box.left, y=box.top, width=box.width, height=box.height, fill="none", stroke=_FRAME)
        middle = box.left - 48, box.top + box.height / 2
        drawing.text((box.left + box.width / 2, box.bottom + 36), x_title, text_anchor="middle")
        turned = f"rotate(-90 {middle[0]:.1f} {middle[1]:.1f})"
        drawing.text(middle, y_title, text_anchor="middle", transform=turned)


def _scale(values: Iterable[float], start: float, end: float) -> Scale:
    shown = [value for value in values if 0 < value < math.inf] or [1.0, 100.0]
    return Scale(min(shown) / 1.8, max(shown) * 1.8, start, end)
