"""The bundled picture, and the before/after picture that `tvmsr demo` writes."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tvmsr.errors import UsageError
from tvmsr.imaging.files import read_picture

U8Image = NDArray[np.uint8]

#: The whole picture is shown twice as large, details ZOOM times; three of them side by side are as wide as the whole.
WHOLE = 2
ZOOM = 4
DETAILS = 2
GAP = 4
LEAST = 24
BACKGROUND = 24


def demo_picture() -> U8Image:
    """The bundled picture, RGB bytes (324, 480, 3): ours, made by tvmsr/imaging/render_demo.py."""
    with resources.as_file(resources.files("tvmsr.imaging") / "assets" / "demo.png") as path:
        return read_picture(path).pixels


def side_by_side(before: U8Image, after: U8Image, original: U8Image, labels: tuple[str, str, str]) -> U8Image:
    """One picture that shows what upscaling did: RGB bytes.

    On top the whole picture, its left half from `before`, its right half from `after`; below it the details where
    `before` errs most, from all three. before, after and original: RGB bytes of one size (H, W, 3).
    """
    if not before.shape == after.shape == original.shape:
        raise UsageError(f"pictures of one size are needed, not {before.shape}, {after.shape}, {original.shape}")
    height, width = original.shape[:2]
    if min(height, width) < LEAST:
        raise UsageError(
            f"a picture of {width} x {height} pixels is too small to show; {LEAST} on each side are needed"
        )
    half = width // 2
    whole = np.concatenate([before[:, :half], after[:, half:]], axis=1)
    image = Image.fromarray(_enlarge(whole, WHOLE))
    draw = ImageDraw.Draw(image)
    draw.line([(half * WHOLE, 0), (half * WHOLE, height * WHOLE)], fill=(255, 255, 255), width=2)
    _label(draw, (8, 8), labels[0])
    _label(draw, (half * WHOLE + 8, 8), labels[1])
    rows = [np.asarray(image)]
    for top, left in _details(before, original):
        rows.append(_detail_row((before, after, original), top, left, labels))
    return _stack(rows)


def _detail_size(height: int, width: int) -> tuple[int, int]:
    return (height * WHOLE // (3 * ZOOM), width * WHOLE // (3 * ZOOM))


def _details(before: U8Image, original: U8Image) -> list[tuple[int, int]]:
    """Top left corners of the windows where `before` differs most from `original`, in different places."""
    height, width = _detail_size(*original.shape[:2])
    error = ((before.astype(np.float64) - original) ** 2).sum(axis=2)
    sums = np.pad(error.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    window = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    found = []
    for _ in range(DETAILS):
        top, left = (int(i) for i in np.unravel_index(int(np.argmax(window)), window.shape))
        found.append((top, left))
        window[max(top - 2 * height, 0) : top + 2 * height, max(left - 2 * width, 0) : left + 2 * width] = -1
    return found


def _detail_row(pictures: tuple[U8Image, ...], top: int, left: int, labels: tuple[str, ...]) -> U8Image:
    height, width = _detail_size(*pictures[0].shape[:2])
    tiles = []
    for picture, label in zip(pictures, labels, strict=True):
        tile = Image.fromarray(_enlarge(picture[top : top + height, left : left + width], ZOOM))
        _label(ImageDraw.Draw(tile), (6, tile.height - 24), label)
        tiles.append(np.asarray(tile))
    gap = np.full((tiles[0].shape[0], GAP, 3), BACKGROUND, np.uint8)
    return np.concatenate([tiles[0], gap, tiles[1], gap, tiles[2]], axis=1)


def _enlarge(image: U8Image, times: int) -> U8Image:
    """Every pixel as a square, so that the viewer adds nothing of its own."""
    return np.ascontiguousarray(image.repeat(times, axis=0).repeat(times, axis=1))


def _label(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str) -> None:
    font = ImageFont.load_default(15)
    left, top, right, bottom = draw.textbbox(at, text, font=font)
    draw.rectangle([left - 5, top - 4, right + 5, bottom + 4], fill=(BACKGROUND, BACKGROUND, BACKGROUND))
    draw.text(at, text, fill=(255, 255, 255), font=font)


def _stack(rows: list[U8Image]) -> U8Image:
    """Rows below each other, a gap between them, centred on a plain background."""
    width = max(row.shape[1] for row in rows)
    height = sum(row.shape[0] for row in rows) + GAP * (len(rows) - 1)
    out = np.full((height, width, 3), BACKGROUND, np.uint8)
    top = 0
    for row in rows:
        left = (width - row.shape[1]) // 2
        out[top : top + row.shape[0], left : left + row.shape[1]] = row
        top += row.shape[0] + GAP
    return out
