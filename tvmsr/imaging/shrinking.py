"""Bicubic resizing to a smaller size as rows come: MATLAB's, with antialiasing (bicubic.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvmsr.imaging.bicubic import taps

U8Image = NDArray[np.uint8]

#: Samples that are worked on at a time, in float64.
_BLOCK = 1 << 20


class Shrinking:
    """Rows of a picture to those of a smaller one; how they are cut changes no byte. sizes: (height, width)."""

    def __init__(self, size: tuple[int, int], wanted: tuple[int, int]) -> None:
        self._rows, self._row_weights = taps(size[0], wanted[0], wanted[0] / size[0])
        self._columns, self._column_weights = taps(size[1], wanted[1], wanted[1] / size[1])
        self._first = self._rows.min(axis=1)
        self._need = np.maximum.accumulate(self._rows.max(axis=1))
        self._have: U8Image | None = None
        self._top = 0  # the row that `_have` begins with
        self._done = 0

    @property
    def kept(self) -> int:
        """Rows that are kept from one call to the next, at most."""
        return int((self._need - self._first).max()) + 1

    def put(self, rows: U8Image) -> U8Image:
        """Take the next rows, (n, W) or (n, W, C); gives the rows, perhaps none, that are then known."""
        some = max(1, _BLOCK // max(1, rows[0].size))
        return np.concatenate([self._put(rows[at : at + some]) for at in range(0, len(rows), some)])

    def _put(self, rows: U8Image) -> U8Image:
        have = rows if self._have is None else np.concatenate([self._have, rows])
        until = int(np.searchsorted(self._need, self._top + have.shape[0]))  # sorted, as the picture's rows are
        index, weight = self._rows[self._done : until] - self._top, self._row_weights[self._done : until]
        tall = _weighted(have, index, weight)
        wide = np.swapaxes(_weighted(np.swapaxes(tall, 0, 1), self._columns, self._column_weights), 0, 1)
        self._done = until
        drop = int(self._first[until:].min()) - self._top if until < len(self._first) else have.shape[0]
        self._have, self._top = have[max(0, drop) :].copy(), self._top + max(0, drop)
        return np.ascontiguousarray(wide)


def _weighted(rows: U8Image, index: NDArray[np.intp], weight: NDArray[np.float64]) -> U8Image:
    """Rows as weighted sums of rows, rounded half up."""
    flat = rows.reshape(rows.shape[0], -1)
    out = np.zeros((len(index), flat.shape[1]))
    for tap in range(index.shape[1]):
        out += weight[:, tap, None] * flat[index[:, tap]]
    return np.clip(np.floor(out + 0.5), 0, 255).astype(np.uint8).reshape(len(index), *rows.shape[1:])
