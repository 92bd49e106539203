"""PSNR and SSIM against their definitions and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import metrics as skimage_metrics

from tvmsr.errors import UsageError
from tvmsr.evaluation import metrics

SETTINGS = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}


def two(seed, height=40, width=31):
    """A smooth picture and a noisy copy."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = 128 + 90 * np.sin(x / 5 + seed)[..., None] * np.cos(y[..., None] / 7 + np.arange(3))
    noisy = base + rng.normal(0, 12, base.shape)
    return (np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in (base, noisy))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(0, 8))
def test_ssim_is_that_of_skimage(seed, border) -> None:
    a, b = two(seed)
    inside = slice(border, -border) if border else slice(None)
    ya, yb = metrics.to_luma(a)[inside, inside], metrics.to_luma(b)[inside, inside]
    assert metrics.ssim_y(a, b, border) == pytest.approx(
        skimage_metrics.structural_similarity(ya, yb, **SETTINGS), abs=1e-9
    )
    want = skimage_metrics.structural_similarity(a[inside, inside], b[inside, inside], channel_axis=2, **SETTINGS)
    assert metrics.ssim_rgb(a, b, border) == pytest.approx(want, abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(0, 8))
def test_psnr_is_that_of_skimage(seed, border) -> None:
    a, b = two(seed)
    inside = slice(border, -border) if border else slice(None)
    want = skimage_metrics.peak_signal_noise_ratio(a[inside, inside], b[inside, inside], data_range=255)
    assert metrics.psnr_rgb(a, b, border) == pytest.approx(want)
    ya, yb = metrics.to_luma(a)[inside, inside], metrics.to_luma(b)[inside, inside]
    assert metrics.psnr_y(a, b, border) == pytest.approx(
        skimage_metrics.peak_signal_noise_ratio(ya, yb, data_range=255)
    )


def test_only_the_border_differs() -> None:
    a = np.full((20, 20, 3), 100, np.uint8)
    b = a.copy()
    b[:2], b[:, -2:] = 0, 255
    assert math.isinf(metrics.psnr_y(a, b, 2)) and math.isinf(metrics.psnr_rgb(a, b, 2))
    assert metrics.ssim_y(a, b, 2) == pytest.approx(1)
    assert metrics.psnr_y(a, b, 1) < 30


def test_known_value() -> None:
    a, b = np.full((4, 4, 3), 50, np.uint8), np.full((4, 4, 3), 55, np.uint8)
    assert metrics.psnr_rgb(a, b, 0) == pytest.approx(20 * math.log10(255 / 5))
    assert metrics.psnr_y(a, b, 0) == pytest.approx(20 * math.log10(255 / (5 * 219 / 255)))


def test_y_planes_are_taken_as_they_are() -> None:
    a, b = two(3)
    planes = metrics.to_luma(a), metrics.to_luma(b)
    assert metrics.psnr_y(*planes, 4) == metrics.psnr_y(a, b, 4)
    assert metrics.ssim_y(*planes, 4) == metrics.ssim_y(a, b, 4)


def test_mistakes() -> None:
    a = np.zeros((12, 12, 3), np.uint8)
    with pytest.raises(UsageError, match="different sizes"):
        metrics.psnr_y(a, a[1:], 0)
    with pytest.raises(UsageError, match="too few"):
        metrics.ssim_y(a, a, 1)
    with pytest.raises(UsageError, match="y, rgb"):
        metrics.protocol_named("lab")
