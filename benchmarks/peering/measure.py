"""Measures the rows of one network: files first, then turns, memory and PSNR."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peering.limits import memory_available
from peering.networks import Network, Sources, fp32_bytes, prepare, psnr, to_bytes
from peering.ours import Artifact, compile_at, host_peak, lacks
from peering.runtimes import Size, runtime
from peering.store import OURS, PLANE, Key
from peering.turns import Column, Task, convert, take_turns
from tvmsr.errors import TvmsrError
from tvmsr.graph.analysis import tensor_types

#: Share of the free memory that those who take turns may fill; bytes of a peer beside its tensors, and how many tensors
#: of the largest size it may hold at once.
SHARE, RESIDENT, TENSORS = 0.7, 400 << 20, 5


@dataclass(frozen=True)
class Choice:
    """What was asked for."""

    networks: tuple[Network, ...]
    sizes: tuple[Size, ...]
    threads: tuple[int, ...]
    bits: tuple[str, ...]
    peers: tuple[str, ...]
    modes: tuple[str, ...]
    rounds: int
    seconds: float
    python: str

    def keys(self, network: Network) -> Iterator[Key]:
        for size in self.sizes:
            for mode in self.modes:
                for threads in self.threads:
                    yield Key(network.name, size, threads, mode)

    def columns(self, mode: str) -> list[str]:
        """The names of a row's columns: those of ours, and of the peers that can be run like this."""
        return [*(f"{OURS} {bits}" for bits in self.bits), *(name for name in self.variants if _is_run(name, mode))]

    @property
    def variants(self) -> list[str]:
        return [f"{name} {variant}" for name in self.peers for variant in runtime(name).VARIANTS]

    def compares(self, key: Key) -> bool:
        """True for the rows whose outputs are compared with FP32."""
        return key.size == min(self.sizes) and key.mode == "native"


def _is_run(column: str, mode: str) -> bool:
    """AVX2 knows no bfloat16."""
    name, variant = column.split()
    return mode == "native" or (runtime(name).HELD is not None and variant != "bf16")


def say(words: str) -> None:
    """To the one who waits."""
    print(words, file=sys.stderr, flush=True)


class Bench:
    """A network with everything that runs it, made in `folder`."""

    def __init__(self, network: Network, choice: Choice, sources: Sources, folder: Path) -> None:
        self.choice, self.folder = choice, folder
        self.prepared = prepare(network, choice.sizes, sources, folder)
        self.artifacts: dict[str, Artifact] = {}
        self.files: dict[str, dict[str, list[str]]] = {}
        self.reasons: dict[str, str] = {}
        self._fp32: dict[Size, NDArray[Any]] = {}
        for bits in choice.bits:
            say(f"  {OURS} {bits}: compiling")
            try:
                self.artifacts[f"{OURS} {bits}"] = compile_at(self.prepared.weights, bits, sources)
            except TvmsrError as error:
                self.reasons[f"{OURS} {bits}"] = str(error).splitlines()[0][:160]
        for column in choice.variants:
            say(f"  {column}: converting")
            files, reason = convert(choice.python, *column.split(), self.prepared.job)
            if reason:
                self.reasons[column] = reason
            else:
                self.files[column] = files

    def row(self, key: Key) -> dict[str, Any]:
        """Everything of one row, as the results file has it."""
        level = "" if key.mode == "native" else key.mode
        columns = {name: self._reason(name, level) for name in self._columns(key.mode)}
        ours = [name for name in columns if name.removesuffix(PLANE) in self.artifacts and not columns[name]]
        peers = [name for name in columns if name in self.files and not columns[name]]
        turns: list[tuple[dict[str, Column], dict[str, NDArray[Any]]]] = []
        for group, some in enumerate(self._groups(peers, key.size)):
            tasks = [*(self._ours(n, key, level) for n in ours), *(self._peer(n, key, level) for n in some)]
            say(f"  {key}: {', '.join(task.name for task in tasks)}")
            turns.append(take_turns(tasks, self.folder, self.choice.rounds, self.choice.seconds, group))
        found: dict[str, Any] = {name: {"reason": reason} for name, reason in columns.items() if reason}
        for name in (*ours, *peers):
            found[name] = self._column(name, turns)
        for name in self.artifacts:
            if "reason" not in found[name]:
                found[name]["peak"] = self._peak(name, key, level)
        if self.choice.compares(key):
            self._compare(key.size, found, {name: output for _, outputs in turns for name, output in outputs.items()})
        return {"gmacs": self.prepared.gmacs(key.size), "columns": {name: found[name] for name in columns}}

    def _columns(self, mode: str) -> Iterator[str]:
        """Of networks of Y, beside ours for the whole picture: ours for the plane of Y, which is all that peers do."""
        for name in self.choice.columns(mode):
            yield name
            if self.prepared.is_luma and name in self.artifacts:
                yield name + PLANE

    def _reason(self, name: str, level: str) -> str:
        """Why a column cannot be run, as far as is known; "" where it can."""
        if name in self.reasons:
            return self.reasons[name]
        artifact = self.artifacts.get(name.removesuffix(PLANE))
        return lacks(artifact, level) if artifact else ""

    def _groups(self, peers: Sequence[str], size: Size) -> list[Sequence[str]]:
        """As many at a time as fit into memory; ours, which are small, take part in every group."""
        types = tensor_types(self.prepared.model.graph).values()
        largest = 4 * max(t.channels * t.rows(size.height) * t.columns(size.width) for t in types)
        count = max(1, int(SHARE * memory_available()) // (RESIDENT + TENSORS * largest))
        return [peers[i : i + count] for i in range(0, max(len(peers), 1), count)]

    def _ours(self, name: str, key: Key, level: str) -> Task:
        picture = self.prepared.picture_file(key.size, gray=name.endswith(PLANE))
        files = (str(self.artifacts[name.removesuffix(PLANE)].path), str(picture), level)
        return Task(*name.split(), files, str(self.prepared.input_file(key.size)), key.threads)

    def _peer(self, name: str, key: Key, level: str) -> Task:
        peer, variant = name.split()
        held = (runtime(peer).HELD or {}) if level else {}
        files, source = tuple(self.files[name][str(key.size)]), str(self.prepared.input_file(key.size))
        return Task(peer, variant, files, source, key.threads, self.choice.python, held)

    def _peak(self, name: str, key: Key, level: str) -> int:
        return host_peak(self.artifacts[name], self.prepared.pictures[key.size], key.threads, level)

    def _column(self, name: str, turns: Sequence[tuple[dict[str, Column], Any]]) -> dict[str, Any]:
        """Times in ms. against: the medians of ours in the runs that took turns with it."""
        found = [columns for columns, _ in turns if name in columns]
        parts = [columns[name] for columns in found]
        reason = next((part.reason for part in parts if part.reason), "")
        if reason or not parts:
            return {"reason": reason or "not run"}
        times = [1e3 * t for part in parts for t in part.times]
        return {
            "minimum": min(times),
            "median": median(times),
            "runs": len(times),
            "opened": 1e3 * min(part.opened for part in parts),
            "peak": max(part.peak for part in parts),
            "before": max(part.before for part in parts),
            "level": parts[0].level,
            "against": {
                n.split()[1]: 1e3 * median(c.times)
                for n, c in found[0].items()
                if n.removesuffix(PLANE) in self.artifacts and c.times
            },
        }

    def _compare(self, size: Size, found: dict[str, Any], outputs: dict[str, NDArray[Any]]) -> None:
        if size not in self._fp32:
            say("  FP32: computing the reference")
            self._fp32[size] = fp32_bytes(self.prepared, size)
        for name, output in outputs.items():
            if name.endswith(PLANE):
                continue
            pixels = output if output.dtype == np.uint8 else to_bytes(output)
            if "reason" not in found[name]:
                found[name]["psnr"] = psnr(pixels, self._fp32[size], luma=self.prepared.is_luma)
