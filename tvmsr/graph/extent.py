"""Height or width of a tensor as a function of the picture's, and what it is for sizes that are allowed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod

#: Extents are compared at sides from here on: none is so small that a window does not fit.
_FIRST_SAMPLE = 512
#: As many sides are compared at most; a chain of divisions repeats itself after their product.
_MOST_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class Extent:
    """n -> floor((n * a + b) / c) for each step (a, b, c), for sides n of the picture that are multiples of `multiple`.

    Two extents are equal where they give the same for every such n that is large enough for the network.
    """

    steps: tuple[tuple[int, int, int], ...] = ()
    multiple: int = 1

    def __call__(self, side: int) -> int:
        for a, b, c in self.steps:
            side = (side * a + b) // c
        return side

    def then(self, a: int, b: int, c: int = 1) -> Extent:
        """What this extent, n, becomes by floor((n * a + b) / c)."""
        if (a, b, c) == (1, 0, 1):
            return self
        if a == 0:
            return Extent(((0, b, c),), self.multiple)
        if self.steps and self.steps[-1][2] == 1:
            first_a, first_b, _ = self.steps[-1]
            return Extent((*self.steps[:-1], (first_a * a, first_b * a + b, c)), self.multiple)
        return Extent((*self.steps, (a, b, c)), self.multiple)

    def windows(self, taps: int, stride: int, padding: int) -> Extent:
        """How many windows of `taps` fit, one every `stride`, with `padding` more on both sides together."""
        return self.then(1, padding - taps + stride, stride)

    @property
    def ratio(self) -> Fraction:
        """Relative to the picture's side, for large ones; 0 where it does not depend on it."""
        ratio = Fraction(1)
        for a, _, c in self.steps:
            ratio *= Fraction(a, c)
        return ratio

    @property
    def divides(self) -> bool:
        """True where it rounds: then a multiple of the picture's side may make it exact."""
        return any(c != 1 for _, _, c in self.steps)

    @property
    def is_one(self) -> bool:
        return self.ratio == 0 and self(1) == 1

    def times(self, factor: Fraction | int) -> bool:
        """True where it is exactly `factor` times the picture's side."""
        return self.ratio == factor and all(self(n) == n * factor for n in self._sides(self))

    def _sides(self, other: Extent) -> range:
        """Sides that stand for all: the difference of two extents of one ratio repeats itself after that many."""
        count = min(_MOST_SAMPLES, lcm(self._period, other._period))
        return range(_FIRST_SAMPLE * self.multiple, (_FIRST_SAMPLE + count) * self.multiple, self.multiple)

    @property
    def _period(self) -> int:
        return prod(c for _, _, c in self.steps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extent):
            return NotImplemented
        if self.steps == other.steps:
            return True
        return self.ratio == other.ratio and all(self(n) == other(n) for n in self._sides(other))

    def __hash__(self) -> int:
        return hash(self.ratio)

    def __str__(self) -> str:
        text = "n"
        for a, b, c in self.steps:
            inner = f"{a}*{text}" if a != 1 else text
            inner = f"{inner}{b:+d}" if b else inner
            text = f"floor(({inner})/{c})" if c != 1 else f"({inner})"
        return str(self(1)) if self.ratio == 0 else text
