"""How long a device may take: from what it took before."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds, and factors.

    A picture may take `factor` times what the slowest of the device's own pictures took per pixel, and `floor` in any
    case; the first picture takes what it takes, as long as the device gives signs of life. last_factor, last_floor: the
    same for the last device, whose work nobody else could do. reopen: to be opened again after a failure. share: of a
    device's time, what checking its results may cost. look: between looks at a device's health. slower: a device that
    is slowed down is taken out when it takes so many times what it took per pixel before.
    """

    factor: float = 10.0
    floor: float = 10.0
    last_factor: float = 30.0
    last_floor: float = 60.0
    reopen: float = 20.0
    share: float = 0.05
    look: float = 10.0
    slower: float = 3.0


@dataclass(frozen=True)
class Allowed:
    """Seconds that something may take; last: on the last device."""

    seconds: float
    last: float = math.inf


class Pace:
    """The measured times of one device, opened once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._slowest = 0.0  # seconds per input pixel
        self._check = 0.0  # seconds of a check
        self._unproven = 0.0  # seconds of work since the last one
        self._slowed = False
        self._sums = {False: (0.0, 0), True: (0.0, 0)}  # seconds and pixels: usually, and since it is slowed down

    def took(self, pixels: int, seconds: float) -> None:
        """A picture took so long."""
        self._slowest = max(self._slowest, seconds / pixels)
        self._unproven += seconds
        sums = self._sums[self._slowed]
        self._sums[self._slowed] = (sums[0] + seconds, sums[1] + pixels)

    def slowed(self, slowed: bool) -> None:
        """The device is slowed down from now on, or is no longer."""
        if slowed != self._slowed:
            self._slowed, self._sums[True] = slowed, (0.0, 0)

    def too_slow(self) -> bool:
        """Whether it is slowed down and takes too many times what it usually took."""
        (usual, before), (now, since) = self._sums[False], self._sums[True]
        return 0 < self._limits.slower * usual * since < now * before

    def checked(self, seconds: float) -> None:
        """A check took so long."""
        self._check, self._unproven = max(self._check, seconds), 0.0

    def wants_check(self) -> bool:
        """True as soon as another check costs no more than its share."""
        return self._check <= self._limits.share * self._unproven

    def limit(self, pixels: int) -> Allowed | None:
        """What a picture may take; None where nothing is known."""
        return self._allowed(self._slowest * pixels)

    def check_limit(self) -> Allowed | None:
        """What a check may take; None for the first."""
        return self._allowed(self._check)

    def answer_limit(self) -> Allowed | None:
        """What an answer may take that needs no work; None before the first picture."""
        return Allowed(self._limits.floor, self._limits.last_floor) if self._slowest else None

    def _allowed(self, known: float) -> Allowed | None:
        at = self._limits
        if not known:
            return None
        return Allowed(max(at.floor, at.factor * known), max(at.last_floor, at.last_factor * known))
