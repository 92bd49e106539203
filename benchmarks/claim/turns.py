"""One network: ours at 8 bits by turns with its FP32 in every peer."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from judging.networks import Row
from peering.networks import Network, Sources, prepare
from peering.runtimes import Size
from peering.store import OURS
from peering.turns import Column, Task, convert, take_turns

import tvmsr
from tvmsr.frontend.choices import Overrides

#: The column of ours, and what peers run.
INT8, FP32 = f"{OURS} int8", "fp32"
#: Conversions at a time.
_AT_ONCE = 2


@dataclass(frozen=True)
class Choice:
    """What is run: peers by the names of peering.runtimes, their interpreter, and how long rounds go on."""

    size: Size
    threads: int
    peers: tuple[str, ...]
    python: str
    rounds: int
    seconds: float

    @property
    def columns(self) -> list[str]:
        return [INT8, *(f"{peer} {FP32}" for peer in self.peers)]


def artifact(row: Row, sources: Sources, folder: Path) -> Path:
    """Ours with default options: what benchmarks/quality.py --keep left in the folder, or it is compiled into it."""
    path = folder / f"{row.stem}-int8.so"
    if not path.is_file():
        said, how = Overrides(scale=row.scale), sources.calibration
        tvmsr.compile(row.file(sources.weights), out=path, calib=how.calib, hr=how.hr, overrides=said)
    return path


def measured(row: Row, choice: Choice, sources: Sources, artifacts: Path) -> dict[str, Any]:
    """The row of a results file (peering.store): times in ms by column, or why there are none."""
    ours = artifact(row, sources, artifacts)
    with tempfile.TemporaryDirectory(dir=sources.work) as work:
        folder = Path(work)
        weights = row.model.removesuffix(".safetensors")
        prepared = prepare(Network(row.name, weights, weights, row.scale), [choice.size], sources, folder)
        source, picture = (str(of(choice.size)) for of in (prepared.input_file, prepared.picture_file))
        tasks = [Task(*INT8.split(), (str(ours), picture, ""), source, choice.threads)]
        columns: dict[str, dict[str, Any]] = {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            made = pool.map(lambda peer: convert(choice.python, peer, FP32, prepared.job), choice.peers)
            for peer, (files, reason) in zip(choice.peers, made, strict=True):
                if reason:
                    columns[f"{peer} {FP32}"] = {"reason": reason}
                else:
                    theirs = tuple(files[str(choice.size)])
                    tasks.append(Task(peer, FP32, theirs, source, choice.threads, choice.python))
        found, _ = take_turns(tasks, folder, choice.rounds, choice.seconds)
        columns |= {name: _shown(column) for name, column in found.items()}
        said = {"scale": prepared.model.scale, "gmacs": prepared.gmacs(choice.size)}
        return {**said, "columns": {name: columns[name] for name in choice.columns}}


def _shown(column: Column) -> dict[str, Any]:
    if column.reason or not column.times:
        return {"reason": column.reason or "not run"}
    times = [1e3 * seconds for seconds in column.times]
    return {"minimum": min(times), "median": median(times), "runs": len(times)}
