"""What is done on one device of a pool, in that device's own thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Generic

from tvmsr.devices.pool.heat import slowed_down
from tvmsr.devices.pool.job import U8, Job, Kept, PiecewiseJob, Run, Source
from tvmsr.devices.pool.limits import Allowed, Limits, Pace
from tvmsr.devices.runner import Device, Opening, Runner
from tvmsr.errors import DeviceError, InputFileError, StatusError, TvmsrError
from tvmsr.runtime import ArtifactInfo, LastRun, abi


class PictureError(Exception):
    """A picture could not be read, or its result not be kept, which is no device's fault. error: why.

    broken: the file is damaged, so that the others can be done.
    """

    def __init__(self, error: Exception, broken: bool = False) -> None:
        super().__init__(str(error))
        self.error, self.broken = error, broken


class WrongBytesError(DeviceError):
    """A check picture came out wrong."""


class DroppedError(Exception):
    """The device was taken out in the meantime: nobody wants the result."""


@dataclass(frozen=True)
class Done(Generic[Kept]):
    """A result. seconds: inside the artifact."""

    kept: Kept
    seconds: float


class Hand(Generic[Source, Kept]):
    """A device, its runner and its measured times.

    begun: when it began what it does now (time.monotonic); allowed: what this may take, None where there is no limit.
    slowed: why the device is slower than it was, "" where it is not or does not say. Once dropped, it hands over no
    result any more; one that is just being kept is discarded when that is done.
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
        self._device, self._artifact, self._opening = device, artifact, opening
        self._job, self._limits, self._prove = job, limits, prove
        self._dropped = False
        self._runner: Runner | None = None
        self.pace = Pace(limits)
        self.level = ""
        self.checks = False
        self.allowed: Allowed | None = None
        self.begun = 0.0
        self.slowed = ""
        self._looks = prove and not device.emulated and device.name != "here"
        self._next_look = 0.0
        self._workspaces: dict[tuple[int | None, int, int], int] = {}
        self._forced: int | None = None  # beside what the opening forces, which is None

    def open(self, within: float | None = None) -> None:
        """Open the artifact there, also after a failure, and check it. within: seconds this may take."""
        with self._limit(None if within is None else Allowed(within)):
            self.close()
            self.pace, self._next_look, self._workspaces = Pace(self._limits), 0.0, {}
            self._forced = None
            self._runner = self._device.open(self._artifact, self._opening)
            self.level = self._runner.level
            self.checks = self._prove and bool(self._runner.manifest.get("checks"))
            if self.checks:
                self._compare()
            self._look()

    def check(self) -> None:
        """Compare the artifact's check pictures. WrongBytesError where one differs."""
        with self._limit(self.pace.check_limit()):
            self._compare()

    def _look(self) -> None:
        """Ask the device now and then how it is; one that fails in that will fail again."""
        if not self._looks or time.monotonic() < self._next_look:
            return
        with contextlib.suppress(TvmsrError):
            self.slowed = slowed_down(self._device)
            self.pace.slowed(bool(self.slowed))
        self._next_look = time.monotonic() + self._limits.look

    def _compare(self) -> None:
        start = time.monotonic()
        try:
            self.runner.check()
        except StatusError as error:
            if error.status == abi.CHECK_FAILED:
                raise WrongBytesError(f"it gave wrong bytes: {error}") from None
            raise
        self.pace.checked(time.monotonic() - start)

    def do(self, number: int) -> Done[Kept]:
        """Upscale one picture."""
        with _not_the_device():
            source = self._job.read(number)
        run = _Run(self)
        with _not_the_device(run):
            kept = self._kept(number, source, run)
        if self._dropped:
            self._job.discard(kept)
            raise DroppedError
        return Done(kept, run.seconds)

    def _kept(self, number: int, source: Source, run: Run) -> Kept:
        if isinstance(self._job, PiecewiseJob):
            kept: Kept = self._job.upscale(number, source, run)
            return kept
        return self._job.keep(number, source, run(self._job.picture(source)))

    def upscale(self, picture: U8, choice: int | None) -> tuple[U8, LastRun]:
        """A picture or a piece of one, and what the artifact did. choice: of bits; None: as the runner was opened."""
        runner = self._with(choice)
        pixels, start = picture.shape[0] * picture.shape[1], time.monotonic()
        with self._limit(self.pace.limit(pixels)):
            result = runner.upscale(picture, lambda _done, _rows: self._dropped)
            last = runner.last()
            self.pace.took(pixels, time.monotonic() - start)
            self._look()
        if self._dropped:
            raise DroppedError
        return result, last

    def workspace(self, size: tuple[int, int], choice: int | None) -> int:
        """Asked once a size, (width, height), and choice."""
        key = (choice, *size)
        if key not in self._workspaces:
            runner = self._with(choice)
            with self._limit(self.pace.answer_limit()):
                self._workspaces[key] = runner.workspace(*size)
        return self._workspaces[key]

    def _with(self, choice: int | None) -> Runner:
        """The runner, which uses this bit choice. It is called where the last picture had another only."""
        if choice != self._forced:
            opened = self.runner.info.choice_number(self._opening.choice)
            with self._limit(self.pace.answer_limit()):
                self.runner.force_choice(opened if choice is None else choice)
            self._forced = choice
        return self.runner

    def drop(self) -> None:
        """From another thread: hand over nothing any more."""
        self._dropped = True

    def close(self) -> None:
        """Let go of the artifact there; a device that fails in that is left to itself."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with contextlib.suppress(TvmsrError):
                runner.close()

    @property
    def runner(self) -> Runner:
        """Of the artifact that is open."""
        assert self._runner is not None
        return self._runner

    @contextlib.contextmanager
    def _limit(self, allowed: Allowed | None) -> Iterator[None]:
        self.begun, self.allowed = time.monotonic(), allowed
        try:
            yield
        finally:
            self.allowed = None


class _Run:
    """A Run of one picture. seconds: inside the artifact until now; failed: what the device ended with."""

    def __init__(self, hand: Hand[Any, Any]) -> None:
        self._hand = hand
        self._choice: int | None = None
        self.seconds = 0.0
        self.choices: tuple[int, ...] = ()
        self.tiles: tuple[int, ...] = ()
        self.failed: Exception | None = None

    @property
    def info(self) -> ArtifactInfo:
        return self._hand.runner.info

    @property
    def manifest(self) -> Mapping[str, Any]:
        return self._hand.runner.manifest

    def force(self, choice: int) -> None:
        self._choice = choice

    def workspace(self, width: int, height: int) -> int:
        with self._noted():
            return self._hand.workspace((width, height), self._choice)

    def __call__(self, picture: U8) -> U8:
        with self._noted():
            result, last = self._hand.upscale(picture, self._choice)
        self.seconds += last.seconds
        self.tiles = tuple(sum(counts) for counts in zip_longest(self.tiles, last.tiles, fillvalue=0))
        had = [choice for choice, count in enumerate(last.tiles) if count] or [last.choice]
        self.choices = tuple(dict.fromkeys((*self.choices, *had)))
        return result

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failed = error
            raise


@contextlib.contextmanager
def _not_the_device(run: _Run | None = None) -> Iterator[None]:
    """Errors that are no device's: all but the one that `run` failed with. An InputFileError is of a broken picture."""
    try:
        yield
    except Exception as error:
        if run is not None and error is run.failed:
            raise
        raise PictureError(error, isinstance(error, InputFileError)) from error
