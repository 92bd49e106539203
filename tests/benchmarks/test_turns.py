"""Who runs when in benchmarks/peers.py, and what becomes of those that fail; processes, but no peer."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from peering import turns
from peering.turns import LEAST_ROUNDS, Column, PeerError, Task, take_turns


def task(name: str) -> Task:
    runtime, variant = name.split()
    return Task(runtime, variant, (), "", 1)


NAMES = ("tvmsr a8w8", "ort fp32", "mnn int8")
TASKS = [task(name) for name in NAMES]


class Clock:
    """Moved on by those who run."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Fakes:
    """Processes that are none. fails: which request of a task does, by name: "open", "result", or a run by number."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.seconds = clock, 1.0
        self.log: list[str] = []
        self.open: set[str] = set()
        self.fails: dict[str, str | int] = {}
        self.raises: BaseException | None = None

    def worker(self, task: Task, folder: Path) -> Worker:
        return Worker(self, task.name)


class Worker:
    def __init__(self, fakes: Fakes, name: str) -> None:
        self.fakes, self.name, self.runs = fakes, name, 0
        self._fail("open")
        fakes.open.add(name)
        self.opened = {"opened": 0.5, "before": 7, "level": name.split()[1]}

    def _fail(self, what: str | int) -> None:
        if self.fakes.fails.get(self.name) == what:
            raise PeerError(f"{self.name} failed at {what}")

    def ask(self, request: str) -> dict:
        what, _, where = request.partition(" ")
        if what == "result":
            self._fail("result")
            np.save(where, np.full((2, 3, 3), self.runs, np.uint8))
            return {"peak": 100 + self.runs}
        self.runs += 1
        self.fakes.log.append(self.name)
        self._fail(self.runs)
        if self.fakes.raises is not None:
            raise self.fakes.raises
        self.fakes.clock.now += self.fakes.seconds
        return {"seconds": float(self.runs)}

    def end(self) -> None:
        self.fakes.open.remove(self.name)


@pytest.fixture
def fakes(monkeypatch) -> Fakes:
    clock = Clock()
    made = Fakes(clock)
    monkeypatch.setattr(turns, "Worker", made.worker)
    monkeypatch.setattr(turns, "time", clock)
    return made


def test_every_round_begins_with_the_next(fakes, tmp_path):
    columns, outputs = take_turns(TASKS, tmp_path, 4, 1e9, group=2)
    a, b, c = NAMES
    assert fakes.log == [a, b, c, b, c, a, c, a, b, a, b, c]
    for name in NAMES:
        assert columns[name] == Column((1.0, 2.0, 3.0, 4.0), 0.5, 7, 104, name.split()[1], 2)
        np.testing.assert_array_equal(outputs[name], np.full((2, 3, 3), 4, np.uint8))
    assert not fakes.open and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "rounds, seconds, expected",
    [(9, 0.0, LEAST_ROUNDS), (2, 0.0, 2), (9, 3.5, 4), (9, 4.0, 4), (9, 4.5, 5), (9, 100.0, 9), (1, 100.0, 1)],
)
def test_rounds_and_seconds(fakes, tmp_path, rounds, seconds, expected):
    """None begins after the seconds, which are those of all together, but the least are always run."""
    fakes.seconds = 1 / len(TASKS)
    columns, _ = take_turns(TASKS, tmp_path, rounds, seconds - 1e-6, 0)
    assert {len(column.times) for column in columns.values()} == {expected}


def test_who_fails_leaves_and_the_others_go_on(fakes, tmp_path):
    a, b, c = NAMES
    fakes.fails = {b: 2}
    columns, outputs = take_turns(TASKS, tmp_path, 4, 1e9, group=1)
    assert fakes.log == [a, b, c, b, c, a, a, c, c, a]
    assert columns[b] == Column(group=1, reason=f"{b} failed at 2")
    assert len(columns[a].times) == len(columns[c].times) == 4 and set(outputs) == {a, c}
    assert not fakes.open


@pytest.mark.parametrize("when", ["open", 1, 3, "result"])
def test_all_may_fail(fakes, tmp_path, when):
    fakes.fails = dict.fromkeys(NAMES, when)
    columns, outputs = take_turns(TASKS, tmp_path, 3, 1e9)
    assert {name: column.reason for name, column in columns.items()} == {n: f"{n} failed at {when}" for n in NAMES}
    assert not any(column.times for column in columns.values()) and not outputs and not fakes.open


def test_no_process_is_left_behind(fakes, tmp_path):
    fakes.raises = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        take_turns(TASKS, tmp_path, 3, 1e9)
    assert not fakes.open


def speaks(tmp_path, program: str) -> Task:
    """A task whose interpreter is a few lines of shell that speak for it."""
    shell = tmp_path / "interpreter"
    shell.write_text(f"#!/bin/sh\n{program}\n")
    shell.chmod(0o755)
    return Task("ort", "fp32", (), "", 1, str(shell))


OPENED = '{"opened": 1.5, "before": 2, "level": "best"}'


@pytest.mark.parametrize(
    "program, reason",
    [
        ("exit 3", r"^its process ended with exit code 3: $"),
        ("echo one >&2; echo ' two ' >&2; exit 1", r"^its process ended with exit code 1: two$"),
        ("kill -SEGV $$", r"^its process ended with SIGSEGV: $"),
        (r"""printf '%s\n' '{"reason": "RuntimeError: no\nmore"}'""", r"^RuntimeError: no$"),
        ("printf '{\"opened\": 1.'", r"^its process answered what is no answer: \{\"opened\": 1\.$"),
    ],
)
def test_a_process_that_does_not_open(tmp_path, program, reason):
    with pytest.raises(PeerError, match=reason):
        turns.Worker(speaks(tmp_path, program), tmp_path)
    columns, _ = take_turns([speaks(tmp_path, program)], tmp_path, 1, 1.0)
    assert columns["ort fp32"].reason and not columns["ort fp32"].times


def test_a_process_that_answers(tmp_path):
    lines = (
        f"echo '{OPENED}'",
        "read first",
        'echo "{\\"seconds\\": 2.5, \\"of\\": \\"$first\\"}"',
        "read second",
        "exit 4",
    )
    program = "\n".join(lines)
    worker = turns.Worker(speaks(tmp_path, program), tmp_path)
    try:
        assert worker.opened == json.loads(OPENED)
        assert worker.ask("run") == {"seconds": 2.5, "of": "run"}
        with pytest.raises(PeerError, match="ended with exit code 4"):
            worker.ask("result nowhere")
    finally:
        worker.end()


def test_who_does_not_run_is_stopped(tmp_path):
    worker = turns.Worker(speaks(tmp_path, f"echo '{OPENED}'; read request"), tmp_path)
    try:
        stat, patience = Path(f"/proc/{worker._process.pid}/stat"), time.monotonic() + 30
        while (state := stat.read_text().rpartition(")")[2].split()[0]) != "T" and time.monotonic() < patience:
            time.sleep(0.01)
        assert state == "T"
    finally:
        worker.end()


def test_who_takes_too_long_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(turns, "PATIENCE", 0.2)
    with pytest.raises(PeerError, match="ended with SIGKILL"):
        turns.Worker(speaks(tmp_path, "exec sleep 600"), tmp_path)


def test_the_task_and_the_environment_of_a_process(tmp_path):
    """What serve.py reads, and what OpenMP is told."""
    said = {"python": "$2 $3", "threads": "$OMP_NUM_THREADS", "held": "$HELD"}
    program = f"cat <<END\n{json.dumps(said)}\nEND\nread request"
    python = speaks(tmp_path, program).python
    worker = turns.Worker(Task("ort", "int8", ("a", "b"), "x.npy", 3, python, {"HELD": "AVX2"}), tmp_path)
    worker.end()
    described = tmp_path / "ort-int8.json"
    assert worker.opened == {"python": f"peering.serve {described}", "threads": "3", "held": "AVX2"}
    told = json.loads(described.read_text())
    assert (told["files"], told["input"], told["threads"]) == (["a", "b"], "x.npy", 3)


def test_a_peer_that_is_not_there(tmp_path):
    """By the real serve.py and convert.py, of a runtime that nobody has."""
    np.save(tmp_path / "x.npy", np.zeros(3, np.float32))
    columns, _ = take_turns([Task("nobody", "fp32", (), str(tmp_path / "x.npy"), 1)], tmp_path, 1, 1.0)
    assert columns["nobody fp32"].reason.startswith("ModuleNotFoundError: No module named 'peering.runtimes.nobody'")
    (tmp_path / "job.json").write_text(json.dumps({"folder": str(tmp_path), "sizes": ["4x4"]}))
    files, reason = turns.convert(sys.executable, "nobody", "fp32", tmp_path / "job.json")
    assert files == {} and reason == "not installed: peering.runtimes.nobody"


@pytest.mark.parametrize(
    "program, expected",
    [
        ("""echo noise; echo '{"files": {"4x4": ["a"]}}'""", ({"4x4": ["a"]}, "")),
        (r"""printf '%s\n' '{"reason": "no\nmore"}'""", ({}, "no")),
        ("echo why >&2; exit 2", ({}, "its conversion ended with exit code 2: why")),
        ("kill -KILL $$", ({}, "its conversion ended with SIGKILL: ")),
        ("printf '{\"fil'", ({}, 'its process answered what is no answer: {"fil')),
    ],
)
def test_conversions(tmp_path, program, expected):
    python = speaks(tmp_path, program).python
    assert turns.convert(python, "ort", "fp32", tmp_path / "job.json") == expected


def test_a_conversion_that_takes_too_long(monkeypatch, tmp_path):
    monkeypatch.setattr(turns, "PATIENCE", 1.0)
    python = speaks(tmp_path, "exec sleep 600").python
    expected = {}, "its conversion takes more than 1 s"
    assert turns.convert(python, "ort", "fp32", tmp_path / "job.json") == expected


def test_last_words(tmp_path):
    log = tmp_path / "log"
    assert turns.last_words(log) == ""
    for text, words in (("", ""), ("\n \n", ""), ("one\n  two \n\n", "two"), ("x" * 500, "x" * 160)):
        log.write_text(text)
        assert turns.last_words(log) == words
