"""Runner: the one way in which commands run an artifact, wherever that is."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.runtime import Session, load

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Speed:
    """Seconds for one picture size on some threads, after warm-up."""

    width: int
    height: int
    threads: int
    runs: int
    minimum: float
    median: float


class Runner(Protocol):
    """An artifact at the place where it runs. Results are the same bytes everywhere; only time differs."""

    @property
    def name(self) -> str:
        """The device, in words."""

    @property
    def level(self) -> str:
        """The CPU level in use."""

    def upscale(self, picture: U8) -> U8:
        """uint8 (H, W, 3), (H, W, 4) or (H, W) to the same, enlarged."""

    def bench(self, width: int, height: int, *, runs: int = 10, warmup: int = 2) -> Speed:
        """Time upscaling noise of this size, measured there."""

    def close(self) -> None:
        """Let go of the artifact."""


class HereRunner:
    """Runs the artifact in this process, through the C ABI."""

    def __init__(self, artifact: str | Path, *, threads: int | None = None, level: str | None = None) -> None:
        self._session: Session = load(artifact, threads=threads, level=level)

    def __enter__(self) -> HereRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        return "this machine"

    @property
    def level(self) -> str:
        return self._session.level

    def upscale(self, picture: U8) -> U8:
        return self._session.upscale(picture)

    def bench(self, width: int, height: int, *, runs: int = 10, warmup: int = 2) -> Speed:
        """Median and minimum of `runs`; every run ends when the last row is stored."""
        if runs < 1:
            raise UsageError(f"{runs} runs; at least 1")
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        for _ in range(warmup):
            self._session.upscale(picture)
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self._session.upscale(picture)
            times.append(time.perf_counter() - start)
        threads = self._session.last().threads
        return Speed(width, height, threads, runs, min(times), statistics.median(times))

    def close(self) -> None:
        self._session.close()
