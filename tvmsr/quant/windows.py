"""Windows of a crop, judged by what the network gave for the crop, without another pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tvmsr.graph.analysis import size_rule, tile_rule
from tvmsr.graph.model import F32, Model

#: Sides of windows as shares of the crop's, of at least so many pixels. A smaller one has to be better by as much.
_SHARES, _LEAST_SIDE, _WORTH = (7 / 8, 3 / 4, 1 / 2, 3 / 8, 1 / 4), 16, 5e-3


@dataclass(frozen=True)
class Window:
    """Rows and columns of a crop, and how far its output's ends are expected from those wanted, together."""

    rows: slice
    columns: slice
    error: float


def best_window(model: Model, size: tuple[int, int], output: F32, low: float, high: float) -> Window | None:
    """The window whose output spans low to high best, the larger of those that are about as good.

    size: height and width of the crop, which the network runs on; windows are of sizes that it runs on too. output:
    of the network on the crop. None where the crop is too small to be cut.
    """
    rule, tiles, scale = size_rule(model.graph), tile_rule(model.graph), model.scale
    height, width = size
    blocks = output.reshape(height, scale, width, scale, -1)
    least, most = blocks.min(axis=(1, 3, 4)), blocks.max(axis=(1, 3, 4))
    best: Window | None = None
    for share in _SHARES:
        tall, wide = (int(side * share) // rule.multiple * rule.multiple for side in size)
        if min(tall, wide) < max(rule.minimum, _LEAST_SIDE):
            break
        # Near its own edges a window's output is another than there; of the whole picture's statistics all of it is.
        margin = 0 if tiles.whole_because else min(tiles.radius, min(tall, wide) // 8)
        errors = _end_errors(least - low, tall, wide, margin) + _end_errors(high - most, tall, wide, margin)
        errors = errors[:: tiles.grid, :: tiles.grid]
        row, column = (int(place) for place in np.unravel_index(int(errors.argmin()), errors.shape))
        found = float(errors[row, column])
        if best is None or found < best.error - _WORTH:
            top, left = row * tiles.grid, column * tiles.grid
            best = Window(slice(top, top + tall), slice(left, left + wide), found)
    return best


def _end_errors(left: F32, tall: int, wide: int, margin: int) -> F32:
    """For windows at every place, (H - tall + 1, W - wide + 1): how far an end of their outputs is from that wanted.

    left: how far the output at each LR pixel (H, W) stays from that end; negative where it is beyond it, which counts
    everywhere. To reach the end counts only `margin` pixels from a window's edges.
    """
    inner = left[margin : left.shape[0] - margin, margin : left.shape[1] - margin]
    return np.maximum(_least(inner, tall - 2 * margin, wide - 2 * margin), -_least(left, tall, wide))


def _least(values: F32, tall: int, wide: int) -> F32:
    """The least value in windows at every place."""
    rows = sliding_window_view(values, tall, axis=0).min(axis=-1)
    return cast(F32, sliding_window_view(rows, wide, axis=1).min(axis=-1))
