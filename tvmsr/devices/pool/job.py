"""What a pool does with numbered pictures, and what it tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.runtime import ArtifactInfo

U8 = NDArray[np.uint8]

#: Of broken pictures, how many an error tells of.
_BROKEN = 10

Source = TypeVar("Source")
Kept = TypeVar("Kept")
_Source_co = TypeVar("_Source_co", covariant=True)
_Kept_contra = TypeVar("_Kept_contra", contravariant=True)


class Run(Protocol):
    """What a device does for a job that asks for more than one picture: its artifact, and the way to it."""

    @property
    def info(self) -> ArtifactInfo:
        """What the artifact is."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Its manifest."""

    @property
    def choices(self) -> tuple[int, ...]:
        """The bit choices that its pieces, or tiles of these, have had until now, each once."""

    @property
    def tiles(self) -> tuple[int, ...]:
        """How many tiles of its pieces have had each choice until now; empty where the device does not tell."""

    def force(self, choice: int) -> None:
        """Give the pieces that follow, and what `workspace` says, this bit choice, in the place of their own."""

    def workspace(self, width: int, height: int) -> int:
        """Bytes of workspace that a picture of this size takes there; StatusError beyond the limit of memory."""

    def __call__(self, picture: U8) -> U8:
        """Upscale it."""


class Task(Protocol[_Source_co, _Kept_contra]):
    """Pictures by their numbers, 0 to count - 1: a Job or a PiecewiseJob.

    `read` and what makes of it what is kept are called in the threads of devices, several at a time, and more than once
    for a picture whose device failed; their errors end the work. An InputFileError of them does so when the other
    pictures are done. `deliver` is called by the thread that runs the pool, once a picture. A `keep` or `upscale` that
    is at work when the pool ends goes on, and is followed by `discard`.
    """

    @property
    def count(self) -> int:
        """Pictures in all."""

    def name(self, number: int) -> str:
        """Of a picture, for messages."""

    def read(self, number: int) -> _Source_co:
        """Fetch it."""

    def deliver(self, number: int, kept: _Kept_contra) -> None:
        """Let a result count."""

    def discard(self, kept: _Kept_contra) -> None:
        """Let go of a result that does not count."""


class Job(Task[Source, Kept], Protocol[Source, Kept]):
    """Pictures that go through the artifact as they are."""

    def picture(self, source: Source) -> U8:
        """What the artifact gets."""

    def keep(self, number: int, source: Source, result: U8) -> Kept:
        """Make of the result what is delivered, where nobody sees it yet."""


@runtime_checkable
class PiecewiseJob(Task[Source, Kept], Protocol[Source, Kept]):
    """Pictures that may go through the artifact in pieces."""

    def upscale(self, number: int, source: Source, run: Run) -> Kept:
        """Have it upscaled by `run`, whose errors it lets through, and make of it what is delivered."""


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


class BrokenPicturesError(InputFileError):
    """Pictures that cannot be read, when the others are done. errors: of each; spread: how the others were done."""

    def __init__(self, errors: Sequence[Exception], count: int, spread: Spread) -> None:
        super().__init__(unreadable(errors, count))
        self.errors, self.spread = tuple(errors), spread


def unreadable(errors: Sequence[Exception], count: int) -> str:
    """What is said where some of `count` pictures cannot be read."""
    if count == 1:
        return str(errors[0])
    more = f"; and {len(errors) - _BROKEN} more" if len(errors) > _BROKEN else ""
    said = "; ".join(map(str, errors[:_BROKEN]))
    return f"{len(errors)} of {count} pictures cannot be read, the others are done: {said}{more}"


@dataclass(frozen=True)
class Spread:
    """How work was spread over devices. notes: what the user should know, one sentence each."""

    shares: tuple[Share, ...]
    notes: tuple[str, ...]
