"""Pictures of a size, and the table: flat ones first."""

import numpy as np
from flat_to_busy import filled, table


def test_pictures_go_on_mirrored_or_are_cut():
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    wide = filled(picture, (14, 2))
    assert wide.shape == (2, 14, 3) and np.array_equal(wide[:, :6], picture[1:3])
    assert np.array_equal(wide[:, 6:12], picture[1:3, ::-1]) and np.array_equal(wide[:, 12:], picture[1:3, :2])
    assert np.array_equal(filled(picture, (6, 4)), picture)


def picture(name: str, complexity: float, factor: int, ms: float) -> dict:
    base = {"factor": 0, "bit_operations": 1.0, "milliseconds": 8.0}
    ways = {"8": base, "auto:a6w4": {"factor": factor, "bit_operations": 0.5, "milliseconds": ms}}
    return {"picture": name, "complexity": complexity, "ways": ways}


FOUND = {"ways": ["8", "auto:a6w4"], "pictures": [picture("busy", 70.0, 1, 2.0), picture("flat", 10.0, 0, 8.0)]}


def test_table():
    rows = table(FOUND, tenths=False)[2:]
    assert rows[0] == "| flat | 10 | 8.0 | +0: 1.00 (2.00) |" and rows[1] == "| busy | 70 | 8.0 | +1: 4.00 (2.00) |"
    assert rows[2] == "| all | 10 to 70 | 8.0 | 1 of +0, 1 of +1: 2.00 (2.00) |"


def test_tenths():
    many = {**FOUND, "pictures": [picture(str(k), 100.0 - k, 0, 4.0) for k in range(25)]}
    rows = table(many, tenths=True)[2:]
    assert len(rows) == 11 and rows[0].startswith("| 3 pictures | 76 to 78 |")
    assert len(table(FOUND, tenths=True)[2:]) == 3
