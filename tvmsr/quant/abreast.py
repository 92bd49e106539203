"""Crops side by side: what numpy does with one of them lets go of the interpreter, so that threads get far.

BLAS has one thread meanwhile. Its own threads wait for each other awake in every product, and as soon as another
program wants a CPU most of the time is waiting: a calibration of 94 s took 296 s so. Results are the same with any
number of threads, as crops are put together in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

from tvmsr.hardware.cpuinfo import usable_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")

#: As many threads at most: each holds the tensors of a crop.
MOST_THREADS = 8
#: Threads that `mapped` has here; 0 outside of `abreast`. Threads that it starts have 0 themselves.
_THREADS: ContextVar[int] = ContextVar("threads", default=0)


@contextmanager
def abreast(threads: int | None = None) -> Iterator[None]:
    """BLAS has one thread meanwhile, and `mapped` as many as BLAS had, or `threads`. Within another one: nothing."""
    if _THREADS.get():
        yield
        return
    token = _THREADS.set(min(threads or _threads_of_blas(), MOST_THREADS))
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        _THREADS.reset(token)


def mapped(
    function: Callable[[Item], Result], items: Iterable[Item], done: Callable[[], None] | None = None
) -> list[Result]:
    """The function of each item, in their order; side by side within `abreast`. The first error is raised.

    done: is called here after each.
    """
    given = list(items)
    threads = min(_THREADS.get(), len(given))
    if threads < 2:
        return list(_told(map(function, given), done))
    with ThreadPoolExecutor(threads) as pool:
        try:
            return list(_told(pool.map(function, given), done))
        except BaseException:  # Ctrl-C, too: what has not begun is not waited for
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _told(results: Iterable[Result], done: Callable[[], None] | None) -> Iterator[Result]:
    for result in results:
        if done is not None:
            done()
        yield result


def _threads_of_blas() -> int:
    """What users set by OMP_NUM_THREADS and the like; CPUs that this process may use where it cannot be known."""
    found = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
    return max(found, default=usable_cpus())
