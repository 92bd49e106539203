"""A registry of the test's own, and an artifact of a small network for 64-bit ARM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.numpy import save_file

import tvmsr
from tests.frontend import states


@dataclass(frozen=True)
class Small:
    model: Path
    plan: Path
    arm: Path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    made = Small(*(folder / name for name in ("srvgg.safetensors", "plan.json", "arm.so")))
    save_file(states.srvgg(), made.model)
    tvmsr.calibrate(made.model, out=made.plan, equalise=False, bias_correction=False)
    tvmsr.compile(made.model, plan=made.plan, target="arm", out=made.arm, prefix="small")
    return made


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of devices.json."""
    folder = tmp_path / "config"
    monkeypatch.setenv("TVMSR_CONFIG", str(folder))
    return folder
