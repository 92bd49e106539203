"""`tvmsr bench`: how fast an artifact is here."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmsr.commands.files import is_artifact
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides

WARM_RUNS, LEAST_RUNS, LEAST_SECONDS = 2, 5, 1.0


@dataclass(frozen=True)
class Timing:
    """Milliseconds a picture of one size on some threads took after warm-up."""

    threads: int
    runs: int
    minimum: float
    median: float


@dataclass(frozen=True)
class LayerTime:
    """Milliseconds of one step, and the GMAC/s it reached (0 where it has no multiplications)."""

    name: str
    kernel: str
    milliseconds: float
    gmacs: float


@dataclass(frozen=True)
class Benchmark:
    """What `tvmsr bench` found. open_ms: opening the artifact, weights packed."""

    artifact: str
    level: str
    width: int
    height: int
    gmac: float
    open_ms: float
    timings: tuple[Timing, ...]
    layers: tuple[LayerTime, ...] = ()

    def as_json(self) -> dict[str, Any]:
        rows = {"timings": [vars(t) for t in self.timings], "layers": [vars(x) for x in self.layers]}
        return {**vars(self), **rows}


def _time(session: Any, picture: Any, threads: int) -> Timing:
    for _ in range(WARM_RUNS):
        session.upscale(picture)
    times: list[float] = []
    while len(times) < LEAST_RUNS or sum(times) < LEAST_SECONDS:
        start = time.perf_counter()
        session.upscale(picture)
        times.append(time.perf_counter() - start)
    return Timing(threads, len(times), 1e3 * min(times), 1e3 * statistics.median(times))


def _layers(session: Any, picture: Any) -> tuple[LayerTime, ...]:
    session.profiling(True)
    session.upscale(picture)
    rows = session.profile()
    session.profiling(False)
    pixels = picture.shape[0] * picture.shape[1]
    return tuple(
        LayerTime(row.name, row.kernel, row.seconds * 1e3, row.macs_per_pixel * pixels / max(row.seconds, 1e-9) / 1e9)
        for row in rows
    )


def bench(
    what: str | Path = DEFAULT_MODEL,
    *,
    width: int = 640,
    height: int = 360,
    threads: tuple[int, ...] = (1, 2),
    level: str | None = None,
    layers: bool = False,
    target: str = "host",
    bits: str = "8",
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Benchmark:
    """Time `what`, an artifact or a network (compiled first), on a noise picture of the given LR size.

    Minimum and median after warm-up for every thread count. Raises UsageError, InputFileError or WorkError.
    """
    if is_artifact(what):
        return _bench(Path(what), width, height, threads, level, layers, progress)
    from tvmsr.commands.compile import compile as compile_model

    with tempfile.TemporaryDirectory() as folder:
        made = compile_model(
            what, out=Path(folder, "bench.so"), target=target, bits=bits, overrides=overrides, progress=progress
        )
        return _bench(made.artifact, width, height, threads, level, layers, progress)


def _bench(
    artifact: Path,
    width: int,
    height: int,
    threads: tuple[int, ...],
    level: str | None,
    layers: bool,
    progress: Progress,
) -> Benchmark:
    import numpy as np

    from tvmsr.runtime import load

    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    timings: list[Timing] = []
    opened: list[float] = []
    rows: tuple[LayerTime, ...] = ()
    for done, count in enumerate(threads):
        progress("bench", done, len(threads))
        start = time.perf_counter()
        with load(artifact, threads=count, level=level) as session:
            opened.append(time.perf_counter() - start)
            timings.append(_time(session, picture, count))
            if layers and count == threads[0]:
                rows = _layers(session, picture)
            name, gmac = session.level, session.macs_per_pixel * width * height / 1e9
    progress("bench", len(threads), len(threads))
    return Benchmark(str(artifact), name, width, height, gmac, 1e3 * min(opened), tuple(timings), rows)
