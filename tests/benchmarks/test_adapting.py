"""The tables of adaptive bits: means with each picture's own choice, times beside 8 bits."""

from pathlib import Path
from typing import Any

import pytest
from adapting import timing
from adapting.measure import set_means
from adapting.tables import quality, speed, summary
from adapting.timing import mean_time
from adapting.ways import WAYS, Run, runs

NETWORK, OTHER = "edsr8_x2", "auto:a6w4"


def picture(name: str, choice: int, *psnr: float) -> dict:
    return {"picture": name, "choice": choice, "fp32": 40.0, "psnr": list(psnr), "ssim": [0.9] * len(psnr)}


def record(way: str, fab: list[float], factors: list[int], pictures: list[dict]) -> dict:
    names = ["base", "flat"][: len(fab)]
    more = {
        "size": 2048,
        "level": "avx2",
        "seconds": 3.0,
        "at_8_bits": [0.1] * len(fab),
        "bit_operations": [0.5] * len(fab),
    }
    return {"key": f"{NETWORK} {way}", "fab": fab, "names": names, "factors": factors, "pictures": pictures, **more}


FIXED = record("8", [8.0], [0], [picture("set5/a", 0, 39.9), picture("set14/b", 0, 39.9)])
OWN = record(OTHER, [6.0, 5.0], [0, -1], [picture("set5/a", 1, 39.8, 39.0), picture("set14/b", 0, 39.6, 38.0)])
TIMED = {
    "key": f"{NETWORK} times",
    "ways": ["8", OTHER],
    "sizes": {
        "640x360": {"8|base": {"median": 6.0}, f"{OTHER}|base": {"median": 4.0}, f"{OTHER}|flat": {"median": 2.0}}
    },
}
RECORDS = {one["key"]: one for one in (FIXED, OWN, TIMED)}


def test_pictures_count_with_their_own_choice():
    assert set_means(OWN, "set5") == pytest.approx(
        {"fp32": 40, "psnr": 39.0, "ssim": 0.9, "fab": 5, "at_8_bits": 0.1, "bit_operations": 0.5}
    )
    assert set_means(OWN, "set5", 0)["psnr"] == 39.8
    sizes = TIMED["sizes"]["640x360"]
    assert mean_time(OWN, sizes, OTHER) == 3.0 and mean_time(OWN, sizes, OTHER, 0) == 4.0


def test_tables():
    rows = quality(RECORDS, [NETWORK])
    assert len(rows) == 4 and "| `auto:a6w4` | 5.00 |" in rows[3] and "| 1.000 |" in rows[3] and "| 0.50 |" in rows[3]
    forced = speed(RECORDS, [NETWORK])
    assert len(forced) == 4
    assert "| -1 | 50% | 5.00 | 1.00 | 3.00 |" in forced[2] and "| +0 | 50% | 6.00 | 1.00 | 1.50 |" in forced[3]
    assert summary(RECORDS, [NETWORK]).endswith("edsr8_x2 2.00.")
    assert summary({FIXED["key"]: FIXED}, [NETWORK]).startswith("No network")


def test_one_run_for_each():
    found = list(runs(["edsr8_x2", "abpn_x3"], None))
    assert len({run.key for run in found}) == len(found) == 2 * len(WAYS)
    assert [run.way.name for run in runs(["abpn_x3"], ["8"])] == ["8"] == [Run("abpn_x3", WAYS[0]).way.name]


def test_each_way_is_timed_beside_8_bits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in which all takes twice as long says the same."""
    asked = []

    def by_turns(artifacts: dict[str, Any], _size: Any, _threads: int) -> dict[str, dict[str, float]]:
        asked.append(list(artifacts))
        slow = 2.0 if "b" in artifacts else 1.0
        names = [f"{way}|{choice}" for way, (_, choices) in artifacts.items() for choice in choices]
        ms = {"8|default": 10.0, "a|default": 8.0, "b|base": 5.0, "b|more": 9.0}
        return {name: {"least": slow * ms[name], "median": slow * (ms[name] + 1)} for name in names}

    monkeypatch.setattr(timing, "_by_turns", by_turns)
    file = Path("x.so")
    found = timing.times({"8": (file, ["default"]), "a": (file, ["default"]), "b": (file, ["base", "more"])}, (1, 1), 1)
    assert asked == [["8", "a"], ["8", "b"]]
    assert {name: one["least"] for name, one in found.items()} == {
        "8|default": 10.0, "a|default": 8.0, "b|base": 5.0, "b|more": 9.0,
    }  # fmt: skip
    assert found["b|base"]["median"] == 6.0
