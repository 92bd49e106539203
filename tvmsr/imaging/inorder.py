"""Calls made on several threads, whose results come in the order in which they were asked for."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

#: More threads would only wait for what they work on.
_MOST_THREADS = 4


class InOrder(Generic[T]):
    """Threads that begin with the first call."""

    def __init__(self) -> None:
        self._threads = min(_MOST_THREADS, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[T]] = deque()

    @property
    def most(self) -> int:
        """Calls that are begun and not taken yet, at most."""
        return 2 * self._threads

    def add(self, call: Callable[[], T]) -> Iterator[T]:
        """Begin a call; gives the results that are to be taken first, so that not too many wait."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="tvmsr picture")
        self._waiting.append(self._pool.submit(call))
        while len(self._waiting) > self.most:
            yield self._waiting.popleft().result()

    def rest(self) -> Iterator[T]:
        """All other results."""
        while self._waiting:
            yield self._waiting.popleft().result()

    def end(self) -> None:
        """Let go of the threads, also in the middle."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
