"""One artifact of the embedded network for all tests of the commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import tvmsr


@dataclass(frozen=True)
class Made:
    artifact: Path
    plan: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    plan = tvmsr.calibrate(out=folder / "plan.json").path
    assert plan is not None
    return Made(tvmsr.compile(out=folder / "sr.so", plan=plan).artifact, plan)
