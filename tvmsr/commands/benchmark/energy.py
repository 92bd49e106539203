"""Energy a picture, where a device tells it: by a counter around the runs, else by its power while it is at work."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

from tvmsr.devices.power import Energy, energy_of, power_of
from tvmsr.devices.sysfiles import ENERGY, POWER
from tvmsr.errors import TvmsrError, WorkError

if TYPE_CHECKING:
    from types import TracebackType

    from tvmsr.devices.health import Health
    from tvmsr.devices.runner import Device, Runner

#: Samples of the power, and seconds between two. A sensor tells the mean of a while, so the first ones do not count.
SAMPLES, PERIOD, SETTLING = 12, 0.25, 0.5

#: Seconds that a picture for samples should take, and the most pixels (LR) that it may have.
LASTING, MOST_PIXELS = 2.0, 4_000_000


class Counter:
    """A context around what is measured. joules: afterwards; None where the device has no counter, or did not answer.

    source: what is counted, in words; "" for nothing.
    """

    def __init__(self, device: Device, health: Health | None) -> None:
        energy = None if health is None else health.energy
        self._device = device
        self._counts = energy is not None
        self.joules: float | None = None
        self.source = "" if energy is None else f"{energy.source}, its difference"

    def __enter__(self) -> Counter:
        self._first = self._counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        last = self._counter() if error is None else None
        if self._first is not None and last is not None:
            self.joules = last.since(self._first)

    def _counter(self) -> Energy | None:
        try:
            return energy_of(self._device.files(ENERGY)) if self._counts else None
        except TvmsrError:
            return None


def watts_at_work(device: Device, runner: Runner, size: tuple[int, int], seconds: float) -> float | None:
    """Mean power while pictures are upscaled; None where it cannot be told. seconds: what one of this size takes.

    Samples are taken while the runner reports progress: at other moments a device that is reached over a network rests,
    as pictures are on their way. So a picture is as many times as high as it takes to last.
    """
    import numpy as np

    width, height = size
    times = max(1, min(math.ceil(LASTING / seconds), MOST_PIXELS // (width * height)))
    picture = np.random.default_rng(0).integers(0, 256, (times * height, width, 3), np.uint8)
    samples = _Samples(device)
    known = -1
    while known < len(samples.watts) < SAMPLES:  # ends too where a picture brings no sample
        known = len(samples.watts)
        samples.begin()
        try:
            runner.upscale(picture, samples)
        except WorkError:  # it was enough, or the picture is too large there
            break
    return statistics.fmean(samples.watts) if samples.watts else None


class _Samples:
    """Reports of progress, at which the power is read. watts: what was found."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._next = math.inf
        self.watts: list[float] = []

    def begin(self) -> None:
        self._next = math.inf

    def __call__(self, done: int, total: int) -> bool:
        """True, which cancels, where there are enough."""
        del done, total
        now = time.monotonic()
        if self._next == math.inf:  # the first strip is done
            self._next = now + SETTLING
        if now >= self._next:
            self._next = now + PERIOD
            self._read()
        return len(self.watts) >= SAMPLES

    def _read(self) -> None:
        try:
            power = power_of(self._device.files(POWER))
        except TvmsrError:
            return
        if power is not None:
            self.watts.append(power.watts)
