"""Device and Runner: the one way in which commands run an artifact, wherever that is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.runtime import ArtifactInfo, LastRun, StepTime
from tvmsr.runtime.results import StepSum
from tvmsr.runtime.session import ProgressFunction

if TYPE_CHECKING:
    from tvmsr.devices.reach.shell import Shell

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Speed:
    """Seconds that each run on a picture of one size took on some threads, in their order, after warm-up."""

    width: int
    height: int
    threads: int
    times: tuple[float, ...]

    @property
    def runs(self) -> int:
        return len(self.times)

    @property
    def minimum(self) -> float:
        return min(self.times)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.times)

    def percentile(self, percent: float) -> float:
        """The least time that at least so many percent of the runs did not exceed: one that was measured."""
        rank = math.ceil(percent / 100 * len(self.times))
        return sorted(self.times)[max(rank, 1) - 1]


@dataclass(frozen=True)
class Facts:
    """What a device is; 0 and "" where it does not say. features: of its CPU, as targets name them; memory in bytes."""

    machine: str
    system: str
    libc: str
    features: frozenset[str]
    cores: int
    page_size: int
    memory: int


@dataclass(frozen=True)
class Memory:
    """Bytes of the process that runs an artifact. resident, peak: as the kernel counts them.

    mapped: resident pages of the process's own mappings, those of files counted when they are in the page cache. Under
    an emulator the first two count the emulator too; `mapped` does not. 0 where it cannot be told.
    """

    resident: int
    peak: int
    mapped: int = 0


@dataclass(frozen=True)
class Opening:
    """How a runner is opened: see tvmsr.load. memory: MiB of workspace a call may take; check: self-check at open.

    choice: a bit choice by name, for all pictures; None or "auto": by the picture.
    """

    threads: int | None = None
    level: str | None = None
    memory: float | None = None
    check: bool = False
    adaptive: bool = True
    choice: str | None = None

    def __post_init__(self) -> None:
        if self.memory is not None and self.memory <= 0:
            raise UsageError(f"a memory limit of {self.memory} MiB")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"{self.threads} threads; at least 1")


PLAIN = Opening()


class Runner(Protocol):
    """An artifact at the place where it runs. Results are the same bytes everywhere; only time differs.

    A context manager. Serves one call at a time. Beside the errors of tvmsr.runtime.Session, calls raise DeviceError
    where the device fails; the runner is closed then.
    """

    @property
    def name(self) -> str:
        """The device, in words."""

    @property
    def level(self) -> str:
        """The CPU level in use."""

    @property
    def info(self) -> ArtifactInfo:
        """What the artifact is."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The artifact's manifest."""

    @property
    def opening_seconds(self) -> float:
        """How long opening the session took there: packing the weights."""

    def upscale(self, picture: U8, progress: ProgressFunction | None = None) -> U8:
        """uint8 (H, W, 3), (H, W, 4) or (H, W) to the same, enlarged. progress: as Session.upscale's."""

    def traced(self, picture: U8) -> tuple[U8, tuple[StepSum, ...]]:
        """An upscale, and a checksum of everything that its steps stored."""

    def profiled(self, picture: U8) -> tuple[StepTime, ...]:
        """The time of every step in one upscale."""

    def check(self) -> None:
        """Upscale the artifact's check pictures there; WorkError where one comes out wrong."""

    def force_choice(self, choice: int | None) -> None:
        """Use this bit choice from now on; None: as the picture says."""

    def last(self) -> LastRun:
        """What the last upscale did."""

    def workspace(self, width: int, height: int) -> int:
        """Bytes of workspace that a picture of this size takes."""

    def memory(self) -> Memory:
        """Memory of the process that runs the artifact."""

    def bench(self, width: int, height: int, *, runs: int = 10, warmup: int = 2, seconds: float = 0.0) -> Speed:
        """Time upscaling noise of this size, measured there: at least so many runs and seconds."""

    def close(self) -> None:
        """Let go of the artifact; a second time does nothing."""

    def __enter__(self) -> Runner:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


def force_named(runner: Runner, artifact: str | Path, choice: str | None) -> None:
    """What Opening.choice asks for. Where that makes no difference the runner is not called: programs on devices may be
    older.

    Raises UsageError where the artifact has no choice of that name.
    """
    try:
        number = runner.info.choice_number(choice)
    except UsageError as error:
        raise UsageError(f"{artifact}: {error}") from None
    if number is not None and len(runner.info.choices) > 1:
        runner.force_choice(number)


class Device(Protocol):
    """A place where artifacts run: this machine, an emulator, a board. A context manager that closes its runners."""

    @property
    def name(self) -> str:
        """As --device says it."""

    @property
    def emulated(self) -> bool:
        """True where times say nothing about real hardware."""

    @property
    def target(self) -> str | None:
        """Name of the target that artifacts for it are compiled for; None where nobody said."""

    @property
    def shell(self) -> Shell | None:
        """Commands on the device; None where the way to it has none, or it is this machine, or emulated on it."""

    def facts(self) -> Facts:
        """What it is. DeviceError where it does not answer."""

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        """Small files of its system by path: those that match patterns (as glob's) below /proc/ or /sys/, and are
        there; clocks, temperatures, load. A file is cut at 64 KiB, all together at 256 KiB.
        """

    def levels(self, artifact: str | Path) -> tuple[str, ...]:
        """The CPU levels of an artifact that it can run, best first. InputFileError or DeviceError."""

    def open(self, artifact: str | Path, opening: Opening = PLAIN) -> Runner:
        """Open an artifact there. Raises as tvmsr.load does, and DeviceError where the device fails."""

    def renew(self) -> None:
        """See to it that what is opened next has a process of its own there, whose memory is that of its work alone.

        Where there is one process for all, what runs in it is closed. In this process nothing happens.
        """

    def close(self) -> None:
        """Close what runs on it."""

    def __enter__(self) -> Device:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


def measure(
    run: Callable[[U8], float],
    threads: Callable[[], int],
    size: tuple[int, int],
    runs: int,
    warmup: int,
    seconds: float,
) -> Speed:
    """Times of `run`, which upscales a picture and says how long that took. size: (width, height)."""
    if runs < 1:
        raise UsageError(f"{runs} runs; at least 1")
    picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    for _ in range(warmup):
        run(picture)
    times: list[float] = []
    while len(times) < runs or sum(times) < seconds:
        times.append(run(picture))
    return Speed(*size, threads(), tuple(times))
