"""Where a quantized network is worst: the window of its outputs with the largest error from the FP32 network's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvmsr.evaluation.metrics import to_luma

#: Side of a window in HR pixels, and how far they are apart.
SIDE = 48
STEP = 8
#: Times that a window is enlarged, pixel by pixel, where it is shown; gray pixels between two of them.
ENLARGED = 4
GAP = 8
GRAY = 128

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """A window of an output: its picture's name, its first row and column, and the mean square error on Y there."""

    picture: str
    row: int
    column: int
    error: float

    def of(self, pixels: Picture) -> Picture:
        return pixels[self.row : self.row + SIDE, self.column : self.column + SIDE]


def window_errors(made: Picture, right: Picture) -> NDArray[np.float64]:
    """Mean square error on Y of every window, (rows, columns) of windows STEP pixels apart; pictures (H, W[, 3])."""
    square = (to_luma(made) - to_luma(right)) ** 2
    sums = np.pad(square, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    side = min(SIDE, *square.shape)
    every = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return every[::STEP, ::STEP] / side**2


def worst_place(name: str, made: Picture, right: Picture) -> Place:
    """The window of this picture with the largest error; of equal ones the first."""
    errors = window_errors(made, right)
    row, column = np.unravel_index(int(errors.argmax()), errors.shape)
    return Place(name, int(row) * STEP, int(column) * STEP, float(errors[row, column]))


def error_at(place: Place, made: Picture, right: Picture) -> float:
    """Mean square error on Y in that window."""
    return float(np.mean((to_luma(place.of(made)) - to_luma(place.of(right))) ** 2))


def decibels(error: float) -> float:
    """PSNR of a mean square error of bytes; inf for none."""
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def side_by_side(pictures: list[Picture]) -> Picture:
    """Windows (h, w[, 3]) of one size beside each other, enlarged, (h * ENLARGED, ..., 3)."""
    shown = [p if p.ndim == 3 else np.repeat(p[:, :, None], 3, axis=2) for p in pictures]
    large = [p.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1) for p in shown]
    gap = np.full((large[0].shape[0], GAP, 3), GRAY, np.uint8)
    parts = [part for one in large for part in (one, gap)]
    return np.concatenate(parts[:-1], axis=1)


def save(path: Path, pixels: Picture) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
