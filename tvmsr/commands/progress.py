"""Progress: how long work reports what it has done, whoever is looking."""

from __future__ import annotations

from collections.abc import Callable

#: Called with a stage ("calibrate", "compile", ...), the items done and the items in all.
Progress = Callable[[str, int, int], None]


def silent(_stage: str, _done: int, _total: int) -> None:
    """Report nothing."""
