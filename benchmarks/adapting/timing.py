"""Times of the artifacts of a network, each choice forced, by turns in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

#: LR (width, height).
SIZES = ((320, 180), (640, 360))


def times(artifacts: Mapping[str, tuple[Path, Sequence[str]]], size: tuple[int, int], threads: int) -> dict[str, Any]:
    """Milliseconds by "WAY|CHOICE", least and median of runs on noise. artifacts: file and choices by way."""
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
    """Least milliseconds over the pictures of a record, each with its own choice, or all with one."""
    each = [timed[f"{way}|{name}"]["least"] for name in record["names"]]
    taken = [row["choice"] if choice is None else choice for row in record["pictures"]]
    return sum(each[one] for one in taken) / len(taken)
