"""Seconds of trainings: extrapolated, and how far apart they are."""

import pytest
from adabm_cost import _ratios, table


def test_the_ratio_s_ends_are_over_all_pairs():
    assert _ratios([10.0, 20.0, 30.0], [2.0, 4.0, 5.0]) == pytest.approx({"median": 5.0, "least": 2.0, "most": 15.0})


def test_table():
    found = {"qat": [7200.0], "adabm": [36.0], "steps": 500, "ratio": _ratios([7200.0], [36.0])}
    found["product"] = {"auto:a6w4": 10.0}
    lines = table(found)
    assert "7,200 (2 h)" in lines[2] and "| 36 | 200 (200 to 200) |" in lines[3] and lines[4].endswith("| 10 | 720 |")
