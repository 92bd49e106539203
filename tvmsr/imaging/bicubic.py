"""MATLAB-compatible bicubic resizing: how the field makes low-resolution (LR) test images, and its baseline."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

U8Image = NDArray[np.uint8]


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -0.5."""
    a = np.abs(x)
    near = 1.5 * a**3 - 2.5 * a**2 + 1
    far = -0.5 * a**3 + 2.5 * a**2 - 4 * a + 2
    return np.where(a <= 1, near, np.where(a <= 2, far, 0.0))


def taps(size: int, out_size: int, ratio: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Source indices and weights, each (out_size, taps), of every output sample along one axis.

    The kernel is widened by the scale factor when the image shrinks (antialiasing), centred at MATLAB's pixel centres,
    and mirrored at the borders (1..n, n..1).
    """
    widen = min(ratio, 1.0)
    support = 4.0 / widen
    count = math.ceil(support) + 2
    centre = np.arange(1, out_size + 1) / ratio + 0.5 * (1 - 1 / ratio)
    first = np.floor(centre - support / 2)
    index = first[:, None] + np.arange(count)[None, :]
    weight = widen * _cubic(widen * (centre[:, None] - index))
    weight /= weight.sum(axis=1, keepdims=True)
    mirror = np.concatenate([np.arange(size), np.arange(size - 1, -1, -1)])
    return mirror[(index.astype(np.int64) - 1) % (2 * size)], weight


def _resize_rows(image: U8Image, out_size: int, ratio: float) -> U8Image:
    index, weight = taps(image.shape[0], out_size, ratio)
    flat = image.reshape(image.shape[0], -1).astype(np.float64)
    out = np.zeros((out_size, flat.shape[1]))
    for tap in range(index.shape[1]):
        out += weight[:, tap, None] * flat[index[:, tap]]
    rounded = np.clip(np.floor(out + 0.5), 0, 255).astype(np.uint8)
    return rounded.reshape(out_size, *image.shape[1:])


def imresize(image: U8Image, ratio: float | Fraction) -> U8Image:
    """Resize a uint8 image (H, W) or (H, W, C) by `ratio` as MATLAB's `imresize(image, ratio, 'bicubic')` does.

    Output size is ceil(size * ratio). Height first, rounded half up to uint8, then width: LR images made this way are
    bit-identical to the published ones of the usual test sets.
    """
    exact = Fraction(ratio).limit_denominator(1000)
    height, width = (math.ceil(size * exact) for size in image.shape[:2])
    tall = _resize_rows(image, height, float(exact))
    wide = _resize_rows(np.ascontiguousarray(np.swapaxes(tall, 0, 1)), width, float(exact))
    return np.ascontiguousarray(np.swapaxes(wide, 0, 1))


def crop_to_multiple(image: U8Image, scale: int) -> U8Image:
    """Crop at the bottom and right to a multiple of `scale`."""
    height, width = (size - size % scale for size in image.shape[:2])
    return image[:height, :width]


def make_lr(hr: U8Image, scale: int) -> U8Image:
    """The LR image of the field's protocol: crop to a multiple of the scale, then bicubic with antialiasing."""
    return imresize(crop_to_multiple(hr, scale), Fraction(1, scale))
