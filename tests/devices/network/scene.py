"""What the cases share: places, servers in them, an artifact that is slow on purpose, and clients that are timed."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.artifact import fake_reference
from tests.artifact.conftest import TRIPLE
from tests.devices.network.board import Board
from tests.devices.network.net import Here, Network, Place
from tvmsr.artifact.link import link_shared
from tvmsr.devices import Opening
from tvmsr.devices.qemu import ARCHITECTURES
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.devices.server.build import device_program
from tvmsr.errors import DeviceError

PLACES = ("client", "other", "one", "two")

NATIVE = "native"

#: What every call of the last kernel waits: a few seconds a picture, however busy the machine is.
_MICROSECONDS = 70_000

#: A picture and the memory for it that make several strips: there is progress to be seen in the middle.
_HEIGHT, _WIDTH, _STRIPS = 64, 96, Opening(memory=0.05)

_QUICK_KERNEL = "static int rounding_error(void) {"


@dataclass
class Ending:
    """How a case ended. known: seconds until the client knew; served: until another client had its result."""

    came: str
    known: float | None = None
    served: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Scene:
    """architecture: NATIVE, or one that is emulated. program: of the server, built where it is None."""

    net: Network | Here
    folder: Path
    architecture: str = NATIVE
    program: Path | None = None

    @property
    def triple(self) -> str:
        return TRIPLE if self.architecture == NATIVE else ARCHITECTURES[self.architecture].triple

    def place(self, name: str) -> Place:
        return self.net[name]

    def board(self, name: str = "one", *options: str) -> Board:
        """A server of its own in a place."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder), "board")
        return Board(self.place(name), self._command, folder, *options)

    @cached_property
    def _command(self) -> list[str | Path]:
        program = self.program or device_program(self.triple)
        if self.architecture == NATIVE:
            return [program]
        row = ARCHITECTURES[self.architecture]
        root = next(root for root in row.roots if Path(root, row.loader).exists())
        return [row.emulators[0], "-L", root, program]

    @cached_property
    def artifact(self) -> Path:
        return self._linked("quick.so", 0)

    @cached_property
    def slow(self) -> Path:
        """The same results, in the time that it takes to do something in the middle."""
        return self._linked("slow.so", _MICROSECONDS)

    def _linked(self, name: str, microseconds: int) -> Path:
        made = self.folder / f"{self.architecture}-{name}"
        manifest = {"model": "fake", "link_triple": self.triple, "macs_per_pixel": 2}
        parts = fake_reference.parts(manifest=manifest)
        idle = f"extern int usleep(unsigned);\n{_QUICK_KERNEL} usleep({microseconds}u);"
        assert _QUICK_KERNEL in parts.tables
        link_shared(replace(parts, tables=parts.tables.replace(_QUICK_KERNEL, idle)), made, link_triple=self.triple)
        return made

    def serve(self, device: RpcDevice, place: str = "other", size: tuple[int, int] = (33, 47)) -> float:
        """Seconds until a client in `place` had the right bytes of a small picture."""
        began = time.monotonic()
        with self.place(place).entered(), device:
            upscaled(device, self.artifact, picture(*size))
        return time.monotonic() - began


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@cache
def wanted(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return fake_reference.upscale(picture(height, width, seed))


def upscaled(device: RpcDevice, artifact: Path, source: NDArray[np.uint8]) -> None:
    """AssertionError where the bytes are wrong."""
    with device.open(artifact) as runner:
        same = np.array_equal(runner.upscale(source), fake_reference.upscale(source))
    assert same, "wrong bytes"


def working(device: RpcDevice, artifact: Path, progress: Callable[[int, int], object]) -> NDArray[np.uint8]:
    """The result of an upscale that reports progress before it is over."""
    with device.open(artifact, _STRIPS) as runner:
        return runner.upscale(picture(_HEIGHT, _WIDTH), progress)


def interrupted(device: RpcDevice, artifact: Path, event: Callable[[], object]) -> Ending:
    """Do `event` while the device is at work on a picture; what came of it, and seconds until that was known."""
    began: list[float] = []

    def progress(done: int, total: int) -> None:
        if not began:
            began.append(time.monotonic())
            event()

    try:
        result = working(device, artifact, progress)
    except DeviceError as error:
        assert began, f"it failed before anything was done to it: {error}"
        return Ending(one_sentence(error), time.monotonic() - began[0])
    assert began, "the work was over before anything was done to it; it has to be slower"
    assert np.array_equal(result, wanted(_HEIGHT, _WIDTH)), "wrong bytes"
    return Ending("right bytes", time.monotonic() - began[0])


def one_sentence(error: Exception) -> str:
    text = str(error)
    assert text and "\n" not in text and "Traceback" not in text and "kReturn" not in text, f"no sentence: {text!r}"
    return text


def together(works: Iterable[Callable[[], object]], seconds: float) -> None:
    """Run them at once, each in a thread; raises what one raised, and AssertionError where one hangs."""
    failed: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if failed:
        raise failed[0]
    assert not any(thread.is_alive() for thread in threads), f"not over after {seconds:g} s"
