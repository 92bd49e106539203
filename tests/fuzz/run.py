"""Runs cases in a worker process, with a limit of time for each; a worker that crashes or hangs is replaced."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

#: Seconds of its own that a case may take; those that a worker may take to start.
HANG, START = 10.0, 300.0
#: So many times as long it may take by the clock: other work on the machine is not its fault.
_PATIENCE, _LOOK = 6, 0.25
#: Cases of one worker: what leaks shows as memory, what one case leaves behind does not reach many others.
_CASES_EACH = 500
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Finding:
    """A case that got neither a result nor a line of error. outcome: crash, hang, traceback, memory, message (not one
    line, or not printable), noise (other lines on stderr, warnings), surprise (a mistake of ours that was
    said as if it were one of the file's), unmade (the maker failed)."""

    kind: str
    seed: int
    index: int
    outcome: str
    words: str

    def __str__(self) -> str:
        again = f"python -m tests.fuzz {self.kind} --seed {self.seed} --index {self.index}"
        return f"{self.outcome} ({again})\n{self.words.rstrip()}"


@dataclass
class Report:
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return "\n\n".join([*map(str, self.findings), counts])


class _Worker:
    """One worker process and a thread that reads its answers."""

    def __init__(self, kind: str, seed: int, hang: float) -> None:
        self.hang = hang
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the worker
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", kind, str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=_ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TVM_NUM_THREADS": "1"},
        )  # fmt: skip
        self.answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.cases = 0
        answer = self.answer(START)
        while answer is not None and "ready" not in answer:
            if "warm-up" in answer:
                raise RuntimeError(f"the cases of kind {kind} cannot be made or read:\n{answer['warm-up']}")
            answer = self.answer(START)
        if answer is None:
            raise RuntimeError(f"the worker for {kind} does not start:\n{self.said()}")

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def answer(self, seconds: float) -> dict[str, Any] | None:
        """The next answer; None where the worker has ended. queue.Empty after so many seconds."""
        return self.answers.get(timeout=seconds)

    def patient_answer(self) -> dict[str, Any] | None:
        """The next answer; queue.Empty where the worker has worked, or only waited, for too long."""
        begun, own = time.monotonic(), self.seconds()
        while True:
            try:
                return self.answer(_LOOK)
            except queue.Empty:
                waited = time.monotonic() - begun
                if waited > _PATIENCE * self.hang or (waited > self.hang and self.seconds() - own > self.hang):
                    raise

    def seconds(self) -> float:
        """CPU time of the worker so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, index: int) -> tuple[str, str]:
        """Outcome of a case, and the words to it."""
        assert self.process.stdin is not None
        self.cases += 1
        self.process.stdin.write(f"{index}\n")
        self.process.stdin.flush()
        try:
            answer = self.answer(START)
            if answer is not None and "made" in answer:
                answer = self.patient_answer()
        except queue.Empty:
            self.process.kill()
            return "hang", f"no answer for {self.hang:g} s of its own, or {_PATIENCE} times that by the clock"
        if answer is None:
            return "crash", f"exit code {self.process.wait()}\n{self.said()}"
        return answer["outcome"], answer["words"]

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()[-3000:].decode("utf-8", "replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def run(
    kind: str, seed: int, indices: Iterable[int], tick: Callable[[int], None] = lambda _: None, hang: float = HANG
) -> Report:
    """Every case in turn. tick: called with each number before it is tried. hang: seconds that each may take."""
    report, worker = Report(), None
    try:
        for index in indices:
            tick(index)
            if worker is None or worker.cases >= _CASES_EACH:
                if worker is not None:
                    worker.close()
                worker = _Worker(kind, seed, hang)
            outcome, words = worker.ask(index)
            report.outcomes[outcome] += 1
            if outcome not in ("read", "refused"):
                report.findings.append(Finding(kind, seed, index, outcome, words))
            if outcome in ("crash", "hang"):
                worker.close()
                worker = None
    finally:
        if worker is not None:
            worker.close()
    return report
