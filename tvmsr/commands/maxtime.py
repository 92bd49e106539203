"""What times plans for `--max-time`: artifacts that are compiled for the purpose and gone afterwards."""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.devices import Device
    from tvmsr.graph.model import Model
    from tvmsr.hardware.target import Target
    from tvmsr.quant.adabm.auto import Budget
    from tvmsr.quant.plan import Plan

#: Of a picture that plans are timed with.
CHANNELS = 3
#: Of each plan: runs that warm up, runs at least, seconds at least.
WARM_RUNS, LEAST_RUNS, LEAST_SECONDS = 2, 5, 0.5


@contextlib.contextmanager
def budget_for(
    model: Model, max_time: float | None, size: str, target: Target | None, device: str | Device | None = None
) -> Iterator[Budget | None]:
    """What may be taken of a picture of `size`, "WIDTHxHEIGHT", and what times plans; None where `max_time` is.

    max_time: milliseconds. target: what will be compiled for, None: this machine. device: where it runs, None: here.
    UsageError, before any work, where that cannot be timed.
    """
    if max_time is None:
        yield None
        return
    from tvmsr.devices import find_device
    from tvmsr.hardware import load_target
    from tvmsr.quant.adabm.auto import Budget

    if not (math.isfinite(max_time) and max_time > 0):
        raise UsageError(f"--max-time {max_time:g}: expected a number of milliseconds, above 0")
    width, height = _size(size)
    chosen = target or load_target("host")
    with find_device(device or "here") as where, tempfile.TemporaryDirectory(prefix="tvmsr-time-") as folder:
        _check(where, chosen)
        if where.name == "here":
            _check_room(model.scale, width, height)
        place = "this machine" if where.name == "here" else where.name
        stopwatch = Stopwatch(where, model, chosen, (width, height), Path(folder))
        yield Budget(max_time, stopwatch, f"a picture of {width}x{height} on {place}")


class Stopwatch:
    """Milliseconds of a plan's artifact on a device: of several runs the median, on the threads that it opens with."""

    def __init__(self, where: Device, model: Model, target: Target, size: tuple[int, int], folder: Path) -> None:
        self._where, self._model, self._target, self._size = where, model, target, size
        self._folder, self._count = folder, 0

    def __call__(self, plan: Plan) -> float:
        from tvmsr.artifact.outputs import default_suffix
        from tvmsr.commands.compile import build_artifact

        self._count += 1
        path = self._folder / f"{self._count}{default_suffix('so', self._target.link_triple)}"
        build_artifact(self._model, plan, self._target, path)
        with self._where.open(path) as runner:
            speed = runner.bench(*self._size, runs=LEAST_RUNS, warmup=WARM_RUNS, seconds=LEAST_SECONDS)
            level = runner.level
        path.unlink()
        # The next ones need no other level than the device took.
        self._target = replace(self._target, levels=tuple(one for one in self._target.levels if one.name == level))
        return 1e3 * speed.median


def _size(text: str) -> tuple[int, int]:
    if not text:
        raise UsageError("--max-time needs --size WIDTHxHEIGHT, of the pictures that are to be upscaled in that time")
    found = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if found is None or not (int(found[1]) and int(found[2])):
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT, such as 640x360")
    return int(found[1]), int(found[2])


def _check_room(scale: int, width: int, height: int) -> None:
    """Before calibration, which takes minutes: the picture and its result are held whole while plans are timed."""
    from tvmsr.commands.upscaling.room import memory_here

    room, needed = memory_here(), CHANNELS * width * height * (1 + scale**2)
    if room is not None and needed > room:
        raise UsageError(
            f"--size {width}x{height}: such a picture and its result take {needed:,} bytes of memory, "
            f"{max(0, room):,} are there; name a smaller size"
        )


def _check(where: Device, target: Target) -> None:
    if where.emulated:
        raise UsageError(f"--max-time on {where.name}: the times of an emulator say nothing of a CPU; name a device")
    if where.name == "here" and not runs_here(target):
        raise UsageError(
            f"--max-time for the target {target.name}: its programs do not run on this machine, so that nothing can be "
            "timed; name a device that runs them (`tvmsr compile --device NAME`, after `tvmsr device add`), or leave "
            "--target out"
        )


def runs_here(target: Target) -> bool:
    """Whether this machine has the instruction set, the system and the features of any of the target's levels."""
    import platform

    from tvmsr.hardware.cpuinfo import features, machine

    system = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}.get(platform.system(), "")
    has_loader = target.libc == platform.libc_ver()[0] or target.system != "linux"
    is_alike = target.architecture == machine() and target.system == system and has_loader
    return is_alike and any(features().issuperset(level.needs) for level in target.levels)
