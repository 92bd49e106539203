"""Quality and time of the variants: each picture is read once, and runs are by turns, so that all meet the same."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tvmsr.commands.comparison.making import Made
from tvmsr.commands.comparison.variants import FP32
from tvmsr.commands.evaluate import fp32_upscaler
from tvmsr.commands.progress import Progress
from tvmsr.devices import Here, HereRunner, Opening
from tvmsr.devices.health import doubts, look
from tvmsr.errors import UsageError
from tvmsr.evaluation.evaluate import to_bytes
from tvmsr.evaluation.metrics import Protocol, to_luma

if TYPE_CHECKING:
    from tvmsr.commands.evaluate import Upscaler
    from tvmsr.evaluation.dataset import Pair, Pairs
    from tvmsr.graph.model import Model

#: So often every variant has its turn; runs and seconds, at least, of a turn behind one run that warms up.
ROUNDS, RUNS, SECONDS = 10, 1, 0.05


@dataclass(frozen=True)
class Measured:
    """By variant: PSNR in dB and SSIM (FP32 among them), and the seconds of each run on some threads at a CPU level.

    doubts: why times are not to be trusted.
    """

    figures: Mapping[str, tuple[float, float]]
    seconds: Mapping[str, tuple[float, ...]]
    threads: int = 0
    level: str = ""
    doubts: tuple[str, ...] = ()


def measured(
    model: Model,
    made: Sequence[Made],
    pairs: Pairs,
    protocol: Protocol,
    size: tuple[int, int],
    threads: int | None,
    progress: Progress,
) -> Measured:
    """FP32 and the artifacts on the pictures of `pairs`; the artifacts' times on noise of a size (width, height)."""
    with ExitStack() as stack:
        here = stack.enter_context(Here())
        opening = Opening(threads=threads)
        runners = {one.variant.name: stack.enter_context(here.open(one.path, opening)) for one in made}
        upscalers = {FP32: fp32_upscaler(model), **{name: runner.upscale for name, runner in runners.items()}}
        figures = quality(upscalers, pairs, len(pairs), model.scale, protocol, progress)
        if not runners:
            return Measured(figures, {})
        before = look(here.files, time.sleep)
        seconds = times(runners, size, progress)
        why = doubts(before, look(here.files, time.sleep))
        first = next(iter(runners.values()))
        return Measured(figures, seconds, first.last().threads, first.level, why)


def quality(
    upscalers: Mapping[str, Upscaler],
    pairs: Iterable[Pair],
    count: int,
    scale: int,
    protocol: Protocol,
    progress: Progress,
) -> dict[str, tuple[float, float]]:
    """PSNR in dB and SSIM of every upscaler, means over the pictures; `scale` pixels at the borders do not count."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in upscalers}
    for number, pair in enumerate(pairs):
        progress("quality", number, count)
        for name, upscale in upscalers.items():
            found[name].append(_figures(upscale, pair, scale, protocol))
    progress("quality", count, count)
    return {name: (_mean(rows, 0), _mean(rows, 1)) for name, rows in found.items()}


def _figures(upscale: Upscaler, pair: Pair, scale: int, protocol: Protocol) -> tuple[float, float]:
    try:
        picture = to_bytes(upscale(pair.lr))
        target = to_luma(pair.hr) if picture.ndim == 2 else pair.hr
        return protocol.psnr(picture, target, scale), protocol.ssim(picture, target, scale)
    except UsageError as error:
        raise UsageError(f"{pair.name}: {error}") from None


def _mean(rows: Sequence[tuple[float, float]], column: int) -> float:
    return float(np.mean([row[column] for row in rows]))


def times(runners: Mapping[str, HereRunner], size: tuple[int, int], progress: Progress) -> dict[str, tuple[float, ...]]:
    """Seconds of every run of each, by turns; every second round goes backwards."""
    found: dict[str, tuple[float, ...]] = dict.fromkeys(runners, ())
    done, total, order = 0, ROUNDS * len(runners), list(runners)
    for _ in range(ROUNDS):
        for name in order:
            progress("time", done, total)
            found[name] += runners[name].bench(*size, runs=RUNS, warmup=1, seconds=SECONDS).times
            done += 1
        order.reverse()
    progress("time", total, total)
    return found
