"""Energy between two moments, where a device tells it: by a counter, else by its power at many moments."""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING

from tvmsr.devices.power import Energy, energy_of, power_of
from tvmsr.devices.sysfiles import ENERGY, POWER
from tvmsr.errors import TvmsrError

if TYPE_CHECKING:
    from types import TracebackType

    from tvmsr.devices.health import Health
    from tvmsr.devices.runner import Device

#: Seconds between two samples of the power: often enough for runs of a second, and little to do for the device.
PERIOD = 0.25


class Meter:
    """A context around what is measured. joules: afterwards; None where the device does not tell, or failed to.

    source: what is counted, in words; "" for nothing.
    """

    def __init__(self, device: Device, health: Health | None, period: float = PERIOD) -> None:
        self._device = device
        self._counts = health is not None and health.energy is not None
        self._samples = not self._counts and health is not None and health.power is not None
        self._period = period
        self._watts: list[float] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.joules: float | None = None
        self.source = ""
        if health is not None and health.energy is not None:
            self.source = f"{health.energy.source}, its difference"
        elif health is not None and health.power is not None:
            self.source = f"{health.power.source}, mean of samples times time"

    def __enter__(self) -> Meter:
        self._start = time.monotonic()
        self._first = self._counter()
        if self._samples:
            self._thread = threading.Thread(target=self._sample, name="tvmsr power", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.monotonic() - self._start
        self._stop.set()
        if self._thread is not None:
            self._thread.join(0 if error is not None else 10.0)
        if error is not None:
            return
        last = self._counter()
        if self._first is not None and last is not None:
            self.joules = last.since(self._first)
        elif self._watts:
            self.joules = statistics.fmean(self._watts) * seconds

    def _counter(self) -> Energy | None:
        try:
            return energy_of(self._device.files(ENERGY)) if self._counts else None
        except TvmsrError:
            return None

    def _sample(self) -> None:
        while not self._stop.wait(self._period):
            try:
                power = power_of(self._device.files(POWER))
            except TvmsrError:
                return
            if power is not None:
                self._watts.append(power.watts)
