"""Profiles an artifact where it runs, in turn with what the machine can do at best, where that can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmsr.commands.benchmark.profile import Profile, level_of, make_profile
from tvmsr.devices.here import Here
from tvmsr.errors import TvmsrError
from tvmsr.hardware.peaks import Meter, Origin, Peaks, computed_peaks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from tvmsr.devices.runner import Device, Runner
    from tvmsr.runtime import StepTime

#: Runs of which the best time of every step counts: at least, at most, and no more than about so many seconds of them.
LEAST_RUNS, MOST_RUNS, SECONDS = 3, 15, 2.0


def profiled(
    where: Device, runner: Runner, size: tuple[int, int], threads: tuple[int, ...], runs: int | None
) -> Profile:
    """On the first of `threads`, on which the runner was opened. runs: exactly so many; None: as many as it needs."""
    import numpy as np

    picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    entry = level_of(runner.manifest, runner.level)
    meter, peaks = _peaks(where, entry, runner.manifest, threads)
    least, most = _amount(where.emulated, runs)
    times: list[tuple[StepTime, ...]] = []
    spent = 0.0
    while len(times) < least or (len(times) < most and spent < SECONDS):
        times.append(runner.profiled(picture))
        spent += sum(step.seconds for step in times[-1])
        if meter is not None:
            meter.round()
    if meter is not None:
        peaks = meter.peaks()
    return make_profile(times, runner.manifest, runner.level, size, threads[0], peaks)


def _amount(emulated: bool, runs: int | None) -> tuple[int, int]:
    """Runs at least and at most. Nobody needs the times of an emulator exactly."""
    if runs is not None:
        return runs, runs
    return (1, 1) if emulated else (LEAST_RUNS, MOST_RUNS)


def _peaks(
    where: Device, entry: Mapping[str, Any], manifest: Mapping[str, Any], threads: tuple[int, ...]
) -> tuple[Meter | None, Peaks]:
    """What measures them, of this machine; else peaks as far as they are known without."""
    isa, target = str(entry.get("isa", "")), str(manifest.get("target", ""))
    if where.name != Here.name:
        return None, _computed(where.target or target, isa, threads)
    try:
        meter = Meter(isa, threads)
    except TvmsrError as error:
        return None, Peaks(Origin.UNKNOWN, f"they cannot be measured: {error}")
    if not meter.knows_primitives:
        computed = _computed(target, isa, threads)
        if computed.origin is Origin.COMPUTED:
            return None, computed
    return meter, Peaks(Origin.UNKNOWN, "")


def _computed(target: str, isa: str, threads: tuple[int, ...]) -> Peaks:
    from tvmsr.hardware import load_target
    from tvmsr.kernels.isa import ISAS

    if isa not in ISAS:
        return Peaks(Origin.UNKNOWN, f"its level is of an isa that is not known here: {isa}")
    try:
        return computed_peaks(load_target(target), isa, threads)
    except TvmsrError as error:
        return Peaks(Origin.UNKNOWN, str(error))
