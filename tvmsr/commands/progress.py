"""Progress: how long work reports what it has done, whoever is looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

#: Called with a stage ("calibrate", "compile", ...), the items done and the items in all.
Progress = Callable[[str, int, int], None]


@runtime_checkable
class Estimating(Protocol):
    """A progress with this method, too, hears how good the plan is that calibration would leave now."""

    def estimate(self, drop: float | None) -> None:
        """drop: of PSNR, in dB, to expect of the best plan so far; None: not known, or not any more."""


def silent(_stage: str, _done: int, _total: int) -> None:
    """Report nothing."""


@contextmanager
def estimates(progress: Progress) -> Iterator[Callable[[float | None], None]]:
    """What an estimate is given to while a plan is made; the progress hears it, if it wants to."""
    listener: object = progress

    def hear(drop: float | None) -> None:
        if isinstance(listener, Estimating):
            listener.estimate(drop)

    try:
        yield hear
    finally:
        hear(None)
