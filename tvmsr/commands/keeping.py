"""Ctrl-C while a plan is made: the best one so far is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.errors import Interrupted

if TYPE_CHECKING:
    from tvmsr.quant.plan import Plan


@contextlib.contextmanager
def best_kept(path: Path, after: str = "") -> Iterator[Callable[[Plan], None]]:
    """What each whole plan on the way is given to, the best last: Ctrl-C writes that, and Interrupted says so.

    after: what can be done with it, for what is said. Without a plan it is Ctrl-C as ever.
    """
    kept: list[Plan] = []
    try:
        yield kept.append
    except KeyboardInterrupt:
        if not kept:
            raise
        kept[-1].save(path)
        raise Interrupted(f"interrupted; {path} is the best plan so far{after}, {kept[-1].notes[-1]}") from None
