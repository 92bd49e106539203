"""Processes that take turns: each has one network in one runtime, and whoever does not run is stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BENCHMARKS = Path(__file__).resolve().parents[1]

#: Rounds that are always run, however long they take; seconds that an opening or one run may take.
LEAST_ROUNDS, PATIENCE = 3, 900.0


@dataclass(frozen=True)
class Task:
    """One column: a variant of a runtime. python: its interpreter; environment: beside this process's."""

    runtime: str
    variant: str
    files: tuple[str, ...]
    input: str
    threads: int
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.runtime} {self.variant}"


@dataclass(frozen=True)
class Column:
    """What came of a task: seconds of each run, or the reason why there are none. Memory in bytes.

    before: peak before the runtime was loaded. group: number of those that took turns with each other.
    """

    times: tuple[float, ...] = ()
    opened: float = 0.0
    before: int = 0
    peak: int = 0
    level: str = ""
    group: int = 0
    reason: str = ""


class PeerError(Exception):
    """A peer's process did not do what it was told; the words go into the table."""


def environment(threads: int, more: Mapping[str, str]) -> dict[str, str]:
    """Of a peer's process: some runtimes ask OpenMP how many threads to take."""
    path = os.pathsep.join(filter(None, (str(BENCHMARKS), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), **more}


def last_words(path: Path) -> str:
    """The last line that a process wrote."""
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1].strip()[:160] if lines else ""


class Worker:
    """The process of a task, stopped except while it answers."""

    def __init__(self, task: Task, folder: Path) -> None:
        stem = task.name.replace(" ", "-")
        self._log, description = folder / f"{stem}.log", folder / f"{stem}.json"
        values = {**asdict(task), "environment": None}
        description.write_text(json.dumps(values))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [task.python, "-m", "peering.serve", str(description)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment(task.threads, task.environment),
            )  # fmt: skip
        try:
            self.opened = self._answer()
        except BaseException:
            self.end()
            raise

    def ask(self, request: str) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self._process.stdin is not None
        os.kill(self._process.pid, signal.SIGCONT)
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = _alarm(self._process, PATIENCE)
        with timer:
            line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer = _understood(line)
        if "reason" in answer:
            raise PeerError(answer["reason"].splitlines()[0][:160])
        os.kill(self._process.pid, signal.SIGSTOP)  # some peers' threads go on spinning after a run
        return answer

    def _died(self) -> PeerError:
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return PeerError(f"its process ended with {how}: {last_words(self._log)}")

    def end(self) -> None:
        """Kill it: there is nothing that it has to save."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _understood(line: str) -> dict[str, Any]:
    """An answer; PeerError where a process was cut off in the middle of it."""
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError:
        raise PeerError(f"its process answered what is no answer: {line.strip()[:80]}") from None
    return answer


@contextlib.contextmanager
def _alarm(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """Kills the process when it takes longer."""
    import threading

    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def take_turns(
    tasks: Sequence[Task], folder: Path, rounds: int, seconds: float, group: int = 0
) -> tuple[dict[str, Column], dict[str, NDArray[Any]]]:
    """Columns and outputs (H, W, C) by the names of the tasks.

    At most `rounds` rounds, and no further one after `seconds`, but LEAST_ROUNDS (or `rounds`, where that is less).
    """
    workers: dict[str, Worker] = {}
    columns: dict[str, Column] = {}
    outputs: dict[str, NDArray[Any]] = {}
    times: dict[str, list[float]] = {}

    def lost(name: str, error: PeerError) -> None:
        columns[name] = Column(group=group, reason=str(error))
        if name in workers:
            workers.pop(name).end()

    try:
        for task in tasks:
            try:
                workers[task.name], times[task.name] = Worker(task, folder), []
            except PeerError as error:
                lost(task.name, error)
        start, done = time.perf_counter(), 0
        while done < rounds and (done < LEAST_ROUNDS or time.perf_counter() - start < seconds):
            names = list(workers)
            for name in names[done % max(len(names), 1) :] + names[: done % max(len(names), 1)]:
                try:
                    times[name].append(workers[name].ask("run")["seconds"])
                except PeerError as error:
                    lost(name, error)
            done += 1
        for name, worker in list(workers.items()):
            try:
                where = folder / f"{name.replace(' ', '-')}.npy"
                peak = worker.ask(f"result {where}")["peak"]
                outputs[name] = np.load(where)
                where.unlink()
                columns[name] = Column(times=tuple(times[name]), peak=peak, group=group, **worker.opened)
            except PeerError as error:
                lost(name, error)
    finally:
        for worker in workers.values():
            worker.end()
    return columns, outputs


def convert(python: str, runtime: str, variant: str, job: Path) -> tuple[dict[str, list[str]], str]:
    """The files of a network for a variant, by size, made by the peer's own tools; or why there are none."""
    log = job.with_name(f"{runtime}-{variant}-convert.log")
    command = [python, "-m", "peering.convert", runtime, variant, str(job)]
    try:
        with log.open("wb") as errors:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(2, {}), timeout=PATIENCE,
                check=False,
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {}, f"its conversion takes more than {PATIENCE:.0f} s"
    if not done.stdout.strip():
        how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
        return {}, f"its conversion ended with {how}: {last_words(log)}"
    try:
        answer = _understood(done.stdout.strip().splitlines()[-1])
    except PeerError as error:
        return {}, str(error)
    if "reason" in answer:
        return {}, answer["reason"].splitlines()[0][:160]
    return answer["files"], ""
