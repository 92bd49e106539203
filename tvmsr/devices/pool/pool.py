"""Work spread over devices: every picture is delivered once, whatever becomes of the devices.

One thread a device does the work (hand.py, worker.py); everything is decided in the thread that calls `run`, one report
after the other, so nothing here needs a lock. A picture is in exactly one place: in the queue, in the hands of a
device, among what a device holds, or delivered.

What a device has done is held until its next check comes out right: the artifact's own check pictures, upscaled there
after it was opened, then as often as its limit of the cost allows, and at the end. A check that comes out wrong throws
away what is held, and others do it again. So a device that computes wrongly from some moment on is found, and nothing
that it did from that moment on is delivered. A fault that comes and goes between two checks, or that only some pictures
show, is not.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Generic

from tvmsr.devices.pool.hand import Done, PictureError, WrongBytesError
from tvmsr.devices.pool.job import BrokenPicturesError, Job, Kept, PiecewiseJob, Source, Spread
from tvmsr.devices.pool.limits import Limits
from tvmsr.devices.pool.member import Member, State
from tvmsr.devices.pool.worker import Desk, end_all, stop_all
from tvmsr.devices.runner import PLAIN, Device, Opening
from tvmsr.errors import DeviceError, InputFileError, TvmsrError, UsageError, WorkError

_LOG = logging.getLogger(__name__)

#: Seconds between looks at the limits.
_LOOK = 0.2

#: Names of missing pictures in an error.
_NAMES = 3


def _nobody(_done: int) -> None:
    """Report nothing."""


def spread(
    devices: Sequence[Device],
    artifact: Path,
    job: Job[Source, Kept] | PiecewiseJob[Source, Kept],
    *,
    opening: Opening = PLAIN,
    limits: Limits | None = None,
    report: Callable[[int], object] = _nobody,
) -> Spread:
    """Do `job` with an artifact on devices; report: called with the number of pictures that are done.

    A failure of the only device is raised as it is, and its results are not checked. With several, those that fail are
    taken out; DeviceError, or what all of them say, where none is left. What was delivered until then stays. Pictures
    that cannot be read are named by an InputFileError when the others are done.
    """
    return _Pool(devices, artifact, opening, job, limits or Limits(), report).run()


class _Pool(Generic[Source, Kept]):
    def __init__(
        self,
        devices: Sequence[Device],
        artifact: Path,
        opening: Opening,
        job: Job[Source, Kept] | PiecewiseJob[Source, Kept],
        limits: Limits,
        report: Callable[[int], object],
    ) -> None:
        several = len(devices) > 1
        self._members = tuple(Member(device, artifact, opening, job, limits, prove=several) for device in devices)
        self._artifact, self._job, self._limits, self._report = artifact, job, limits, report
        self._desk = Desk()
        self._queue = deque(range(job.count))
        self._delivered: set[int] = set()
        self._refused: dict[int, dict[Member[Source, Kept], TvmsrError]] = {}
        self._broken: dict[int, Exception] = {}
        self._failure: Exception | None = None
        self._notes: list[str] = []
        self._looked, self._patient_until = time.monotonic(), 0.0

    def run(self) -> Spread:
        try:
            self._tell_progress()
            while not self._over():
                self._give_work()
                self._desk.handle(_LOOK)
                self._take_out_the_late()
        except BaseException:  # Ctrl-C too
            self._dismiss(self._members)
            raise
        for member in self._members:
            if member.state is State.OPENING and member.reopened:  # the others were done before it was back
                self._note(f"{member.name} was taken out: {member.reason}")
        self._dismiss(m for m in self._members if m.state is not State.IDLE)
        end_all(worker for m in self._members if m.state is State.IDLE for worker in m.worker)
        if self._failure is not None:
            raise self._failure
        found = Spread(tuple(m.share for m in self._members), tuple(self._notes))
        if self._broken:
            errors = [self._broken[number] for number in sorted(self._broken)]
            raise BrokenPicturesError(errors, self._job.count, found)
        return found

    # What became of orders (member.Boss).

    def opened(self, member: Member[Source, Kept]) -> None:
        if member.state is State.OUT:
            return
        member.state = State.IDLE
        if member.reopened:
            self._note(f"{member.name} failed and was opened again: {member.reason}")
        elif not member.hand.checks and len(self._members) > 1:
            self._note_once(f"{self._artifact} has no check pictures: what devices compute is not checked")
        self._heed(member)

    def done(self, member: Member[Source, Kept], done: Done[Kept]) -> None:
        if member.number is None:  # it was taken from it
            self._job.discard(done.kept)
            return
        member.held.append((member.number, done))
        member.state, member.number = State.IDLE, None
        if not member.hand.checks:
            self._release(member)
        elif member.hand.pace.wants_check() or member.hand.pace.too_slow():
            member.check(self)
        self._heed(member)
        self._tell_progress()

    def proven(self, member: Member[Source, Kept]) -> None:
        if member.state is not State.OUT:
            member.state = State.IDLE
            self._release(member)
            self._heed(member)

    def failed(self, member: Member[Source, Kept], error: Exception) -> None:
        if member.state is State.OUT:
            return
        if isinstance(error, PictureError):
            if error.broken and member.number is not None:
                self._broken[member.number] = error.error
            else:
                self._fail(error.error)
            member.state, member.number = State.IDLE, None
        elif not isinstance(error, TvmsrError):
            self._fail(error)
            member.drop()
        elif member.state is State.WORKING and not isinstance(error, DeviceError):
            self._refuse(member, error)
        else:
            self._lost(member, error)

    # Decisions.

    def _over(self) -> bool:
        if self._failure is not None:
            at_work = (State.WORKING, State.CHECKING)
            return not any(m.held or m.state in at_work for m in self._members if m.state is not State.OUT)
        return self._missing == 0

    @property
    def _missing(self) -> int:
        """Pictures that are neither delivered nor broken."""
        return self._job.count - len(self._delivered) - len(self._broken)

    def _give_work(self) -> None:
        for member in self._members:
            if member.state is State.IDLE:
                number = self._next_for(member)
                if number is not None:
                    member.work(number, self)
                elif member.held:
                    member.check(self)
        self._call_reserves()
        self._end_where_nobody_can()

    def _next_for(self, member: Member[Source, Kept]) -> int | None:
        for number in self._queue:
            if member not in self._refused.get(number, ()):
                self._queue.remove(number)
                return number
        return None

    def _call_reserves(self) -> None:
        """Have as many devices as there are pictures to do; all of them where some device could not do one."""
        if self._failure is not None:
            return
        wanted = len(self._members) if self._refused else self._missing
        ready = (m for m in self._alive() if m.state is not State.RESERVE)
        missing = wanted - sum(not (m.state is State.OPENING and m.reopened) for m in ready)
        for member in [m for m in self._members if m.state is State.RESERVE][: max(0, missing)]:
            member.open(self._desk, self)

    def _end_where_nobody_can(self) -> None:
        alive = self._alive()
        if not alive and self._failure is None and not self._over():
            self._fail(self._none_left())
        for number, refused in self._refused.items():
            if number not in self._delivered and all(m in refused for m in alive):
                self._fail(list(refused.values())[-1])
        if all(m.state is State.IDLE for m in alive) and not self._over():
            self._fail(RuntimeError(f"nobody does the pictures {sorted(self._queue)}"))  # a mistake in here

    def _refuse(self, member: Member[Source, Kept], error: TvmsrError) -> None:
        """A picture that a device cannot do, and is not broken for: too little memory, perhaps. Another may."""
        number, member.number, member.state = member.number, None, State.IDLE
        if not isinstance(error, WorkError) or number is None:  # the same everywhere
            self._fail(error)
            return
        self._refused.setdefault(number, {})[member] = error
        self._put_back([number])

    def _lost(self, member: Member[Source, Kept], error: TvmsrError) -> None:
        member.error = error
        if len(self._members) == 1:
            self._fail(error)
            member.drop()
            return
        at_work, reason = member.state is not State.OPENING, self._words(member, error)
        if not at_work or member.reopened or self._failure or isinstance(error, WrongBytesError):
            self._take_out(member, reason)
            return
        member.reason, member.reopened = reason + self._put_back_of(member), True
        member.open(self._desk, self, self._limits.reopen)

    def _take_out(self, member: Member[Source, Kept], reason: str) -> None:
        if member.reopened and member.state is State.OPENING:
            reason = f"{member.reason}; it could not be opened again: {reason}"
        member.reason = reason
        member.drop()  # from here on none of its results is kept
        self._note(f"{member.name} was taken out: {reason}{self._put_back_of(member)}")

    def _take_out_the_late(self) -> None:
        """Devices beyond their limits; those of the last one are wider, as nobody else could do its work."""
        now = time.monotonic()
        if now - self._looked > self._limits.floor / 2:  # this process was held up itself, and with it all answers
            self._patient_until = now + self._limits.floor
        self._looked = now
        for member in self._members if now > self._patient_until else ():
            seconds = member.overdue(last=self._alive() == [member])
            if seconds:
                what = "came back" if member.state is State.OPENING else "was done"
                reason = f"nothing {what} within {seconds:.3g} seconds"
                member.error = DeviceError(f"{member.name}: {reason}")
                if len(self._members) == 1:
                    self._fail(member.error)
                    member.drop()
                else:
                    self._take_out(member, reason)

    def _heed(self, member: Member[Source, Kept]) -> None:
        """Say once that a device is slowed down; take it out where it has become much slower and holds nothing."""
        slowed = member.hand.slowed
        if not slowed or self._over():
            return
        if not member.slowed:
            member.slowed = True
            what = "it gets fewer pictures, as it takes its next one when it is done"
            self._note(f"{member.name} is slowed down ({slowed}): {what}")
        if member.hand.pace.too_slow() and not member.held and self._alive() != [member]:
            self._take_out(member, f"it takes over {self._limits.slower:.3g} times as long as before ({slowed})")

    # Where pictures go.

    def _release(self, member: Member[Source, Kept]) -> None:
        held, member.held = member.held, []
        for number, done in held:
            try:
                self._job.deliver(number, done.kept)
            except (TvmsrError, OSError) as error:
                self._fail(error)
                return
            self._delivered.add(number)
            member.pictures, member.seconds = member.pictures + 1, member.seconds + done.seconds
        self._tell_progress()

    def _put_back_of(self, member: Member[Source, Kept]) -> str:
        """Put everything back that a device has; says so, as the end of a sentence."""
        back = member.surrender()
        for _, done in back:
            if done is not None:
                self._job.discard(done.kept)
        self._put_back(number for number, _ in back)
        self._tell_progress()
        others = [m.name for m in self._alive() if m is not member]
        if not back or not others:
            return ""
        what = "its picture" if len(back) == 1 else f"its {len(back)} pictures"
        return f"; {what} went to {others[0] if len(others) == 1 else 'the other devices'}"

    def _put_back(self, numbers: Iterable[int]) -> None:
        if self._failure is None:
            self._queue.extendleft(sorted(numbers, reverse=True))

    def _fail(self, error: Exception) -> None:
        """Do nothing new; what is at work is done and delivered, then this is raised."""
        self._failure = self._failure or error
        self._queue.clear()

    def _none_left(self) -> TvmsrError:
        missing = [self._job.name(n) for n in range(self._job.count) if n not in self._delivered]
        more = f" and {len(missing) - _NAMES} more" if len(missing) > _NAMES else ""
        reasons = "; ".join(f"{m.name}: {m.reason}" for m in self._members)
        words = (
            f"no device is left ({reasons}); {len(self._delivered)} of {self._job.count} pictures are done, missing: "
            f"{', '.join(missing[:_NAMES])}{more}"
        )
        for kind in (UsageError, InputFileError):  # what no device can help, such as a damaged artifact
            if all(isinstance(m.error, kind) for m in self._members):
                return kind(words)
        return DeviceError(words)

    # The rest.

    def _alive(self) -> list[Member[Source, Kept]]:
        return [m for m in self._members if m.state is not State.OUT]

    def _dismiss(self, members: Iterable[Member[Source, Kept]]) -> None:
        """End devices, whatever they do."""
        chosen = list(members)
        for member in chosen:
            member.drop()
        stop_all(worker for member in chosen for worker in member.worker)

    def _words(self, member: Member[Source, Kept], error: Exception) -> str:
        return str(error).removeprefix(f"{member.name}: ")

    def _note(self, sentence: str) -> None:
        self._notes.append(sentence)
        _LOG.warning("%s", sentence)

    def _note_once(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._note(sentence)

    def _tell_progress(self) -> None:
        self._report(len(self._delivered) + sum(len(m.held) for m in self._members))
