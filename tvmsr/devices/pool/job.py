"""What a pool does with numbered pictures, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
Source = TypeVar("Source")
Kept = TypeVar("Kept")


class Job(Protocol[Source, Kept]):
    """Pictures by their numbers, 0 to count - 1.

    `read` and `keep` are called in the threads of devices, several at a time, and more than once for a picture whose
    device failed; their errors end the work. InputFileError of `read` does so when the other pictures are done.
    `deliver` is called by the thread that runs the pool, once a picture. A `keep` that is at work when the pool ends
    goes on, and is followed by `discard`.
    """

    @property
    def count(self) -> int:
        """Pictures in all."""

    def name(self, number: int) -> str:
        """Of a picture, for messages."""

    def read(self, number: int) -> Source:
        """Fetch it."""

    def picture(self, source: Source) -> U8:
        """What the artifact gets."""

    def keep(self, number: int, source: Source, result: U8) -> Kept:
        """Make of the result what is delivered, where nobody sees it yet."""

    def deliver(self, number: int, kept: Kept) -> None:
        """Let a result count."""

    def discard(self, kept: Kept) -> None:
        """Let go of a result that does not count."""


@dataclass(frozen=True)
class Share:
    """What one device did: pictures delivered, and the seconds that they took inside the artifact.

    level: of the CPU, "" where it was never opened. out: why it was taken out, "" where it was not.
    """

    device: str
    pictures: int
    seconds: float
    level: str
    out: str


@dataclass(frozen=True)
class Spread:
    """How work was spread over devices. notes: what the user should know, one sentence each."""

    shares: tuple[Share, ...]
    notes: tuple[str, ...]
