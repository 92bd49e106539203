"""What is done on one device of a pool, in that device's own thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from tvmsr.devices.pool.heat import slowed_down
from tvmsr.devices.pool.job import Job, Kept, Source
from tvmsr.devices.pool.limits import Allowed, Limits, Pace
from tvmsr.devices.runner import Device, Opening, Runner
from tvmsr.errors import DeviceError, InputFileError, StatusError, TvmsrError
from tvmsr.runtime import abi


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
        self, device: Device, artifact: Path, opening: Opening, job: Job[Source, Kept], limits: Limits, prove: bool
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

    def open(self, within: float | None = None) -> None:
        """Open the artifact there, also after a failure, and check it. within: seconds this may take."""
        with self._limit(None if within is None else Allowed(within)):
            self.close()
            self.pace, self._next_look = Pace(self._limits), 0.0
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
            self._open_runner.check()
        except StatusError as error:
            if error.status == abi.CHECK_FAILED:
                raise WrongBytesError(f"it gave wrong bytes: {error}") from None
            raise
        self.pace.checked(time.monotonic() - start)

    def do(self, number: int) -> Done[Kept]:
        """Upscale one picture."""
        with _not_the_device(InputFileError):
            source = self._job.read(number)
            picture = self._job.picture(source)
        runner, pixels, start = self._open_runner, picture.shape[0] * picture.shape[1], time.monotonic()
        with self._limit(self.pace.limit(pixels)):
            result = runner.upscale(picture, lambda _done, _rows: self._dropped)
            seconds = runner.last().seconds
            self.pace.took(pixels, time.monotonic() - start)
            self._look()
        if self._dropped:
            raise DroppedError
        with _not_the_device():
            kept = self._job.keep(number, source, result)
        if self._dropped:
            self._job.discard(kept)
            raise DroppedError
        return Done(kept, seconds)

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
    def _open_runner(self) -> Runner:
        assert self._runner is not None
        return self._runner

    @contextlib.contextmanager
    def _limit(self, allowed: Allowed | None) -> Iterator[None]:
        self.begun, self.allowed = time.monotonic(), allowed
        try:
            yield
        finally:
            self.allowed = None


@contextlib.contextmanager
def _not_the_device(broken: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """broken: the error that says that the picture itself is."""
    try:
        yield
    except Exception as error:
        raise PictureError(error, isinstance(error, broken)) from error
