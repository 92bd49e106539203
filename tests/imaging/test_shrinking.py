"""Resizing to a smaller size as rows come."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.imaging.pictures import noise
from tvmsr.imaging import shrinking
from tvmsr.imaging.bicubic import imresize
from tvmsr.imaging.shrinking import Shrinking


def by(pixels: np.ndarray, wanted: tuple[int, int], count: int) -> np.ndarray:
    one = Shrinking(pixels.shape[:2], wanted)
    return np.concatenate([one.put(pixels[top : top + count]) for top in range(0, len(pixels), count)])


@pytest.mark.parametrize("wanted", [(45, 30), (60, 40), (30, 20), (90, 60)])
def test_it_is_matlabs(wanted: tuple[int, int]) -> None:
    pixels = noise(90, 60, 3)
    assert np.array_equal(by(pixels, wanted, 7), imresize(pixels, Fraction(wanted[0], 90)))


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 20)), share=st.floats(0.01, 1), count=st.integers(1, 40),
    channels=st.sampled_from([(), (2,), (4,)]), block=st.integers(1, 500),
)  # fmt: skip
def test_bands_change_nothing(
    size: tuple[int, int], share: float, count: int, channels: tuple[int, ...], block: int
) -> None:
    pixels = noise(*size, *channels)
    wanted = max(1, round(size[0] * share)), max(1, round(size[1] * share))
    whole = by(pixels, wanted, size[0])
    assert whole.shape == (*wanted, *channels)
    before, shrinking._BLOCK = shrinking._BLOCK, block
    try:
        assert np.array_equal(by(pixels, wanted, count), whole)
    finally:
        shrinking._BLOCK = before


def test_a_constant_stays_what_it_is() -> None:
    assert (by(np.full((37, 23), 201, np.uint8), (11, 5), 3) == 201).all()
