"""Leash: what one thread waits for can be ended by another."""

from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import Protocol


class Killable(Protocol):
    """Something that a thread waits for: a channel."""

    def kill(self) -> None:
        """Close it at once, from any thread: who waits for it gets an error."""


class Leash:
    """Every channel that the thread inside of the `with` block uses, until the leash is pulled.

    A channel that it uses after that fails at once, so that a thread which is about to connect ends too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: weakref.WeakSet[Killable] = weakref.WeakSet()
        self._pulled = False

    def hold(self, one: Killable) -> bool:
        """False where it was pulled before."""
        with self._lock:
            self._held.add(one)
            return not self._pulled

    def pull(self) -> None:
        """Kill all of them, from any thread."""
        with self._lock:
            self._pulled = True
            held = list(self._held)
        for one in held:
            one.kill()

    def __enter__(self) -> Leash:
        _CURRENT.leash = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CURRENT.leash = None


_CURRENT = threading.local()


def hold(one: Killable) -> bool:
    """Tell the leash of this thread, where there is one, what is used; false where it was pulled."""
    leash: Leash | None = getattr(_CURRENT, "leash", None)
    return leash is None or leash.hold(one)
