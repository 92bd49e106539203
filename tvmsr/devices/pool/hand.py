"""What is done on one device of a pool, in that device's own thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from tvmsr.devices.pool.job import Job, Kept, Source
from tvmsr.devices.pool.limits import Limits, Pace
from tvmsr.devices.runner import Device, Opening, Runner
from tvmsr.errors import DeviceError, StatusError, TvmsrError
from tvmsr.runtime import abi


class PictureError(Exception):
    """A picture could not be read, or its result not be kept, which is no device's fault. error: why."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


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

    due: when what it does now is too late (time.monotonic), None where there is no limit; allowed: the seconds that it
    got for it. Once dropped, it keeps no result any more: `keep` is over before `drop` returns, or is never called.
    """

    def __init__(
        self, device: Device, artifact: Path, opening: Opening, job: Job[Source, Kept], limits: Limits, prove: bool
    ) -> None:
        self._device, self._artifact, self._opening = device, artifact, opening
        self._job, self._limits, self._prove = job, limits, prove
        self._gate = threading.Lock()
        self._dropped = False
        self._runner: Runner | None = None
        self.pace = Pace(limits)
        self.level = ""
        self.checks = False
        self.due: float | None = None
        self.allowed = 0.0

    def open(self, within: float | None = None) -> None:
        """Open the artifact there, also after a failure, and check it. within: seconds this may take."""
        with self._limit(within):
            self.close()
            self.pace = Pace(self._limits)
            self._runner = self._device.open(self._artifact, self._opening)
            self.level = self._runner.level
            self.checks = self._prove and bool(self._runner.manifest.get("checks"))
            if self.checks:
                self._compare()

    def check(self) -> None:
        """Compare the artifact's check pictures. WrongBytesError where one differs."""
        with self._limit(self.pace.check_limit()):
            self._compare()

    def _compare(self) -> None:
        start = time.monotonic()
        try:
            self._open_runner.check()
        except StatusError as error:
            if error.status == abi.CHECK_FAILED:
                raise WrongBytesError(f"it gave wrong bytes: {error}") from None
            raise
        self.pace.checked(time.monotonic() - start)

    def do(self, number: int) -> Done[Kept]:
        """Upscale one picture."""
        with _not_the_device():
            source = self._job.read(number)
            picture = self._job.picture(source)
        runner, pixels, start = self._open_runner, picture.shape[0] * picture.shape[1], time.monotonic()
        with self._limit(self.pace.limit(pixels)):
            result = runner.upscale(picture, lambda _done, _rows: self._dropped)
            seconds = runner.last().seconds
        self.pace.took(pixels, time.monotonic() - start)
        with self._gate:
            if self._dropped:
                raise DroppedError
            with _not_the_device():
                return Done(self._job.keep(number, source, result), seconds)

    def drop(self) -> None:
        """From another thread: keep nothing any more."""
        self._dropped = True  # also for what is at work
        with self._gate:
            self.due = None

    def close(self) -> None:
        """Let go of the artifact there; a device that fails in that is left to itself."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with contextlib.suppress(TvmsrError):
                runner.close()

    @property
    def _open_runner(self) -> Runner:
        assert self._runner is not None
        return self._runner

    @contextlib.contextmanager
    def _limit(self, seconds: float | None) -> Iterator[None]:
        if seconds is not None:
            self.allowed, self.due = seconds, time.monotonic() + seconds
        try:
            yield
        finally:
            self.due = None


@contextlib.contextmanager
def _not_the_device() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise PictureError(error) from error
