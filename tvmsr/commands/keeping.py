"""Ctrl-C while a plan is made: the best one so far is kept."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.errors import Interrupted

if TYPE_CHECKING:
    from tvmsr.quant.draft import SoFar, Tell


@contextlib.contextmanager
def best_kept(path: Path, after: str = "") -> Iterator[Tell]:
    """What each whole plan on the way is given to, the best last: Ctrl-C writes that, and Interrupted says so.

    after: what can be done with it, for what is said. Without a plan it is Ctrl-C as ever.
    """
    kept: deque[SoFar] = deque(maxlen=1)
    try:
        yield kept.append
    except KeyboardInterrupt:
        if not kept:
            raise
        best = kept[0]
        best.plan.save(path)
        drop = "" if best.drop is None else f", expected drop {best.drop:.2f} dB"
        why = best.plan.notes[-1]
        raise Interrupted(f"interrupted; {path} is the best plan so far{after}{drop}, {why}") from None
