"""Devices found and closed for a command, and the same work on each of them at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from tvmsr.devices.find import find_devices
from tvmsr.devices.pool.worker import Desk, Worker, end_all, stop_all
from tvmsr.devices.runner import Device
from tvmsr.errors import TvmsrError

T = TypeVar("T")

#: Has a function called by the thread in command.
Call = Callable[[Callable[[], object]], None]


@contextlib.contextmanager
def opened_devices(device: str | Device | Sequence[Device]) -> Iterator[tuple[Device, ...]]:
    """The devices that are meant, closed at the end; one that fails in closing is left to itself.

    Raises UsageError where a device is not known, DeviceError where what it needs is not installed.
    """
    devices = find_devices(device)
    try:
        yield devices
    finally:
        for one in devices:
            with contextlib.suppress(TvmsrError):
                one.close()


def together(devices: Sequence[Device], work: Callable[[Device, Call], T]) -> list[T | TvmsrError]:
    """What `work` gives for each device, or the error that it ends with; other errors are raised.

    Devices of this machine take turns, the others work at the same time. What `work` has to report it gives to its
    second argument as a function, which is called in the thread that called `together`.
    """
    desk, workers = Desk(), dict[str, Worker]()
    results: dict[int, T | TvmsrError] = {}
    broken: list[Exception] = []

    def begin(number: int, device: Device) -> None:
        place = "this machine" if _shares_this_machine(device) else f"{number}: {device.name}"
        if place not in workers:
            workers[place] = Worker(place, desk)
        workers[place].order(
            lambda: work(device, desk.report), lambda result: results.update({number: result}), partial(failed, number)
        )

    def failed(number: int, error: Exception) -> None:
        if isinstance(error, TvmsrError):
            results[number] = error
        else:
            broken.append(error)

    try:
        for number, device in enumerate(devices):
            begin(number, device)
        while len(results) < len(devices) and not broken:
            desk.handle(1.0)
    except BaseException:  # Ctrl-C too
        stop_all(workers.values())
        raise
    if broken:
        stop_all(workers.values())
        raise broken[0]
    end_all(workers.values())
    return [results[number] for number in range(len(devices))]


def _shares_this_machine(device: Device) -> bool:
    return device.emulated or device.name == "here"
