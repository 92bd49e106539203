"""Times of the artifacts of a network by turns in one process: each choice forced on noise, or on a picture its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tvmsr.devices import HereRunner

#: LR (width, height).
SIZES = ((320, 180), (640, 360))


def times(artifacts: Mapping[str, tuple[Path, Sequence[str]]], size: tuple[int, int], threads: int) -> dict[str, Any]:
    """Milliseconds by "WAY|CHOICE", least and median of runs on noise. artifacts: by way, 8 bits first; file, choices.

    Each way runs by turns with the first alone: where many files are open, where their memory lies costs more than bits
    save. Its times are then scaled, so that the first's median is what it is beside that way where it is least, and all
    can be compared. Medians decide: on a machine that others share, one run in ten is a fifth faster than the rest.
    """
    first, *others = artifacts
    pairs = {
        way: _by_turns({name: artifacts[name] for name in (first, way)}, size, threads) for way in others or [first]
    }
    key = f"{first}|{artifacts[first][1][0]}"
    bases = {way: pair[key]["median"] for way, pair in pairs.items()}
    least = min(bases.values())
    found = {key: next(pair[key] for way, pair in pairs.items() if bases[way] == least)}
    for way, pair in pairs.items():
        mine = {name: some for name, some in pair.items() if name != key}
        found |= {name: {what: ms * least / bases[way] for what, ms in some.items()} for name, some in mine.items()}
    return found


def _by_turns(
    artifacts: Mapping[str, tuple[Path, Sequence[str]]], size: tuple[int, int], threads: int
) -> dict[str, dict[str, float]]:
    from tvmsr.commands.comparison.measuring import times as by_turns
    from tvmsr.devices import Here, Opening

    with ExitStack() as stack:
        here = stack.enter_context(Here())
        runners = {}
        for way, (file, names) in artifacts.items():
            for name in names:
                opening = Opening(threads=threads, choice=name if len(names) > 1 else None)
                runners[f"{way}|{name}"] = stack.enter_context(here.open(file, opening))
        found = by_turns(runners, size, lambda *_: None)
    return {key: {"least": 1e3 * min(some), "median": 1e3 * median(some)} for key, some in found.items()}


def mean_time(record: Mapping[str, Any], timed: Mapping[str, Any], way: str, choice: int | None = None) -> float:
    """Median milliseconds over the pictures of a record, each with its own choice, or all with one."""
    each = [timed[f"{way}|{name}"]["median"] for name in record["names"]]
    taken = [row["choice"] if choice is None else choice for row in record["pictures"]]
    return sum(each[one] for one in taken) / len(taken)


def picture_times(runners: Mapping[str, HereRunner], picture: NDArray[np.uint8], rounds: int) -> dict[str, float]:
    """Least milliseconds of each on one picture, what choosing costs among them; every second round goes backwards."""
    found: dict[str, list[float]] = {name: [] for name in runners}
    order = list(runners)
    for name in order:
        runners[name].upscale(picture)
    for _ in range(rounds):
        for name in order:
            start = time.perf_counter()
            runners[name].upscale(picture)
            found[name].append(1e3 * (time.perf_counter() - start))
        order.reverse()
    return {name: min(some) for name, some in found.items()}
