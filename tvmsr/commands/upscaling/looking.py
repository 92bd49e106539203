"""The bit choice of a picture that is run in pieces: what its artifact would choose for the whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tvmsr.imaging.holding import to_artifact
from tvmsr.imaging.opening import open_picture
from tvmsr.quant.complexity import Looking

#: Pixels that are looked at together: more take memory and save no time.
_AT_ONCE = 1 << 17


def choice_of_whole(picture: Path, choose: Callable[[int], int], check: Callable[[], object] = lambda: None) -> int:
    """Read a picture from its file once, a few rows at a time. choose: makes a choice of its complexity.

    check: called in between; what it raises ends the work. Raises InputFileError where the file is damaged.
    """
    looking = Looking()
    with open_picture(picture) as source:
        height, width = source.holding.height, source.holding.width
        step = max(1, _AT_ONCE // width)
        for top in range(0, height, step):
            looking.add(to_artifact(source.read(min(step, height - top)), source.holding.channels))
            check()
    return choose(looking.complexity)
