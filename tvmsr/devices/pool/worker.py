"""Threads that do what they are told; what came of it is handled by the thread that told them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TypeVar

from tvmsr.devices.leash import Leash
from tvmsr.errors import TvmsrError

T = TypeVar("T")

#: Seconds that threads get to end once nothing is wanted of them, and once they were stopped.
END, STOP = 5.0, 3.0


class Desk:
    """Where the thread in command waits for what the others report: functions, which it calls."""

    def __init__(self) -> None:
        self._reports: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def report(self, what: Callable[[], object]) -> None:
        """From any thread: let `what` be called by the thread in command."""
        self._reports.put(what)

    def handle(self, seconds: float) -> bool:
        """Wait for a report and handle it; False where none came. Ctrl-C ends the wait."""
        try:
            what = self._reports.get(timeout=seconds)
        except Empty:
            return False
        what()
        return True


class Worker:
    """One thread. Its orders are done one after the other; `farewell` is the last of them."""

    def __init__(self, name: str, desk: Desk, farewell: Callable[[], object] = lambda: None) -> None:
        self._desk, self._farewell = desk, farewell
        self._orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._leash = Leash()
        self.stopped = False
        self._thread = threading.Thread(target=self._work, name=f"tvmsr {name}", daemon=True)
        self._thread.start()

    def order(self, work: Callable[[], T], done: Callable[[T], object], failed: Callable[[Exception], object]) -> None:
        """Do `work` in the thread, then call `done` with its result or `failed` with its error at the desk."""

        def run() -> None:
            try:
                result = work()
            except Exception as error:
                caught = error
                self._desk.report(lambda: failed(caught))
            else:
                self._desk.report(lambda: done(result))

        self._orders.put(run)

    def end(self) -> None:
        """No more orders."""
        self._orders.put(None)

    def stop(self) -> None:
        """End what it waits for too: its channels are killed."""
        self.stopped = True
        self._leash.pull()
        self._orders.put(None)

    def join(self, seconds: float) -> bool:
        """Wait for its end; False where it did not come."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _work(self) -> None:
        with self._leash:
            while (run := self._orders.get()) is not None and not self.stopped:
                run()
            with contextlib.suppress(TvmsrError):
                self._farewell()


def end_all(workers: Iterable[Worker]) -> None:
    """Let workers end that have nothing to do; those that do not are stopped, and left alone if even that is vain."""
    waiting = list(workers)
    for worker in waiting:
        worker.end()
    until = time.monotonic() + END
    stop_all(worker for worker in waiting if not worker.join(until - time.monotonic()))


def stop_all(workers: Iterable[Worker]) -> None:
    """Stop workers, whatever they do."""
    waiting = list(workers)
    for worker in waiting:
        worker.stop()
    until = time.monotonic() + STOP
    for worker in waiting:
        worker.join(until - time.monotonic())
