"""MATLAB's bicubic: against a plain transcription of its definition, and properties that any resize has."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmsr.imaging.bicubic import crop_to_multiple, imresize, make_lr


def plain_row(values, ratio):
    """One row of bytes, sample by sample: widened cubic, normalised, mirrored, rounded half up."""

    def cubic(x):
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    size, widen = len(values), min(ratio, 1)
    mirrored = [*range(size), *reversed(range(size))]
    out = []
    for k in range(1, math.ceil(size * ratio) + 1):
        centre = k / ratio + 0.5 * (1 - 1 / ratio)
        taps = [(i, cubic(widen * (centre - i))) for i in range(math.floor(centre) - 12, math.floor(centre) + 13)]
        total = sum(weight for _, weight in taps)
        value = sum(weight / total * int(values[mirrored[(i - 1) % (2 * size)]]) for i, weight in taps)
        out.append(min(max(math.floor(value + 0.5 + 1e-12), 0), 255))
    return out


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=24), st.sampled_from([2, 3, 4, 1 / 2, 1 / 3, 1 / 4]))
def test_one_row(values, ratio) -> None:
    row = np.array([values], np.uint8)
    tall = imresize(row, ratio) if ratio >= 1 else None
    want = plain_row(values, ratio)
    got = imresize(np.repeat(row, round(1 / ratio) if ratio < 1 else 1, axis=0), ratio) if tall is None else tall
    assert np.abs(got[0].astype(int) - want).max() <= 1, "a tie may fall either way"
    assert (got[0] != want).mean() <= 0.25


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_constants_and_sizes(scale) -> None:
    image = np.full((26, 31, 3), 93, np.uint8)
    assert np.array_equal(make_lr(image, scale), np.full((26 // scale, 31 // scale, 3), 93))
    assert np.array_equal(imresize(image, scale), np.full((26 * scale, 31 * scale, 3), 93))
    assert crop_to_multiple(image, scale).shape == (26 - 26 % scale, 31 - 31 % scale, 3)


def test_gray_is_a_channel_of_rgb() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    assert np.array_equal(make_lr(image[..., 1], 4), make_lr(image, 4)[..., 1])
