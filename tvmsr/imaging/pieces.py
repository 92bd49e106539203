"""Rows that come in any numbers, passed on in pieces of a fixed number: files do not depend on how rows came."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

U8Rows = NDArray[np.uint8]

#: Bytes that are filtered and compressed in one go.
SIZE = 1 << 20


class Pieces:
    """height: rows in all; stride: bytes of one."""

    def __init__(self, height: int, stride: int) -> None:
        self.rows = min(height, max(1, SIZE // stride))
        self.left = height
        self._have: list[U8Rows] = []
        self._count = 0

    def put(self, rows: U8Rows) -> Iterator[U8Rows]:
        """Take rows (n, ..); gives pieces (rows, stride), the last one with what is left. They are copies."""
        flat = np.ascontiguousarray(rows).reshape(rows.shape[0], -1)
        while len(flat):
            part, flat = flat[: self.rows - self._count], flat[self.rows - self._count :]
            self._have.append(part.copy())
            self._count += len(part)
            if self._count in (self.rows, self.left):
                self.left -= self._count
                piece = np.concatenate(self._have)
                self._have, self._count = [], 0
                yield piece
