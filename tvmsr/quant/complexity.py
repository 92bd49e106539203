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
    gray = picture if picture.ndim == 2 else gray_of_rgb(picture[:, :, :3])
    y = np.pad(gray.astype(np.int32), 1, mode="edge")
    tall, steep = y[:-2] + 2 * y[1:-1] + y[2:], y[2:] - y[:-2]
    gx, gy = tall[:, 2:] - tall[:, :-2], steep[:, :-2] + 2 * steep[:, 1:-1] + steep[:, 2:]
    total = int(np.abs(gx).sum(dtype=np.int64)) + int(np.abs(gy).sum(dtype=np.int64))
    return (total << FRACTION) // gray.size


def of_published(value: float) -> int:
    """The complexity, 0 to MOST, that AdaBM's number stands for; its paper's thresholds are such."""
    return round(min(max(value * _OF_PUBLISHED, 0.0), MOST))


def as_published(value: int) -> float:
    """AdaBM's number of a complexity."""
    return value / _OF_PUBLISHED
