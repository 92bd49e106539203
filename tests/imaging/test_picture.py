"""The bundled picture and the before/after picture."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from tvmsr.errors import UsageError
from tvmsr.imaging.bicubic import imresize, make_lr
from tvmsr.imaging.colour import luma
from tvmsr.imaging.picture import GAP, WHOLE, demo_picture, side_by_side
from tvmsr.imaging.render_demo import HEIGHT, WIDTH, render_demo

LABELS = ("bicubic", "tvmsr", "original")


def test_bundled_picture() -> None:
    picture = demo_picture()
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
    assert HEIGHT % 12 == WIDTH % 12 == 0, "whole for the scales 2, 3 and 4"
    assert (resources.files("tvmsr.imaging") / "assets" / "demo.png").stat().st_size < 400_000


def test_bundled_picture_is_what_the_script_renders() -> None:
    """Equal but for the last bit of other versions of numpy and Pillow."""
    error = np.abs(render_demo().astype(int) - demo_picture())
    assert error.mean() < 0.5


def test_bundled_picture_is_varied() -> None:
    picture = demo_picture()
    y = luma(picture)
    assert np.percentile(y, 3) < 50 and np.percentile(y, 97) > 180
    assert (np.ptp(picture.astype(int), axis=2) > 150).mean() > 0.02, "saturated colours"
    assert picture.min() <= 10 and picture.max() >= 250


def test_side_by_side() -> None:
    original = demo_picture()
    before = imresize(make_lr(original, 4), 4)
    out = side_by_side(before, original, original, LABELS)
    assert out.dtype == np.uint8 and out.shape[1] == max(WIDTH * WHOLE, 3 * (WIDTH // 6) * 4 + 2 * GAP)
    whole = out[: HEIGHT * WHOLE : WHOLE]
    left = (out.shape[1] - WIDTH * WHOLE) // 2
    assert np.array_equal(whole[100, left : left + WIDTH : WHOLE], before[100, : WIDTH // 2])


@pytest.mark.parametrize("shape", [(24, 24, 3), (25, 97, 3), (131, 60, 3)])
def test_side_by_side_of_any_size(shape) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert side_by_side(picture, picture, picture, LABELS).ndim == 3


def test_mistakes() -> None:
    picture = np.zeros((30, 30, 3), np.uint8)
    with pytest.raises(UsageError, match="one size"):
        side_by_side(picture, picture[1:], picture, LABELS)
    with pytest.raises(UsageError, match="too small"):
        side_by_side(picture[:9], picture[:9], picture[:9], LABELS)
