"""What times plans for --max-time: on a board whose times are made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tvmsr
from tests.commands.boards import Board
from tests.quant import networks
from tvmsr.cli.main import main
from tvmsr.commands import maxtime
from tvmsr.commands.maxtime import Stopwatch, budget_for, runs_here
from tvmsr.errors import UsageError
from tvmsr.hardware import host_levels, load_target
from tvmsr.quant.adabm.frontier import Frontier
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.plan import Plan

MODEL = networks.plain()


def test_without_a_time_there_is_none() -> None:
    with budget_for(MODEL, None, "", None) as budget:
        assert budget is None


@pytest.mark.parametrize(
    ("limit", "size", "words"),
    [
        (0.0, "64x64", "--max-time 0: expected a number of milliseconds, above 0"),
        (float("nan"), "64x64", "--max-time nan: expected"),
        (float("inf"), "64x64", "--max-time inf: expected"),
        (5.0, "", "--max-time needs --size WIDTHxHEIGHT"),
        (5.0, "64", "--size 64: expected WIDTHxHEIGHT"),
        (5.0, "0x64", "--size 0x64: expected WIDTHxHEIGHT"),
        (5.0, "99999x99999", "--size 99999x99999: such a picture and its result take"),
    ],
)
def test_what_cannot_be_met(limit: float, size: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvmsr.commands.upscaling.room.memory_here", lambda: 1 << 30)
    with pytest.raises(UsageError, match=words), budget_for(MODEL, limit, size, None):
        pass


def test_a_target_that_does_not_run_here_needs_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = load_target("android-arm64")
    assert not runs_here(foreign) and runs_here(load_target("host"))
    words = r"for the target android-arm64: .* do not run on this machine.*`tvmsr compile --device NAME`"
    with pytest.raises(UsageError, match=words), budget_for(MODEL, 5.0, "64x64", foreign):
        pass
    board = Board("pi5", [])
    with budget_for(MODEL, 5.0, "64x48", foreign, board) as budget:
        assert budget is not None and budget.words == "a picture of 64x48 on pi5" and budget.milliseconds == 5.0
    board.emulated = True
    with pytest.raises(UsageError, match="on pi5: the times of an emulator"), budget_for(MODEL, 5, "9x9", None, board):
        pass
    monkeypatch.setattr("tvmsr.hardware.cpuinfo.features", frozenset)
    assert not runs_here(replace(load_target("host"), levels=host_levels()[:1]))


def test_plans_are_timed_where_they_run(tmp_path: Path) -> None:
    """Of several levels only the one that the device takes is compiled again."""
    plan, board = calibrate(MODEL, [networks.picture(0)], max_drop=None, rounding=False), Board("pi5", [])
    levels = host_levels()[:2]
    stopwatch = Stopwatch(board, MODEL, replace(load_target("host"), levels=levels), (24, 16), tmp_path)
    assert stopwatch(plan) == stopwatch(plan) == pytest.approx(1 + maxtime.LEAST_RUNS // 2)
    assert len(board.opened) == 2 and stopwatch._target.levels == levels[:1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"max_time": 5.0, "size": "9x9"},
            "--max-time 5.0: only --bits auto looks for the best plan within a time, not",
        ),
        ({"max_time": 5.0, "size": "9x9", "bits": "auto:a6w4"}, "--max-time 5.0: only --bits auto .* auto:a6w4"),
        ({"bits": "auto", "size": "9x9"}, "--size 9x9: it is what --max-time is for"),
        ({"bits": "auto", "max_time": 5.0}, "--max-time needs --size"),
        (
            {"bits": "auto", "max_time": 5.0, "size": "9x9", "max_drop": 0.2},
            "--max-drop 0.2: --max-time takes the best",
        ),
        ({"bits": "auto", "max_time": 5.0, "size": "9x9", "target": "rpi5"}, "for the target rpi5: .*name a device"),
    ],
)
def test_options_that_contradict(network: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tvmsr.calibrate(network, **options)


@pytest.mark.usefixtures("few_crops")
def test_an_artifact_within_a_time(network: Path, tmp_path: Path) -> None:
    """The board says 3 ms of every artifact, so the plan of 8 bits keeps to 3 ms, and none to 2."""
    timed = {"bits": "auto", "size": "24x16", "device": Board("pi5", [])}
    within = tvmsr.compile(network, out=tmp_path / "a.so", max_time=3.0, **timed)
    assert within.bits == "auto" and within.frontier is not None
    assert [(point.cost, point.milliseconds, point.chosen) for point in within.frontier.points] == [(1.0, 3.0, True)]
    assert any("the best within 3 ms takes 3.00 ms for a picture of 24x16 on pi5" in note for note in within.notes)
    missed = tvmsr.compile(network, out=tmp_path / "b.so", max_time=2.0, **timed)
    assert any("--max-time 2 was missed: the fastest plan takes 3.00 ms" in note for note in missed.notes)
    assert json.loads(json.dumps(missed.as_json(), default=str))["frontier"]["points"][-1]["chosen"]
    assert tvmsr.verify(tmp_path / "b.so", model=network).pictures > 0


@pytest.mark.usefixtures("few_crops")
def test_the_frontier_is_shown(network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["calibrate", str(network), "--bits", "auto", "--costs", "bits", "--max-drop", "3", "-o"]
    assert main([*command, str(tmp_path / "plan.json")]) == 0
    said, plan = capfd.readouterr(), Plan.load(tmp_path / "plan.json")
    frontier = Frontier.of(plan)
    assert frontier is not None and len(frontier.points) > 1 and plan.bits == "auto"
    assert "cost is bit operations, 1 at 8 bits" in said.out and "the least within 3 dB" in said.err
    for point in frontier.points:
        (line,) = (line for line in said.out.splitlines() if line.lstrip().startswith(f"{point.cost:.3f}"))
        assert f"{point.drop:.3f}" in line and ("taken" in line) == point.chosen
    assert main([*command, str(tmp_path / "again.json"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["frontier"] == frontier.as_json()
    assert Plan.load(tmp_path / "again.json") == plan
