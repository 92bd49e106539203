"""Which parts of a picture are shown: by a measure, not by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tvmsr.evaluation.metrics import to_luma
from tvmsr.reporting.facts import U8, Crop, Window
from tvmsr.reporting.images import MOST

#: Pixels of the enlarged picture a side of the windows that are measured.
SIDE = 96

#: Of the windows by their error, and what that means.
KINDS: Mapping[str, str] = {
    "worst": "where it differs most",
    "middle": "the middle one by its difference",
    "whole": "the whole picture",
    "centre": "its centre, as there is no room for all of it",
}


def windows(error: NDArray[np.float64], side: int = SIDE) -> dict[str, Window]:
    """By kind: the window with the largest sum of `error` (H, W), and the one in the middle of all by that.

    Windows are squares of `side` pixels, half a side apart and flush with the borders; of equal ones the first counts.
    One window alone is "whole".
    """
    height, width = (min(side, size) for size in error.shape)
    rows, columns = (_starts(size, side) for size in error.shape)
    total = np.pad(error.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    found = [
        (float(total[y + height, x + width] - total[y, x + width] - total[y + height, x] + total[y, x]), y, x)
        for y in rows
        for x in columns
    ]
    if len(found) == 1:
        return {"whole": Window(0, 0, height, width)}
    ranked = sorted(found, key=lambda one: (-one[0], one[1:]))
    chosen = {"worst": ranked[0], "middle": ranked[len(ranked) // 2]}
    return {kind: Window(y, x, height, width) for kind, (_, y, x) in chosen.items()}


def _starts(size: int, side: int) -> list[int]:
    if size <= side:
        return [0]
    return sorted({*range(0, size - side, side // 2), size - side})


def crops(pictures: Mapping[str, U8], of: Sequence[str], against: str) -> tuple[Crop, ...]:
    """By how much the pictures `of` differ from pictures[against], all together, in luma squared.

    What is around the measured squares is in the crops, too.
    """
    exact = to_luma(pictures[against])
    error = sum(((to_luma(pictures[key]) - exact) ** 2 for key in of), np.zeros(exact.shape))
    found = []
    for kind, focus in windows(error).items():
        held = focus.around(MOST, *error.shape)
        found.append(Crop(kind, held, focus, {key: np.array(held.of(one)) for key, one in pictures.items()}))
    return tuple(found)
