"""The complexity of pictures: by hand, of what is alike, and beside the published definition."""

from __future__ import annotations

import numpy as np
import pytest

from tvmsr.quant.complexity import MOST, Looking, as_published, complexity, of_published


def test_by_hand():
    """One step of 8 between columns: beside it gx is 4 * 8 in both pixels of each row, elsewhere nothing is."""
    image = np.zeros((3, 4), np.uint8)
    image[:, 2:] = 8
    assert complexity(image) == 256 * (2 * 32 * 3) // 12
    assert complexity(np.ascontiguousarray(image.T)) == complexity(image)


def test_rounds_down():
    image = np.zeros((1, 7), np.uint8)
    image[0, 6] = 1
    # gx 4 in the last two pixels, gy 0 everywhere: the only row stands for those above and below
    assert complexity(image) == 256 * 8 // 7 == 292


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 9, 4), (9, 1, 3), (20, 30, 3)])
def test_flat_pictures_have_none(shape):
    assert complexity(np.full(shape, 77, np.uint8)) == 0


def test_gray_and_alpha():
    """R = G = B is the gray picture; alpha does not count; colours count as the bytes that they give in gray."""
    gray = np.random.default_rng(0).integers(0, 256, (9, 14), np.uint8)
    rgb = np.repeat(gray[:, :, None], 3, axis=2)
    alpha = np.random.default_rng(1).integers(0, 256, (9, 14, 1), np.uint8)
    assert complexity(gray) == complexity(rgb) == complexity(np.dstack([rgb, alpha])) > 0
    red = np.zeros((1, 2, 3), np.uint8)
    red[0, 1, 0] = 255
    assert complexity(red) == 256 * 4 * 76  # 0.299 * 255 = 76.2


def test_stays_below_the_most():
    noise = np.random.default_rng(2).integers(0, 2, (40, 40), np.uint8) * 255
    assert 0 < complexity(noise) < MOST


def test_beside_the_published_definition():
    """1000 * the mean over both directions of |Sobel / 8| of luma 0..1, in doubles; ours is of whole gray bytes."""
    image = np.random.default_rng(3).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    g = np.pad(image @ np.array([0.299, 0.587, 0.114]) / 255, 1, mode="edge")
    smooth = g[:-2] + 2 * g[1:-1] + g[2:]
    steep = g[2:] - g[:-2]
    gx = smooth[:, 2:] - smooth[:, :-2]
    gy = steep[:, :-2] + 2 * steep[:, 1:-1] + steep[:, 2:]
    published = 1000 * np.mean([np.abs(gx / 8), np.abs(gy / 8)])
    assert as_published(complexity(image)) == pytest.approx(published, rel=2e-3)
    assert of_published(published) == pytest.approx(complexity(image), rel=2e-3)


def test_thresholds_of_the_paper():
    assert (of_published(9.39), of_published(47.11)) == (9808, 49205)
    assert of_published(-3.0) == 0 and of_published(1e9) == of_published(float("inf")) == MOST


@pytest.mark.parametrize("cuts", [[], [1], [1, 2, 3], [8], [2, 7, 8]])
@pytest.mark.parametrize("shape", [(9, 14), (9, 14, 3), (9, 1, 4)])
def test_rows_a_few_at_a_time(shape, cuts):
    image = np.random.default_rng(4).integers(0, 256, shape, np.uint8)
    looking = Looking()
    for part in np.split(image, cuts):
        looking.add(part)
    assert looking.complexity == complexity(image)


def test_no_rows_have_none():
    with pytest.raises(ValueError, match="without rows"):
        assert Looking().complexity
