"""Devices made of Python objects, for a pool: what they do can be scripted, and is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tvmsr.devices.closing import Closing
from tvmsr.devices.pool import Limits
from tvmsr.devices.runner import PLAIN, Opening
from tvmsr.errors import DeviceError, InputFileError, StatusError
from tvmsr.runtime import ArtifactInfo, LastRun, abi

ARTIFACT = Path("sr.so")

CHECKED: dict[str, Any] = {"checks": [{"seed": 3}]}


def upscaled(picture: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(picture, 2, axis=0), 2, axis=1) ^ 255


def alive(name: str) -> bool:
    """Whether the thread of a device is there."""
    return any(thread.name == f"tvmsr {name}" for thread in threading.enumerate())


class FakeDevice(Closing):
    """Called with itself, `opens`, `upscales` and `checks` may sleep, raise, and change `wrong`.

    wrong: results are other bytes, and checks fail. tree: files of its system. calls: of all its runners together.
    """

    emulated = False
    target = None

    def __init__(
        self,
        name: str,
        *,
        opens: Callable[[FakeDevice], object] = lambda _: None,
        upscales: Callable[[FakeDevice], object] = lambda _: None,
        checks: Callable[[FakeDevice], object] = lambda _: None,
        manifest: dict[str, Any] = CHECKED,
    ) -> None:
        self.name = name
        self.opens, self.upscales, self.checks, self.manifest = opens, upscales, checks, manifest
        self.wrong = False
        self.tree: dict[str, bytes] = {}
        self.opened = self.calls = self.checked = 0
        self.runners: list[FakeRunner] = []
        self.openings: list[Opening] = []

    def open(self, artifact: str | Path, opening: Opening = PLAIN) -> FakeRunner:
        assert artifact == ARTIFACT
        self.opened += 1
        self.openings.append(opening)
        self.opens(self)
        self.runners.append(FakeRunner(self))
        return self.runners[-1]

    def levels(self, artifact: str | Path) -> tuple[str, ...]:
        return ("neon",)

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        return dict(self.tree)

    def close(self) -> None:
        """Its runners are closed by who opened them: that is tested."""

    @property
    def all_closed(self) -> bool:
        return all(runner.closed for runner in self.runners)


class FakeRunner(Closing):
    level = "neon"

    def __init__(self, device: FakeDevice) -> None:
        self.device, self.manifest, self.closed = device, device.manifest, False
        self.name = device.name
        self.info = ArtifactInfo(2, "rgb", (1, 1), 8, ("neon",), ("base", "low", "high"))
        self.choice: int | None = self.info.choice_number(device.openings[-1].choice)
        self.asked: list[int | None] = []
        self._one = threading.Lock()

    def upscale(self, picture: np.ndarray, progress: Callable[[int, int], object] | None = None) -> np.ndarray:
        assert not self.closed and self._one.acquire(blocking=False), "a runner serves one call at a time"
        try:
            self.device.calls += 1
            self.device.upscales(self.device)
            return upscaled(picture) ^ np.uint8(self.device.wrong)
        finally:
            self._one.release()

    def force_choice(self, choice: int | None) -> None:
        self.asked.append(choice)
        self.choice = choice

    def workspace(self, width: int, height: int) -> int:
        return width * height + (1000 if self.choice is None else self.choice)

    def last(self) -> LastRun:
        """Left to itself it chooses the first."""
        return LastRun("neon", self.choice or 0, 1, 1, 0, 0.25)

    def check(self) -> None:
        self.device.checked += 1
        self.device.checks(self.device)
        if self.device.wrong:
            raise StatusError(abi.CHECK_FAILED, "check picture 1 of 3 gives 1, not 2")

    def close(self) -> None:
        self.closed = True


@dataclass
class Pictures:
    """A Job: pictures of one colour, whose number says which."""

    count: int
    size: tuple[int, int] = (4, 6)
    unreadable: frozenset[int] = frozenset()
    broken: frozenset[int] = frozenset()
    delivered: dict[int, np.ndarray] = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)
    discarded: int = 0

    def name(self, number: int) -> str:
        return f"{number}.png"

    def read(self, number: int) -> np.ndarray:
        if number in self.unreadable:
            raise OSError(f"{self.name(number)} cannot be read")
        if number in self.broken:
            raise InputFileError(f"{self.name(number)}: damaged")
        return np.full((*self.size, 3), number, np.uint8)

    def picture(self, source: np.ndarray) -> np.ndarray:
        return source

    def keep(self, number: int, source: np.ndarray, result: np.ndarray) -> np.ndarray:
        self.kept.append(number)
        return result

    def deliver(self, number: int, kept: np.ndarray) -> None:
        assert number not in self.delivered, "delivered twice"
        self.delivered[number] = kept

    def discard(self, kept: np.ndarray) -> None:
        self.discarded += 1

    @property
    def all_right(self) -> bool:
        right = (np.array_equal(self.delivered[n], upscaled(self.read(n))) for n in self.delivered)
        return sorted(self.delivered) == list(range(self.count)) and all(right)


#: Limits that a test need not wait for.
QUICK = Limits(floor=0.5, reopen=0.5)


def slowly(device: FakeDevice) -> None:
    """So that every device gets its part."""
    time.sleep(0.01)


def after(calls: int, error: Exception, first: Callable[[FakeDevice], object] = slowly) -> Callable[[FakeDevice], None]:
    """Work for so many calls, then fail in every one."""

    def act(device: FakeDevice) -> None:
        first(device)
        if device.calls > calls:
            raise error

    return act


def only_once(error: Exception) -> Callable[[FakeDevice], None]:
    def act(device: FakeDevice) -> None:
        if device.opened > 1:
            raise error

    return act


def fails(calls: int, error: Exception) -> FakeDevice:
    """Dies after so many pictures, and for good."""
    return FakeDevice("pi5", upscales=after(calls, error), opens=only_once(DeviceError("pi5: nobody answers")))
