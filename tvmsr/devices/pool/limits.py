"""How long a device may take: from what it took before."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds, and factors.

    A picture may take `factor` times what the slowest of the device's own pictures took per pixel, and `floor` in any
    case; the first picture takes what it takes, as long as the device gives signs of life. reopen: to be opened again
    after a failure. share: of a device's time, what checking its results may cost.
    """

    factor: float = 10.0
    floor: float = 10.0
    reopen: float = 20.0
    share: float = 0.05


class Pace:
    """The measured times of one device, opened once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._slowest = 0.0  # seconds per input pixel
        self._check = 0.0  # seconds of a check
        self._unproven = 0.0  # seconds of work since the last one

    def took(self, pixels: int, seconds: float) -> None:
        """A picture took so long."""
        self._slowest = max(self._slowest, seconds / pixels)
        self._unproven += seconds

    def checked(self, seconds: float) -> None:
        """A check took so long."""
        self._check, self._unproven = max(self._check, seconds), 0.0

    def wants_check(self) -> bool:
        """True as soon as another check costs no more than its share."""
        return self._check <= self._limits.share * self._unproven

    def limit(self, pixels: int) -> float | None:
        """Seconds that a picture may take; None where nothing is known."""
        if not self._slowest:
            return None
        return max(self._limits.floor, self._limits.factor * self._slowest * pixels)

    def check_limit(self) -> float | None:
        """Seconds that a check may take; None for the first."""
        return max(self._limits.floor, self._limits.factor * self._check) if self._check else None
