"""Energy a picture: counters, samples while the artifact is at work, and devices that tell nothing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

import tvmsr
from tests.commands.boards import Board, Runner
from tests.commands.conftest import Made
from tests.devices import trees
from tvmsr.commands.benchmark import energy
from tvmsr.devices.health import health_of


def test_energy_by_a_counter(made: Made) -> None:
    board = Board("server", [trees.server()])
    counts = iter(range(1000))
    read = board.files

    def files(patterns: Iterable[str]) -> dict[str, bytes]:
        found = read(patterns)
        at = "/sys/class/powercap/intel-rapl:0/energy_uj"
        return found | {at: f"{next(counts) * 36_000_000}\n".encode()} if at in found else found

    board.files = files  # type: ignore[method-assign]
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1,), runs=10, device=board)
    assert found.timings[0].joules == pytest.approx(36 / 12)  # two pictures more warmed it up
    assert "RAPL" in found.energy_from and "difference" in found.energy_from


def a_jetson(monkeypatch: pytest.MonkeyPatch, watts_at_work: int = 9) -> tuple[Board, list[int]]:
    """A board that takes 1 W, but more from the first strip of an upscale to its last; and the heights of upscales."""
    monkeypatch.setattr(energy, "PERIOD", 0.0)
    monkeypatch.setattr(energy, "SETTLING", 0.0)
    at_work = [False]
    heights: list[int] = []
    upscale = Runner.upscale

    def watched(self: Runner, picture: np.ndarray, progress=None) -> np.ndarray:
        def report(done: int, total: int) -> bool:
            at_work[0] = done < total
            return bool(progress and progress(done, total))

        heights.append(picture.shape[0])
        try:
            return upscale(self, picture, report)
        finally:
            at_work[0] = False

    class Jetson(Board):
        def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
            found = super().files(patterns)
            watts = watts_at_work if at_work[0] else 1
            return found | {"/sys/class/hwmon/hwmon3/curr1_input": f"{200 * watts}\n".encode()}

    monkeypatch.setattr(Runner, "upscale", watched)
    return Jetson("jetson", [trees.jetson()]), heights


def test_energy_by_samples_at_work(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    board, heights = a_jetson(monkeypatch)
    found = tvmsr.bench(made.artifact, width=640, height=360, threads=1, runs=3, device=board)
    (timing,) = found.timings
    assert timing.mean == pytest.approx(2.0)  # as Runner says
    assert (
        timing.joules == pytest.approx(9 * 2e-3) and "mean of samples while pictures were upscaled" in found.energy_from
    )
    assert heights[-1] == 17 * 360  # of 4 Mpixel at most, as 2 ms are too short


def test_no_energy_where_no_sample_can_be_taken(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    board, heights = a_jetson(monkeypatch)
    monkeypatch.setattr(energy, "SETTLING", 60.0)  # a picture is done before the sensor has settled
    found = tvmsr.bench(made.artifact, width=64, height=36, threads=1, runs=3, device=board)
    assert found.timings[0].joules is None and found.energy_from == "" and len(heights) == 2


def test_samples_end_when_there_are_enough(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    board, heights = a_jetson(monkeypatch)
    with board.open(made.artifact) as runner:
        monkeypatch.setattr(energy, "SAMPLES", 3)
        assert energy.watts_at_work(board, runner, (64, 360), 1.0) == pytest.approx(9)
        assert heights == [720]


def test_energy_of_a_device_that_stops_answering(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    board, _ = a_jetson(monkeypatch)
    board.broken = "files"
    with energy.Counter(board, health_of(trees.server())) as counter:
        pass
    assert counter.joules is None
    with board.open(made.artifact) as runner:
        assert energy.watts_at_work(board, runner, (64, 36), 1.0) is None
