"""A device of a pool as the pool sees it: what it does, and what it has done."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from tvmsr.devices.pool.hand import Done, Hand
from tvmsr.devices.pool.job import Job, Kept, PiecewiseJob, Share, Source
from tvmsr.devices.pool.limits import Limits
from tvmsr.devices.pool.worker import Desk, Worker
from tvmsr.devices.runner import Device, Opening

T = TypeVar("T")


class State(Enum):
    """What a device does. RESERVE: nothing yet; OUT: nothing any more."""

    RESERVE = "in reserve"
    OPENING = "opening"
    IDLE = "idle"
    WORKING = "working"
    CHECKING = "checking"
    OUT = "out"


class Boss(Protocol[Source, Kept]):
    """Who hears, in the thread that runs the pool, what became of an order."""

    def opened(self, member: Member[Source, Kept]) -> None: ...

    def done(self, member: Member[Source, Kept], done: Done[Kept]) -> None: ...

    def proven(self, member: Member[Source, Kept]) -> None: ...

    def failed(self, member: Member[Source, Kept], error: Exception) -> None: ...


class Member(Generic[Source, Kept]):
    """One device. All of it but the work itself happens in the thread that runs the pool.

    number: of the picture in its hands. held: pictures that it has done since it was last proven right. reason: its
    last failure. reopened: it has had its second chance. slowed: the user knows that it is slowed down.
    """

    def __init__(
        self,
        device: Device,
        artifact: Path,
        opening: Opening,
        job: Job[Source, Kept] | PiecewiseJob[Source, Kept],
        limits: Limits,
        prove: bool,
    ) -> None:
        self.name = device.name
        self.hand = Hand(device, artifact, opening, job, limits, prove)
        self.state = State.RESERVE
        self.number: int | None = None
        self.held: list[tuple[int, Done[Kept]]] = []
        self.reason = ""
        self.error: Exception | None = None
        self.reopened = self.slowed = False
        self.pictures, self.seconds = 0, 0.0
        self._worker: Worker | None = None

    @property
    def share(self) -> Share:
        out = self.reason if self.state is State.OUT else ""
        return Share(self.name, self.pictures, self.seconds, self.hand.level, out)

    @property
    def worker(self) -> tuple[Worker, ...]:
        """Its thread, where it has one."""
        return () if self._worker is None else (self._worker,)

    def overdue(self, last: bool) -> float:
        """Seconds that what it does might have taken, where it takes longer; else 0. last: no other device is left."""
        allowed, begun = self.hand.allowed, self.hand.begun
        if self.state is State.OUT or allowed is None:
            return 0.0
        seconds = allowed.last if last else allowed.seconds
        return seconds if time.monotonic() > begun + seconds else 0.0

    def open(self, desk: Desk, boss: Boss[Source, Kept], within: float | None = None) -> None:
        """Begin, or begin again. within: seconds that this may take."""
        if self._worker is None:
            self._worker = Worker(self.name, desk, self.hand.close)
        self.state = State.OPENING
        self._order(partial(self.hand.open, within), lambda _: boss.opened(self), boss)

    def work(self, number: int, boss: Boss[Source, Kept]) -> None:
        self.state, self.number = State.WORKING, number
        self._order(partial(self.hand.do, number), lambda done: boss.done(self, done), boss)

    def check(self, boss: Boss[Source, Kept]) -> None:
        self.state = State.CHECKING
        self._order(self.hand.check, lambda _: boss.proven(self), boss)

    def surrender(self) -> list[tuple[int, Done[Kept] | None]]:
        """Give back what it has in hands and what it holds."""
        back: list[tuple[int, Done[Kept] | None]] = [*self.held]
        if self.number is not None:
            back.append((self.number, None))
        self.number, self.held = None, []
        return back

    def drop(self) -> None:
        """Whatever comes of it is of no interest any more."""
        self.state = State.OUT
        self.hand.drop()
        for worker in self.worker:
            worker.stop()

    def _order(self, work: Callable[[], T], done: Callable[[T], object], boss: Boss[Source, Kept]) -> None:
        (worker,) = self.worker
        worker.order(work, done, lambda error: boss.failed(self, error))
