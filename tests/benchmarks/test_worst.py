"""Windows in which a network is worst: found where the error was put, and shown beside the others."""

from __future__ import annotations

import numpy as np
import pytest
from judging.worst import ENLARGED, GAP, SIDE, STEP, Place, decibels, error_at, side_by_side, window_errors, worst_place


def flat(height: int = 120, width: int = 160, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_finds_the_window_that_holds_the_error():
    right, made = flat(), flat()
    made[64:72, 96:104] = 140
    place = worst_place("p", made, right)
    assert place.row <= 64 and place.row + SIDE >= 72
    assert place.column <= 96 and place.column + SIDE >= 104
    assert place.error == pytest.approx(error_at(place, made, right), rel=1e-9)


def test_every_window_is_the_mean_of_its_own_square_errors():
    rng = np.random.default_rng(3)
    right, made = (rng.integers(0, 256, (70, 90, 3), dtype=np.uint8) for _ in range(2))
    errors = window_errors(made, right)
    assert errors.shape == ((70 - SIDE) // STEP + 1, (90 - SIDE) // STEP + 1)
    for row, column in np.ndindex(errors.shape):
        place = Place("p", row * STEP, column * STEP, 0.0)
        assert errors[row, column] == pytest.approx(error_at(place, made, right), rel=1e-9)


def test_a_picture_smaller_than_a_window_is_one_window():
    right, made = flat(30, 40), flat(30, 40, 101)
    assert worst_place("p", made, right).row == 0
    assert worst_place("p", made, right).error == pytest.approx(error_at(Place("p", 0, 0, 0), made, right))


def test_planes_of_luma_are_compared_with_pictures():
    right = np.full((60, 60), 100.0)
    assert worst_place("p", np.full((60, 60), 103, np.uint8), right).error == pytest.approx(9.0)


def test_side_by_side_keeps_every_pixel():
    one, two = flat(4, 6, 10), np.arange(24, dtype=np.uint8).reshape(4, 6)
    sheet = side_by_side([one, two])
    assert sheet.shape == (4 * ENLARGED, 12 * ENLARGED + GAP, 3)
    right = sheet[::ENLARGED, 6 * ENLARGED + GAP :: ENLARGED]
    np.testing.assert_array_equal(right, np.repeat(two[:, :, None], 3, axis=2))


def test_decibels():
    assert decibels(255.0**2) == 0
    assert decibels(0) == float("inf")
