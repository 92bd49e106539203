"""What progress hears while plans are made: the stage, and the drop to expect of the plan that there would be now."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import tvmsr
from tvmsr.cli import show
from tvmsr.cli.main import main
from tvmsr.commands import compile as commands
from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.comparison.making import make_all
from tvmsr.commands.comparison.variants import chosen
from tvmsr.commands.inputs import crops_for
from tvmsr.commands.progress import Estimating, estimates, silent
from tvmsr.commands.source import open_model
from tvmsr.errors import Interrupted
from tvmsr.quant.adabm.frontier import Frontier
from tvmsr.quant.judge import expected_drop, make_judge
from tvmsr.quant.plan import Plan

pytestmark = pytest.mark.usefixtures("few_crops")


class Listener:
    """heard: estimates; reports: stages, and the estimate at that time. stop: Ctrl-C at a stage, once there is one."""

    def __init__(self, stop: str = "") -> None:
        self.stop = stop
        self.heard: list[float | None] = []
        self.reports: list[tuple[str, float | None]] = []

    def __call__(self, stage: str, _done: int, _total: int) -> None:
        now = self.heard[-1] if self.heard else None
        self.reports.append((stage, now))
        if stage == self.stop and now is not None:
            raise KeyboardInterrupt

    def estimate(self, drop: float | None) -> None:
        self.heard.append(drop)

    def first(self, stage: str) -> float | None:
        return next(now for name, now in self.reports if name == stage)


def test_it_is_known_once_ranges_are_and_gets_better(network: Path, tmp_path: Path) -> None:
    listener = Listener()
    assert isinstance(listener, Estimating) and not isinstance(silent, Estimating)
    plan = tvmsr.calibrate(network, out=tmp_path / "p.json", max_drop=0.0, progress=listener).plan
    assert plan.judged is not None and plan.judged.before is not None and plan.judged.wider is not None
    assert listener.first("ranges") is None and listener.first("sensitivity") == plan.judged.before[1]
    assert listener.first("weights") > plan.judged.before[1], "weights to the nearest"
    assert listener.heard[-2:] == [plan.judged.drop, None]


@pytest.mark.parametrize("stage", ["weights", "sensitivity"])
def test_it_is_that_of_the_plan_that_ctrl_c_keeps(stage: str, network: Path, tmp_path: Path) -> None:
    listener, out = Listener(stop=stage), tmp_path / "p.json"
    with pytest.raises(Interrupted) as stopped:
        tvmsr.calibrate(network, out=out, max_drop=0.0, progress=listener)
    model = open_model(network, None)
    noise = make_judge(model, crops_for(model, Calibration()).held).noise(Plan.load(out))
    last, end = listener.heard[-2:]
    assert last == pytest.approx(expected_drop(noise, model.scale), abs=1e-4) and end is None
    assert f"expected drop {last:.2f} dB" in str(stopped.value)


def test_compile_walks_with_it(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener, plans = Listener(), []

    def build(_model: Any, plan: Plan, *_: Any, **__: Any) -> None:
        plans.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "build_artifact", build)
    with pytest.raises(KeyboardInterrupt):
        tvmsr.compile(network, out=tmp_path / "a.so", bits="auto", costs="bits", max_drop=3.0, progress=listener)
    frontier = Frontier.of(plans[0])
    assert frontier is not None and len(frontier.points) > 1
    assert listener.first("frontier") is not None and listener.heard[-1] is None
    (taken,) = (point.drop for point in frontier.points if point.chosen)
    assert listener.heard[-2] == pytest.approx(taken, abs=1e-4)


def test_compare_forgets_it_with_each_variant(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    monkeypatch.setattr("tvmsr.commands.comparison.making.build_artifact", lambda *_, **__: _Built)
    variants = chosen("8,6")
    make_all(open_model(network, None), variants, Calibration(), tmp_path, listener)
    first, second, _ = (n for n, (stage, _) in enumerate(listener.reports) if stage == "variants")
    assert any(drop is not None for _, drop in listener.reports[first:second])
    again = listener.reports[second:]
    assert [stage for stage, drop in again[:2] if drop is None] == ["variants", "ranges"]
    assert again[-1] == ("variants", None) and any(drop is not None for _, drop in again)


class _Built:
    path, size = Path("a.so"), 1


def test_an_error_ends_it_too() -> None:
    listener = Listener()
    with pytest.raises(ZeroDivisionError), estimates(listener) as estimate:
        estimate(0.5)
        raise ZeroDivisionError
    assert listener.heard == [0.5, None]


@pytest.mark.parametrize("terminal", [True, False])
def test_it_is_shown_on_a_terminal(
    terminal: bool, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = io.StringIO()
    monkeypatch.setattr(show, "err", Console(file=told, force_terminal=terminal, width=80))
    assert main(["calibrate", str(network), "-o", str(tmp_path / "p.json"), "--max-drop", "0"]) == 0
    judged = Plan.load(tmp_path / "p.json").judged
    assert judged is not None and judged.before is not None
    for drop in (judged.before[1], judged.drop):
        assert (f"drop about {drop:.2f} dB so far" in told.getvalue()) == terminal
    assert ("\x1b" in told.getvalue()) == terminal
