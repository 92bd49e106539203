"""One artifact of the embedded network for all tests of the commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.numpy import save_file

import tvmsr
from tests.devices.conftest import need_emulator
from tests.frontend import states


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


@pytest.fixture
def few_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration that takes a second."""
    for name, value in (("CROPS", 4), ("CROP_SIZE", 32), ("HELD", 2)):
        monkeypatch.setattr(f"tvmsr.commands.inputs.{name}", value)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    save_file(states.srvgg(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@dataclass(frozen=True)
class Small:
    """x4, levels i8mm, dotprod, neon for AArch64; and the same for this machine."""

    model: Path
    plan: Path
    arm: Path
    here: Path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    need_emulator("aarch64")
    folder = tmp_path_factory.mktemp("small")
    made = Small(*(folder / name for name in ("srvgg.safetensors", "plan.json", "arm.so", "here.so")))
    save_file(states.srvgg(), made.model)
    tvmsr.calibrate(made.model, out=made.plan, equalise=False, bias_correction=False)
    tvmsr.compile(made.model, plan=made.plan, target="arm", out=made.arm, prefix="small")
    tvmsr.compile(made.model, plan=made.plan, out=made.here)
    return made
