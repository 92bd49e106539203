"""PSNR and SSIM as the super-resolution field measures them: on Y or RGB, `border` pixels dropped on each side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.imaging.colour import luma

Pixels = NDArray[np.uint8] | NDArray[np.floating]
Plane = NDArray[np.float64]

PEAK = 255.0
WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03


def to_luma(picture: Pixels) -> Plane:
    """Y (H, W) of 0..255 RGB (H, W, 3), not rounded; what is Y already (H, W) stays as it is."""
    return picture.astype(np.float64) if picture.ndim == 2 else luma(picture)


def _inner(a: Pixels, b: Pixels, border: int, least: int) -> tuple[Plane, Plane]:
    """Both without the border, as floats; UsageError where they do not match or too little is left."""
    if a.shape != b.shape:
        raise UsageError(f"pictures of different sizes cannot be compared: {a.shape} and {b.shape}")
    if min(a.shape[:2]) < 2 * border + least:
        height, width = a.shape[:2]
        raise UsageError(
            f"{width} x {height} pixels are too few to measure: {2 * border + least} on each side are needed"
        )
    inside = slice(border, -border) if border else slice(None)
    return a[inside, inside].astype(np.float64), b[inside, inside].astype(np.float64)


def _psnr(a: Plane, b: Plane) -> float:
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(PEAK**2 / error))


def psnr_y(a: Pixels, b: Pixels, border: int) -> float:
    """PSNR in dB of the luma of two pictures, each RGB (H, W, 3) or Y (H, W), 0..255; inf where they are equal."""
    return _psnr(*_inner(to_luma(a), to_luma(b), border, 1))


def psnr_rgb(a: Pixels, b: Pixels, border: int) -> float:
    """PSNR in dB over all three channels of RGB pictures (H, W, 3), 0..255; inf where they are equal."""
    return _psnr(*_inner(a, b, border, 1))


def _blur(plane: Plane) -> Plane:
    """Gaussian window of SSIM, valid region only: (H, W) becomes (H - 10, W - 10)."""
    window = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    window /= window.sum()
    height, width = (size - WINDOW + 1 for size in plane.shape)
    tall = sum((window[i] * plane[i : i + height] for i in range(WINDOW)), np.zeros((height, plane.shape[1])))
    return sum((window[i] * tall[:, i : i + width] for i in range(WINDOW)), np.zeros((height, width)))


def _ssim(a: Plane, b: Plane) -> float:
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    mean_a, mean_b = _blur(a), _blur(b)
    var_a = _blur(a * a) - mean_a**2
    var_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def ssim_y(a: Pixels, b: Pixels, border: int) -> float:
    """SSIM of the luma of two pictures, each RGB (H, W, 3) or Y (H, W), 0..255.

    Gaussian window 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance, mean over the positions where
    the window lies inside: MATLAB's ssim_index, as the field's tables use it.
    """
    return _ssim(*_inner(to_luma(a), to_luma(b), border, WINDOW))


def ssim_rgb(a: Pixels, b: Pixels, border: int) -> float:
    """Mean over the channels of the SSIM of RGB pictures (H, W, 3), 0..255; settings as in ssim_y."""
    inner_a, inner_b = _inner(a, b, border, WINDOW)
    return sum(_ssim(inner_a[..., c], inner_b[..., c]) for c in range(3)) / 3


@dataclass(frozen=True)
class Protocol:
    """A way to measure; `name` ends the keys of its figures: psnr_y, ssim_y."""

    name: str
    psnr: Callable[[Pixels, Pixels, int], float]
    ssim: Callable[[Pixels, Pixels, int], float]
    needs_rgb: bool


PROTOCOLS = {
    "y": Protocol("y", psnr_y, ssim_y, needs_rgb=False),
    "rgb": Protocol("rgb", psnr_rgb, ssim_rgb, needs_rgb=True),
}


def protocol_named(name: str) -> Protocol:
    """The protocol of that name; UsageError names the ones there are."""
    if name not in PROTOCOLS:
        raise UsageError(f"there is no protocol {name!r}; use one of: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
