"""Which parts are shown, by the measure alone."""

from __future__ import annotations

import numpy as np
import pytest

from tvmsr.evaluation.metrics import to_luma
from tvmsr.reporting.crops import KINDS, SIDE, crops, windows
from tvmsr.reporting.facts import Window
from tvmsr.reporting.images import MOST


def test_the_worst_window_and_the_middle_one() -> None:
    error = np.zeros((60, 60))
    error[42:58, 42:58] = 3.0
    error[0:10, 0:10] = 1.0
    found = windows(error, side=20)
    assert found["worst"] == Window(40, 40, 20, 20)
    sums = {(y, x): error[y : y + 20, x : x + 20].sum() for y in (0, 10, 20, 30, 40) for x in (0, 10, 20, 30, 40)}
    middle = found["middle"]
    assert sums[middle.top, middle.left] == sorted(sums.values(), reverse=True)[len(sums) // 2]


def test_sides_that_are_no_multiple_end_flush() -> None:
    error = np.zeros((31, 47))
    error[30, 46] = 1.0
    assert windows(error, side=20)["worst"] == Window(11, 27, 20, 20)


@pytest.mark.parametrize(("height", "width"), [(20, 20), (7, 12)])
def test_a_small_picture_is_shown_as_a_whole(height: int, width: int) -> None:
    assert windows(np.ones((height, width)), side=20) == {"whole": Window(0, 0, height, width)}


def test_a_part_of_a_small_picture_is_not_called_the_whole() -> None:
    (crop,) = crops({"a": np.zeros((SIDE, SIDE, 3), np.uint8)}, ("a",), "a")
    assert [crop.within(side).kind for side in (MOST, SIDE, SIDE - 8)] == ["whole", "whole", "centre"]
    assert "centre" in KINDS


def test_equal_windows_are_taken_in_their_order() -> None:
    assert windows(np.zeros((60, 60)), side=20)["worst"] == Window(0, 0, 20, 20)


def test_crops_hold_the_same_pixels_of_all(size: int = 400) -> None:
    rng = np.random.default_rng(0)
    exact = rng.integers(0, 256, (size, size, 3), np.uint8)
    a, b = exact.copy(), exact.copy()
    a[-30:, -30:] ^= 64
    b[:40, :40] ^= 255
    alone, both = crops({"a": a, "b": b, "x": exact}, ("a",), "x"), crops({"a": a, "b": b, "x": exact}, ("a", "b"), "x")
    assert alone[0].kind == "worst" and alone[0].focus == Window(size - SIDE, size - SIDE, SIDE, SIDE)
    assert both[0].focus.top == both[0].focus.left == 0
    for crop in (*alone, *both):
        assert (crop.window.height, crop.window.width) == (MOST, MOST)
        for side in (MOST, SIDE, 50):
            part = crop.within(side)
            assert part.pixels["a"].shape == (side, side, 3)
            np.testing.assert_array_equal(part.pixels["a"], part.window.of(a))
            np.testing.assert_array_equal(part.pixels["x"], part.window.of(exact))
    shown = alone[0].within(SIDE)
    assert shown.window == shown.focus, "what was measured is what is shown, at the border too"
    error = (to_luma(a) - to_luma(exact)) ** 2
    assert np.count_nonzero(shown.window.of(error)) == np.count_nonzero(error)
