"""Boards whose files and times are made up; they run artifacts of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.devices import trees
from tvmsr.commands.bench import Benchmark
from tvmsr.devices import Here, HereRunner, Memory, Opening, Speed
from tvmsr.errors import DeviceError


class Runner(HereRunner):
    """Runs here, and takes as long as it likes to say."""

    def bench(self, width: int, height: int, *, runs: int = 10, warmup: int = 2, seconds: float = 0.0) -> Speed:
        super().bench(width, height, runs=1, warmup=0)
        return Speed(width, height, 1, tuple(0.001 * (i + 1) for i in range(runs)))

    def memory(self) -> Memory:
        return Memory(1 << 20, 3 << 20, 1 << 19)


class Board(Here):
    """A board whose files are made up; it runs artifacts of this machine."""

    def __init__(self, name: str, looks: Iterable[trees.Tree], boot: str = "", target: str | None = "host") -> None:
        super().__init__()
        self.name, self.target, self.boot = name, target, boot or name
        self.looks: Iterator[trees.Tree] = iter(looks)
        self.tree: trees.Tree = {}
        self.opened: list[Opening] = []
        self.broken = ""
        self.renewed: list[int] = []

    def renew(self) -> None:
        self.renewed.append(len(self.opened))

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        wanted = tuple(patterns)
        if wanted == ("/proc/sys/kernel/random/boot_id",):
            return {wanted[0]: f"{self.boot}\n".encode()}
        if self.broken == "files":
            raise DeviceError(f"{self.name}: it does not answer")
        if len(wanted) > 3:
            self.tree = next(self.looks, self.tree)
        return dict(self.tree)

    def open(self, artifact: str | Path, opening: Opening = Opening()) -> Runner:  # noqa: B008
        if self.broken == "open":
            raise DeviceError(f"{self.name}: the cable is out")
        self.opened.append(opening)
        runner = Runner(artifact, **vars(opening))
        self._kept.add(runner)
        return runner


def times(found: Benchmark) -> list[float]:
    return [timing.median for timing in found.timings]
