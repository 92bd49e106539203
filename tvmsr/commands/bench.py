"""`tvmsr bench`: how fast an artifact is, here or on a device."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.files import is_artifact
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides

if TYPE_CHECKING:
    from tvmsr.devices import Device, Runner

WARM_RUNS, LEAST_RUNS, LEAST_SECONDS = 2, 5, 1.0

#: Of an emulator, whose times nobody needs exactly.
EMULATED = (1, 1, 0.0)


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
    """What `tvmsr bench` found. open_ms: opening the artifact, weights packed. notes: what the times do not mean."""

    artifact: str
    level: str
    width: int
    height: int
    gmac: float
    open_ms: float
    timings: tuple[Timing, ...]
    layers: tuple[LayerTime, ...] = ()
    device: str = "here"
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        rows = {"timings": [vars(t) for t in self.timings], "layers": [vars(x) for x in self.layers]}
        return {**vars(self), **rows, "notes": list(self.notes)}


def _layers(runner: Runner, width: int, height: int) -> tuple[LayerTime, ...]:
    import numpy as np

    rows = runner.profiled(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    pixels = width * height
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
    device: str | Device = "here",
    target: str = "host",
    bits: str = "8",
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Benchmark:
    """Time `what`, an artifact or a network (compiled first), on a noise picture of the given LR size.

    Minimum and median after warm-up for every thread count; device: where it runs. Raises UsageError, InputFileError,
    WorkError or DeviceError.
    """
    from tvmsr.devices import find_device

    with find_device(device) as where:
        if is_artifact(what):
            return _bench(where, Path(what), (width, height), threads, level, layers, progress)
        from tvmsr.commands.compile import compile as compile_model

        with tempfile.TemporaryDirectory() as folder:
            made = compile_model(
                what, out=Path(folder, "bench.so"), target=target, bits=bits, overrides=overrides, progress=progress
            )
            return _bench(where, made.artifact, (width, height), threads, level, layers, progress)


def _bench(
    where: Device,
    artifact: Path,
    size: tuple[int, int],
    threads: tuple[int, ...],
    level: str | None,
    layers: bool,
    progress: Progress,
) -> Benchmark:
    from tvmsr.devices import Opening

    warm, runs, seconds = EMULATED if where.emulated else (WARM_RUNS, LEAST_RUNS, LEAST_SECONDS)
    timings: list[Timing] = []
    opened: list[float] = []
    rows: tuple[LayerTime, ...] = ()
    for done, count in enumerate(threads):
        progress("bench", done, len(threads))
        with where.open(artifact, Opening(threads=count, level=level)) as runner:
            opened.append(runner.opening_seconds)
            speed = runner.bench(*size, runs=runs, warmup=warm, seconds=seconds)
            timings.append(Timing(count, speed.runs, 1e3 * speed.minimum, 1e3 * speed.median))
            if layers and count == threads[0]:
                rows = _layers(runner, *size)
            name, macs = runner.level, float(runner.manifest.get("macs_per_pixel", 0))
    progress("bench", len(threads), len(threads))
    gmac = macs * size[0] * size[1] / 1e9
    notes = (f"times are those of the emulator {where.name}, not of a CPU",) if where.emulated else ()
    return Benchmark(str(artifact), name, *size, gmac, 1e3 * min(opened), tuple(timings), rows, where.name, notes)
