"""Calibration material: crops of a user's pictures, or variations of the bundled one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError, UsageError
from tvmsr.imaging.bicubic import make_lr
from tvmsr.imaging.files import list_pictures, read_picture
from tvmsr.imaging.picture import demo_picture

U8Image = NDArray[np.uint8]
Tone = Callable[[U8Image], U8Image]

#: How much the bundled picture is downsized before it is cropped: coarse and fine detail alike.
DOWNSIZES = (1, 2, 1, 3)


def _curve(of: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Tone:
    """A tone curve 0..1 to 0..1, for every channel alike."""
    table = np.clip(np.rint(of(np.arange(256) / 255) * 255), 0, 255).astype(np.uint8)
    return lambda image: table[image]


def _rotated(image: U8Image) -> U8Image:
    """Channels G, B, R: colours that the scene does not have."""
    return image[..., [1, 2, 0]]


def _muted(image: U8Image) -> U8Image:
    """Half way to gray."""
    wide = image.astype(np.uint16)
    return ((wide + wide.mean(axis=2, keepdims=True).astype(np.uint16)) // 2).astype(np.uint8)


#: Applied in turn, so that every set of a few crops has plain, dark, bright, hard, dull and oddly coloured ones.
TONES: tuple[Tone, ...] = (
    _curve(lambda v: v),
    _curve(lambda v: 0.5 + 1.6 * (v - 0.5)),
    _curve(lambda v: v**1.8),
    _rotated,
    _curve(lambda v: v**0.6),
    _muted,
    _curve(lambda v: 1 - v),
)


def _crop(image: U8Image, height: int, width: int, rng: np.random.Generator) -> U8Image:
    """A window at random; the whole of an axis where the picture is smaller."""
    tall, wide = image.shape[:2]
    top = int(rng.integers(max(tall - height, 0) + 1))
    left = int(rng.integers(max(wide - width, 0) + 1))
    return image[top : top + height, left : left + width]


def _turned(image: U8Image, rng: np.random.Generator) -> U8Image:
    """One of the eight ways to lay a picture down."""
    flipped = image[:, ::-1] if rng.random() < 0.5 else image
    return np.rot90(flipped, int(rng.integers(4)))


def _check(count: int, size: int) -> None:
    if count < 1 or size < 1:
        raise UsageError(f"calibration needs at least one crop of at least one pixel, not {count} of {size}")


def default_calibration(count: int, size: int, seed: int = 0) -> list[U8Image]:
    """`count` LR crops, RGB bytes (size, size, 3), from the bundled picture: downsized, turned, with other tones.

    The same arguments give the same bytes. size: at most 324, the height of the bundled picture; larger is cut to it.
    """
    _check(count, size)
    rng = np.random.default_rng(seed)
    picture = demo_picture()
    size = min(size, picture.shape[0])
    sources = [make_lr(picture, factor) if factor > 1 else picture for factor in DOWNSIZES]
    fitting = [source for source in sources if source.shape[0] >= size]
    crops = []
    for place in range(count):
        crop = _turned(_crop(fitting[place % len(fitting)], size, size, rng), rng)
        crops.append(np.ascontiguousarray(TONES[place % len(TONES)](crop)))
    return crops


def check_hr(file: Path, image: U8Image, scale: int) -> None:
    """InputFileError for a picture that is too small to be downsized."""
    if min(image.shape[:2]) < scale:
        raise InputFileError(f"{file}: smaller than {scale} x {scale} pixels, too small to be downsized by {scale}")


def _lr_crop(file: Path, image: U8Image, size: int, hr_scale: int | None, rng: np.random.Generator) -> U8Image:
    if hr_scale is None:
        return np.ascontiguousarray(_crop(image, size, size, rng))
    check_hr(file, image, hr_scale)
    return make_lr(_crop(image, size * hr_scale, size * hr_scale, rng), hr_scale)


def calibration_crops(
    folder: str | Path, count: int, size: int, *, seed: int = 0, hr_scale: int | None = None
) -> list[U8Image]:
    """`count` LR crops, RGB bytes of up to (size, size, 3), from the picture files in `folder`.

    hr_scale: None takes the pictures as they are, as LR; a scale takes them as HR and downsizes every crop by it.
    Crops are spread evenly over the pictures, chosen at random where there are more pictures than crops; the same
    arguments and files give the same bytes. A picture smaller than a crop is taken whole.
    """
    _check(count, size)
    rng = np.random.default_rng(seed)
    files = list_pictures(folder)
    order = [files[i] for i in rng.permutation(len(files))[:count]]
    crops: list[U8Image] = []
    for place, file in enumerate(order):
        image = read_picture(file).pixels
        share = (count - place + len(order) - 1) // len(order)
        crops += [_lr_crop(file, image, size, hr_scale, rng) for _ in range(share)]
    return crops
