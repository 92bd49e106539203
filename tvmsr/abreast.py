"""Crops side by side: what numpy does with one of them lets go of the interpreter, so that threads get far.

BLAS has one thread meanwhile. Its own threads wait for each other awake in every product, and as soon as another
program wants a CPU most of the time is waiting: a calibration of 48 s took 137 s so. Results are the same with any
number of threads, as crops are put together in their order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

from tvmsr.hardware.cpuinfo import usable_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")

#: As many threads at most: each holds the tensors of a crop.
MOST_THREADS = 8
#: Threads that `mapped` has here; 0 outside of `abreast`. Threads that it starts have 0 themselves.
_THREADS: ContextVar[int] = ContextVar("threads", default=0)
#: What a thread of `in_order` works on.
_WORK: ContextVar[_Work[Any, Any] | None] = ContextVar("work", default=None)


class _Blas:
    """BLAS's threads are the process's: of several that limit them at once, the first does so, until it ends.

    threads: as many as there were, or CPUs where the library is one that threadpoolctl cannot ask. by_thread: whether
    each thread has its own limit, as those of OpenMP do.
    """

    def __init__(self) -> None:
        self.threads, self.by_thread = 1, False
        self._is_limited = Lock()

    @contextmanager
    def limited(self) -> Iterator[None]:
        if not self._is_limited.acquire(blocking=False):
            yield
            return
        try:
            found = [one for one in threadpool_info() if one["user_api"] == "blas"]
            self.threads = max((one["num_threads"] for one in found), default=_wanted_threads())
            self.by_thread = any(one.get("threading_layer") == "openmp" for one in found)
            with threadpool_limits(1, user_api="blas"):
                yield
        finally:
            self._is_limited.release()


_BLAS = _Blas()


def _wanted_threads() -> int:
    text = os.environ.get("OMP_NUM_THREADS", "")
    return max(int(text), 1) if text.isdecimal() else usable_cpus()


@contextmanager
def abreast(threads: int | None = None) -> Iterator[None]:
    """BLAS has one thread meanwhile, in the whole process, and `mapped` here as many as BLAS had, or `threads`.

    Within another one: nothing. Of several at once in one process the first limits BLAS, until it ends.
    """
    if _THREADS.get():
        yield
        return
    with _BLAS.limited():
        token = _THREADS.set(min(threads or _BLAS.threads, MOST_THREADS))
        try:
            yield
        finally:
            _THREADS.reset(token)


def mapped(
    function: Callable[[Item], Result], items: Iterable[Item], done: Callable[[], None] | None = None
) -> list[Result]:
    """All that `in_order` gives. done: is called here after each."""
    found = []
    for result in in_order(function, items):
        found.append(result)
        if done is not None:
            done()
    return found


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The function of each item, in their order; side by side within `abreast`.

    The first error in their order is raised. Then, and where no more results are wanted, what runs ends at its next
    `check_wanted`: Ctrl-C does not wait for whole crops.
    """
    given = list(items)
    threads = min(_THREADS.get(), len(given))
    if threads < 2:
        yield from map(function, given)
        return
    work = _Work(function, given)
    running = [Thread(target=work.go_on) for _ in range(threads)]
    try:
        for thread in running:
            thread.start()
        for number in range(len(given)):
            yield work.result(number)
    finally:
        work.stopped = True
        for thread in running:
            if thread.ident is not None:
                thread.join()


def check_wanted() -> None:
    """Called between steps of what takes long: ends a thread of `in_order` whose results nobody wants any more."""
    work = _WORK.get()
    if work is not None and work.stopped:
        raise _Unwanted


class _Unwanted(BaseException):
    """Ends a thread."""


class _Work(Generic[Item, Result]):
    """Items that threads take one after another, and what came of them."""

    def __init__(self, function: Callable[[Item], Result], given: list[Item]) -> None:
        self.function, self.stopped = function, False
        self._left, self._taking = enumerate(given), Lock()
        self._come: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()
        self._early: dict[int, tuple[Any, BaseException | None]] = {}

    def go_on(self) -> None:
        """What a thread does."""
        _WORK.set(self)
        _THREADS.set(0)  # some Pythons hand contexts on to threads
        if _BLAS.by_thread:
            threadpool_limits(1, user_api="blas")
        while not self.stopped:
            with self._taking:
                taken = next(self._left, None)
            if taken is None:
                return
            number, item = taken
            try:
                self._come.put((number, self.function(item), None))
            except BaseException as error:  # raised where it is waited for
                self._come.put((number, None, error))

    def result(self, number: int) -> Result:
        """That of an item, once it is there."""
        while number not in self._early:
            come, found, error = self._come.get()
            self._early[come] = found, error
        found, error = self._early.pop(number)
        if error is not None:
            raise error
        return found
