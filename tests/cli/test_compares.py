"""`tvmsr compare`: what it passes on, and how the tables look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tvmsr.cli.main import main
from tvmsr.commands.comparison.results import Comparison, Row, Spread
from tvmsr.commands.source import Overrides

FOUND = Comparison(
    model="net",
    data="Set5",
    pictures=5,
    protocol="y",
    width=640,
    height=360,
    threads=2,
    level="avx2",
    calibration="pictures of train",
    way="mix",
    seed=7,
    rows=(
        Row("fp32", "FP32", 33.5, 0.91, 0.0),
        Row("plain", "pinned", float("inf"), 0.9, float("-inf"), 10.0, 11.0, 2048),
        Row("clip", "clip", 33.25, 0.9, 0.25, 12.5, 13.0, 4096),
    ),
    clips={"absent": "plain", "fused": "clip"},
    spreads=(Spread("plain", "pinned", (33.0, 34.0)),),
    notes=("a [b] note",),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("tvmsr.commands.compare.compare", lambda model, **how: seen.update(how, model=model) or FOUND)
    return seen


def test_options(asked: dict[str, Any]) -> None:
    words = "compare net.pth --data d --calib c --hr --lr l --variants fp32,6 --way selection --sets 4 --size 32x16"
    more = "--threads 2 --protocol rgb -o t.md --seed 9 --scale 2"
    assert main([*words.split(), *more.split()]) == 0
    del asked["progress"]
    assert asked == {
        "model": "net.pth",
        "data": Path("d"),
        "calib": Path("c"),
        "hr": True,
        "lr": Path("l"),
        "variants": "fp32,6",
        "way": "selection",
        "sets": 4,
        "width": 32,
        "height": 16,
        "threads": 2,
        "protocol": "rgb",
        "out": Path("t.md"),
        "seed": 9,
        "overrides": Overrides(scale=2),
    }


def test_tables(asked: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "net.pth", "--data", "d"]) == 0
    said = capfd.readouterr()
    lines = [line.split() for line in said.out.splitlines()]
    title = "5 pictures of Set5, calibrated with pictures of train, seed 7; times at 640x360, 2 threads, level avx2"
    assert said.out.startswith(f"{title}, by turns\n") and "seeds from 7; CFQP's pictures by mix\n" in said.out
    assert lines[2] == ["fp32", "FP32", "33.500", "0.9100", "0.000", "-", "-", "-"]
    assert lines[4] == ["clip", "clip", "33.250", "0.9000", "0.250", "12.50", "13.00", "4"]
    assert ["fused", "clip", "12.50", "13.00", "25.0"] in lines
    assert lines[-1] == ["plain", "pinned", "33.500", "0.7071", "33.000"]
    assert said.err == "note: a [b] note\n"


def test_json(asked: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "net.pth", "--data", "d", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["rows"][1]["psnr"] is None and found["rows"][2]["drop"] == 0.25
    assert found["spreads"][0]["psnr"] == [33.0, 34.0] and found["spreads"][0]["worst"] == 33.0
    assert found["clips"] == {"absent": "plain", "fused": "clip"} and found["notes"] == ["a [b] note"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--data"),
        (["--data", "d", "--sets", "1"], 2, "--sets"),
        (["--data", "d", "--size", "wide"], 2, "WIDTHxHEIGHT"),
        (["--data", "d", "--variants", "nonsense"], 2, "'nonsense' is not known"),
        (["--data", "missing"], 3, "missing"),
        (["missing.pth", "--data", "d"], 3, "missing.pth"),
    ],
)
def test_mistakes(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments]) == code
    said = capfd.readouterr().err
    assert words in said and "Traceback" not in said and not list(tmp_path.iterdir())
