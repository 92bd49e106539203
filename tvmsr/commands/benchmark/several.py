"""Several devices at the same time, those of one machine one after the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tvmsr.commands.benchmark.material import Material
from tvmsr.commands.benchmark.one import Subject, Wish, bench_on, check_peer
from tvmsr.commands.benchmark.results import Benchmark, Benchmarks, DeviceResult
from tvmsr.commands.progress import Progress
from tvmsr.devices.pool.together import Call, together
from tvmsr.devices.sysfiles import BOOT
from tvmsr.errors import TvmsrError

if TYPE_CHECKING:
    from tvmsr.devices.runner import Device


def bench_on_all(devices: Sequence[Device], material: Material, wish: Wish, progress: Progress) -> Benchmarks:
    """A result a device; one that fails has its error in the place of figures.

    Other errors are those of what was to be compiled: InputFileError, UsageError, WorkError.
    """

    def ask(device: Device, _: Call) -> tuple[str, str]:
        check_peer(device, wish)
        return material.target_for(device), _machine(device)

    targets = together(devices, ask)
    subjects: dict[str, Subject] = {}
    for found in targets:
        if not isinstance(found, TvmsrError):
            subjects[found[0]] = material.subject(found[0])
    ready = [(d, found) for d, found in zip(devices, targets, strict=True) if not isinstance(found, TvmsrError)]
    by_name = {device.name: found for device, found in ready}
    locks = {machine: threading.Lock() for _, (_, machine) in ready}
    done = _Count(len(ready) * len(wish.threads), progress)

    def work(device: Device, report: Call) -> Benchmark:
        target, machine = by_name[device.name]
        with locks[machine]:
            return bench_on(device, subjects[target], wish, lambda: report(done.tick))

    results = dict(zip(by_name, together([device for device, _ in ready], work), strict=True))
    done.finish()
    ended = [
        found if isinstance(found, TvmsrError) else results[d.name] for d, found in zip(devices, targets, strict=True)
    ]
    return Benchmarks(tuple(_row(device, result) for device, result in zip(devices, ended, strict=True)))


def _row(device: Device, result: Benchmark | TvmsrError) -> DeviceResult:
    if isinstance(result, TvmsrError):
        return DeviceResult(device.name, error=result)
    return DeviceResult(device.name, result)


def _machine(device: Device) -> str:
    """The same for all devices of one machine: a word made up when its system started; else the device's name."""
    try:
        found = device.files(BOOT)
    except TvmsrError:
        return device.name
    return next(iter(found.values()), b"").decode("ascii", "replace").strip() or device.name


class _Count:
    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress
        progress("bench", 0, total)

    def tick(self) -> None:
        self._done += 1
        self._progress("bench", self._done, self._total)

    def finish(self) -> None:
        self._progress("bench", self._total, self._total)
