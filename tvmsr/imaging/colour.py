"""Colour: float luma for measuring, and the integer colour and resize arithmetic that artifacts contain.

The integer part is a definition (docs/numerics-colour.md is its text): the artifact's C driver gives the same bytes.
All of it fits int32; `>>` is arithmetic, rounding down. Between its steps a plane of samples is int16 with FRACTION
fractional bits: chroma is centred on 0, alpha is not.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError

U8Image = NDArray[np.uint8]
I16Plane = NDArray[np.int16]

#: Fractional bits of the int16 planes.
FRACTION = 6

#: Chroma of RGB bytes with 20 fractional bits: rows (R, G, B), each summing to 0 so that gray has no chroma at all.
CHROMA_SHIFT = 20
CB_OF_RGB = (-155424, -305127, 460551)
CR_OF_RGB = (460551, -385654, -74897)

#: Weights of the bicubic resize, with 11 fractional bits: every phase sums to 2048.
WEIGHT_SHIFT = 11
TAPS = 4
SCALES = range(1, 9)

#: YCbCr to RGB with 13 fractional bits.
RGB_SHIFT = 13
Y_GAIN = 9539
R_OF_CR = 13075
G_OF_CB = -3209
G_OF_CR = -6660
B_OF_CB = 16525

#: Full-range luma (0.299, 0.587, 0.114) with 16 fractional bits, for an answer in gray: sums to 65536.
GRAY_SHIFT = 16
GRAY_OF_RGB = (19595, 38470, 7471)


def luma(rgb: NDArray[np.uint8] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Y (H, W), 16..235, of RGB 0..255 (H, W, 3): BT.601 studio range, not rounded."""
    return 16 + (rgb.astype(np.float64) @ np.array([65.481, 128.553, 24.966])) / 255


def bicubic_weights(scale: int) -> NDArray[np.int32]:
    """Integer weights (scale, TAPS) of enlarging by `scale`: Keys' cubic (a = -0.5), half-pixel centres.

    Output sample scale*i + p reads the inputs i + first_tap(scale, p) + 0..3. The weights are the exact ones times
    2048, rounded to nearest; what is then missing to 2048 goes to the largest. They are exact for scales 1, 2 and 4.
    """
    if scale not in SCALES:
        raise UsageError(f"colour can be enlarged by {SCALES.start} to {SCALES.stop - 1} times, not by {scale!r}")
    rows = []
    for phase in range(scale):
        offset = _offset(scale, phase)
        exact = [_cubic(offset - floor(offset) + 1 - tap) * (1 << WEIGHT_SHIFT) for tap in range(TAPS)]
        rounded = [floor(w + Fraction(1, 2)) for w in exact]
        rounded[int(np.argmax(rounded))] += (1 << WEIGHT_SHIFT) - sum(rounded)
        rows.append(rounded)
    return np.array(rows, np.int32)


def first_tap(scale: int, phase: int) -> int:
    """Of the inputs that output sample scale*i + phase reads, the first one relative to i: -2 or -1."""
    return floor(_offset(scale, phase)) - 1


def _offset(scale: int, phase: int) -> Fraction:
    """Where the centre of output sample `phase` lies on the input grid, in input samples."""
    return (phase + Fraction(1, 2)) / scale - Fraction(1, 2)


def _cubic(distance: Fraction) -> Fraction:
    x = abs(distance)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    return -Fraction(1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2 if x <= 2 else Fraction(0)


def chroma_of_rgb(rgb: U8Image) -> tuple[I16Plane, I16Plane]:
    """Centred Cb and Cr, int16 (H, W) in -7168..7168 (FRACTION fractional bits), of RGB bytes (H, W, 3)."""
    shift = CHROMA_SHIFT - FRACTION
    wide = rgb.astype(np.int32)
    cb, cr = ((wide @ np.array(row, np.int32) + (1 << (shift - 1))) >> shift for row in (CB_OF_RGB, CR_OF_RGB))
    return cb.astype(np.int16), cr.astype(np.int16)


def _resize_rows(plane: I16Plane, scale: int) -> I16Plane:
    """Enlarge the first axis: four taps, clamped at the borders, one rounding shift."""
    size = plane.shape[0]
    weights = bicubic_weights(scale)
    out = np.empty((size, scale, *plane.shape[1:]), np.int16)
    for phase in range(scale):
        taps = np.arange(size)[:, None] + first_tap(scale, phase) + np.arange(TAPS)
        total = np.full(plane.shape, 1 << (WEIGHT_SHIFT - 1), np.int32)
        for tap in range(TAPS):
            total += weights[phase, tap] * plane[np.clip(taps[:, tap], 0, size - 1)].astype(np.int32)
        out[:, phase] = total >> WEIGHT_SHIFT
    return out.reshape(size * scale, *plane.shape[1:])


def resize_plane(plane: I16Plane, scale: int) -> I16Plane:
    """Enlarge an int16 plane (H, W) to (scale*H, scale*W): rows first, then columns, each rounded to int16.

    For |samples| up to 16320 nothing overflows: the absolute weights of a phase sum to less than 1.25 * 2048.
    """
    tall = _resize_rows(plane, scale)
    return np.ascontiguousarray(_resize_rows(np.ascontiguousarray(tall.T), scale).T)


def resize_bytes(plane: U8Image, scale: int) -> U8Image:
    """Enlarge one plane of bytes (H, W), such as alpha, with the arithmetic that chroma gets."""
    wide = resize_plane(plane.astype(np.int16) << FRACTION, scale).astype(np.int32)
    return np.clip((wide + (1 << (FRACTION - 1))) >> FRACTION, 0, 255).astype(np.uint8)


def rgb_of_ycbcr(y: U8Image, cb: I16Plane, cr: I16Plane) -> U8Image:
    """RGB bytes (H, W, 3) of Y bytes (16..235 nominal) and centred chroma with FRACTION fractional bits."""
    shift = RGB_SHIFT + FRACTION
    blue, red = cb.astype(np.int32), cr.astype(np.int32)
    base = Y_GAIN * ((y.astype(np.int32) - 16) << FRACTION) + (1 << (shift - 1))
    rgb = (base + R_OF_CR * red, base + G_OF_CB * blue + G_OF_CR * red, base + B_OF_CB * blue)
    return np.stack([np.clip(plane >> shift, 0, 255).astype(np.uint8) for plane in rgb], axis=-1)


def join_luma(lr: U8Image, y: U8Image) -> U8Image:
    """The picture that an artifact of a Y network gives: RGB bytes (r*H, r*W, 3).

    lr: the RGB bytes (H, W, 3) that went in; y: the network's Y bytes (r*H, r*W). Chroma comes from `lr`, enlarged.
    """
    scale = y.shape[0] // lr.shape[0]
    if y.shape != (scale * lr.shape[0], scale * lr.shape[1]):
        raise UsageError(f"Y of {y.shape} is no whole multiple of the picture of {lr.shape[:2]}")
    cb, cr = (resize_plane(plane, scale) for plane in chroma_of_rgb(lr))
    return rgb_of_ycbcr(y, cb, cr)


def gray_of_rgb(rgb: U8Image) -> U8Image:
    """One gray byte a pixel (H, W) of RGB bytes (H, W, 3): full-range luma; R = G = B = v gives v."""
    total = rgb.astype(np.int32) @ np.array(GRAY_OF_RGB, np.int32)
    return ((total + (1 << (GRAY_SHIFT - 1))) >> GRAY_SHIFT).astype(np.uint8)
