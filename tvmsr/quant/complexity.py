"""How busy a picture is, in integers: artifacts with several bit choices choose by it. docs/numerics.md defines it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvmsr.imaging.colour import gray_of_rgb

#: Fractional bits of a complexity.
FRACTION = 8

#: The largest complexity there can be: both gradients of every pixel are at most 4 * 255.
MOST = (2 * 4 * 255) << FRACTION

#: Of AdaBM's complexity, 1000 * the mean over pixels and directions of the gradient / 8 of luma 0..1, in ours.
_OF_PUBLISHED = (1 << FRACTION) * 2 * 8 * 255 / 1000


def complexity(picture: NDArray[np.uint8]) -> int:
    """Of a picture (H, W, 3), (H, W, 4) or (H, W), uint8: 256 times the mean of |gx| + |gy|, rounded down.

    gx, gy: Sobel gradients of the gray byte of each pixel, the picture continued by its outermost pixels; alpha does
    not count. 0 to MOST.
    """
    looked = Looking()
    looked.add(picture)
    return looked.complexity


class Looking:
    """The complexity of a picture whose rows come a few at a time, from the top."""

    def __init__(self) -> None:
        self._total, self._pixels = 0, 0
        self._last: NDArray[np.int32] | None = None  # two rows of gray: the last has not been summed up yet

    def add(self, rows: NDArray[np.uint8]) -> None:
        """The next rows, at least one, as `complexity` takes a picture."""
        gray = (rows if rows.ndim == 2 else gray_of_rgb(rows[:, :, :3])).astype(np.int32)
        have = np.concatenate([gray[:1] if self._last is None else self._last, gray])
        self._total += _gradient(have)
        self._pixels += gray.size
        self._last = have[-2:].copy()

    @property
    def complexity(self) -> int:
        """Of the rows until now."""
        if self._last is None:
            raise ValueError("a picture without rows has no complexity")
        end = _gradient(np.concatenate([self._last, self._last[-1:]]))
        return ((self._total + end) << FRACTION) // self._pixels


def complexity_sums(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """|gx| + |gy| of every pixel (H, W) of a picture as `complexity` takes it."""
    gray = (picture if picture.ndim == 2 else gray_of_rgb(picture[:, :, :3])).astype(np.int32)
    return _gradients(np.pad(gray, ((1, 1), (0, 0)), mode="edge")).astype(np.int64)


def _gradient(gray: NDArray[np.int32]) -> int:
    """The sum of |gx| + |gy| over all rows but the first and the last."""
    return int(_gradients(gray).sum(dtype=np.int64))


def _gradients(gray: NDArray[np.int32]) -> NDArray[np.int32]:
    """|gx| + |gy| of the pixels of all rows but the first and the last."""
    y = np.pad(gray, ((0, 0), (1, 1)), mode="edge")
    tall, steep = y[:-2] + 2 * y[1:-1] + y[2:], y[2:] - y[:-2]
    gx, gy = tall[:, 2:] - tall[:, :-2], steep[:, :-2] + 2 * steep[:, 1:-1] + steep[:, 2:]
    return np.asarray(np.abs(gx) + np.abs(gy))


def of_published(value: float) -> int:
    """The complexity, 0 to MOST, that AdaBM's number stands for; its paper's thresholds are such."""
    return round(min(max(value * _OF_PUBLISHED, 0.0), MOST))


def as_published(value: int) -> float:
    """AdaBM's number of a complexity."""
    return value / _OF_PUBLISHED
