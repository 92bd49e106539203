"""Pictures whose tiles have bit choices of their own. docs/numerics.md, "Tiles", defines what they become.

Every choice gives a whole picture; a pixel of the result is one of them, or near the border of two tiles a blend. How
much of these pictures is computed is nobody's business here: the driver computes the parts that are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tvmsr.quant.complexity import complexity_sums
from tvmsr.quant.picture import U8Image, upscale_picture

if TYPE_CHECKING:
    from tvmsr.quant.adaptive import Choosing
    from tvmsr.quant.integer import IntegerGraph

#: LR pixels across a border over which neighbours are blended: half of them on each side. No tile is smaller
#: (tvmsr.quant.plan), so that no band reaches the next.
BAND = 16

#: Of a share along one side, and of both together.
_SHARE, _WEIGHT = 128, 256

#: What is added before a blend is rounded down: a quarter, and half more where `offsets` says so (docs/numerics.md).
_QUARTER, _HALF = _WEIGHT // 4, _WEIGHT // 2

#: The choice of each tile, (rows, columns) of tiles.
Map = NDArray[np.uint8]


def tile_bounds(side: int, tile: int) -> list[int]:
    """Where tiles begin along a side of `side` LR pixels, and where the last one ends: it takes the rest."""
    count = max(1, side // tile)
    return [*range(0, count * tile, tile), side]


def complexities(picture: U8Image, tile: int) -> NDArray[np.int64]:
    """The complexity of every tile, (rows, columns) of tiles, of a picture as `complexity` takes it."""
    sums = complexity_sums(picture)
    rows, columns = (tile_bounds(side, tile) for side in sums.shape)
    totals = np.add.reduceat(np.add.reduceat(sums, rows[:-1], axis=0), columns[:-1], axis=1)
    return (totals << 8) // np.outer(np.diff(rows), np.diff(columns))


def shares(side: int, tile: int, scale: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of every HR row (or column): the tile that it lies in or whose band it is in, and the next one's share, 0 to 128.

    In a band the tile is the one before the border.
    """
    half = scale * BAND // 2
    place = np.arange(side * scale)
    first = np.minimum(place // (scale * tile), max(1, side // tile) - 1)
    share = np.zeros(side * scale, np.int64)
    for border in tile_bounds(side, tile)[1:-1]:
        start = border * scale - half
        own = np.arange(2 * half)
        share[start : start + 2 * half] = ((2 * own + 1) * _SHARE + 2 * half) // (4 * half)
        first[start : start + 2 * half] = border // tile - 1
    return first, share


def weights_of(choices: Map, choice: int, shape: tuple[int, int], tile: int, scale: int) -> NDArray[np.int64]:
    """The weight of a choice at every HR pixel, 0 to 256, of an LR picture of `shape`; all of them sum to 256."""
    (row, down), (column, right) = (shares(side, tile, scale) for side in shape)
    below, beside = (np.minimum(at + 1, count - 1) for at, count in zip((row, column), choices.shape, strict=True))
    both = down[:, None] * right >> 6
    parts = (
        (row, column, _WEIGHT - 2 * down[:, None] - 2 * right + both),
        (row, beside, 2 * right - both),
        (below, column, 2 * down[:, None] - both),
        (below, beside, both),
    )
    own = choices == choice
    return sum((own[np.ix_(y, x)] * weight for y, x, weight in parts), np.zeros((), np.int64))


def offsets(side: int, tile: int, scale: int) -> NDArray[np.int64]:
    """0 and 1 by turns for the HR rows (or columns) of LR pixels, alike on both sides of a border."""
    odd = np.arange(side)
    for border in tile_bounds(side, tile)[1:-1]:
        odd[border - BAND // 2 : border] = np.arange(BAND // 2)[::-1]
        odd[border : border + BAND // 2] = np.arange(BAND // 2)
    return np.repeat(odd & 1, scale)


def blend(results: dict[int, U8Image], choices: Map, tile: int, scale: int) -> U8Image:
    """The picture (H, W, 3) of tiles with these choices; results: what each of them makes of the whole."""
    height, width = (side // scale for side in next(iter(results.values())).shape[:2])
    odd = offsets(height, tile, scale)[:, None] ^ offsets(width, tile, scale)
    total = (
        _QUARTER
        + _HALF * odd[:, :, None]
        + sum(
            weights_of(choices, choice, (height, width), tile, scale)[:, :, None] * image.astype(np.int64)
            for choice, image in results.items()
        )
    )
    return np.asarray(total // _WEIGHT).astype(np.uint8)


def repeated(pattern: Sequence[Sequence[int]] | Map, picture: U8Image, tile: int) -> Map:
    """The choices of a picture's tiles where a pattern is repeated over them, as tvmsr_force_tiles does."""
    given = np.asarray(pattern, np.uint8)
    down, across = (len(tile_bounds(side, tile)) - 1 for side in picture.shape[:2])
    return given[np.ix_(np.arange(down) % given.shape[0], np.arange(across) % given.shape[1])]


def upscale_tiles(
    graphs: Sequence[IntegerGraph], choosing: Choosing, picture: U8Image, choices: Map | None = None
) -> U8Image:
    """RGB bytes (H, W, 3) to (scale*H, scale*W, 3): the bytes of an artifact that chooses as `choosing` says.

    choices: of the tiles in the place of their own. Where a plan chooses by the whole picture, there is one tile.
    """
    found = choosing.of_tiles(picture) if choices is None else choices
    used = {int(choice): upscale_picture(graphs[choice], picture) for choice in np.unique(found)}
    if len(used) == 1:
        return next(iter(used.values()))
    return blend(used, found, choosing.tile, graphs[0].scale)
