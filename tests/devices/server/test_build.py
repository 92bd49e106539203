"""tvmsr-device is built for each CPU from the wheels' sources, is small, and shows what loaded libraries need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.devices.server.conftest import ALL, NATIVE_TRIPLE, PYTHON, program_for
from tvmsr import __version__
from tvmsr.devices.program import agent_key
from tvmsr.devices.server import build
from tvmsr.errors import DeviceError, WorkError

LARGEST = 4 << 20


@pytest.mark.parametrize("kind", ALL)
def test_small_and_runs(kind: str) -> None:
    program = program_for(kind)
    assert program.path.stat().st_size <= LARGEST
    done = subprocess.run([*program.command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"tvmsr-device {__version__} agent {agent_key()}"


@pytest.mark.parametrize("kind", ALL)
def test_needs_the_c_library_only(kind: str) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf: apt-get install binutils")
    path = program_for(kind).path
    dynamic = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True).stdout
    needed = {line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line}
    allowed = ("libc.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux")
    assert needed and all(name.startswith(allowed) for name in needed), needed
    symbols = subprocess.run(["readelf", "--dyn-syms", "-W", path], capture_output=True, text=True, check=True).stdout
    rows = [row.split() for row in symbols.splitlines()]
    shown = {row[7] for row in rows if len(row) > 7 and row[6] not in {"UND", "Ndx"}}
    assert {"TVMBackendParallelLaunch", "TVMFFIErrorSetRaisedFromCStr", "TVMFFIBytesFromByteArray"} <= shown
    assert not any("host_" in name or "session" in name for name in shown), shown


def test_cached() -> None:
    first = program_for("native").path
    built = first.stat().st_mtime_ns
    assert build.device_program(NATIVE_TRIPLE) == first
    assert first.stat().st_mtime_ns == built


def test_front_has_no_tvm() -> None:
    program = program_for(PYTHON)
    assert program.path.stat().st_size < 100_000 and build.front_program(NATIVE_TRIPLE) == program.path
    done = subprocess.run([program.path, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("tvmsr device serve ")
    done = subprocess.run([program.path], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--session-command is missing" in done.stderr


def test_other_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.metadata, "version", lambda name: "9.9.9")
    with pytest.raises(WorkError, match=r"built from apache-tvm .* but 9\.9\.9 is installed; pip install apache-tvm=="):
        build.parts()


def test_other_systems_are_refused() -> None:
    with pytest.raises(DeviceError, match="Linux and Android only"):
        build.device_program("aarch64-macos")


def test_compiler_errors_are_told(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="compiling tvmsr-device for nothing-linux-gnu failed"):
        build.build(tmp_path / "out", link_triple="nothing-linux-gnu")
    assert not (tmp_path / "out").exists()


def test_with_a_toolchain_file(tmp_path: Path) -> None:
    for tool, package in (("cmake", "cmake"), ("g++", "g++")):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}: apt-get install {package}")
    toolchain = tmp_path / "here.cmake"
    for name in ("gcc", "g++"):  # -Os would take another half minute
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {name} "$@" -O0\n')
        (tmp_path / name).chmod(0o700)
    toolchain.write_text(f"set(CMAKE_C_COMPILER {tmp_path}/gcc)\nset(CMAKE_CXX_COMPILER {tmp_path}/g++)\n")
    out = tmp_path / "tvmsr-device"
    build.build(out, toolchain=toolchain)
    assert out.stat().st_size <= LARGEST
    assert agent_key() in subprocess.run([out, "--version"], capture_output=True, text=True, check=True).stdout


def test_the_top_level_has_it(tmp_path: Path) -> None:
    """What docs/device-server.md says for any toolchain, as far as its target is there; its build is above."""
    for tool, package in (("cmake", "cmake"), ("g++", "g++")):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}: apt-get install {package}")
    root = Path(__file__).resolve().parents[3]
    options = ["-DTVMSR_TESTS=OFF", "-DTVMSR_DEVICE=ON", f"-DPython_EXECUTABLE={sys.executable}"]
    subprocess.run(["cmake", "-S", root, "-B", tmp_path, *options], check=True, capture_output=True)
    listed = ["cmake", "--build", tmp_path, "--target", "help"]
    targets = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
    assert "tvmsr-device" in targets
