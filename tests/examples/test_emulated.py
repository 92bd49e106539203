"""Static libraries in programs for 64-bit ARM without a loader: linked by ziglang, run by qemu, bytes as here."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.examples.cmake import EXAMPLES, run
from tests.examples.conftest import read_ppm
from tvmsr.artifact.link import INCLUDE
from tvmsr.artifact.zig import zig_command
from tvmsr.hardware import load_target

CPUS = {"cortex-a53": "neon", "cortex-a76": "dotprod", "max": "i8mm"}


@pytest.fixture(scope="module")
def programs(networks, tmp_path_factory) -> Path:
    """A folder with examples/c and examples/two_models for Android's processors, statically linked."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("needs qemu-aarch64: apt install qemu-user")
    folder, target = tmp_path_factory.mktemp("android"), load_target("android-arm64")
    first, second = networks
    first.compiled(target, folder / "sr.a")
    first.compiled(target, folder / "one.a", "one")
    second.compiled(target, folder / "two.a", "two")
    compiler = [*zig_command("cc"), "-target", target.link_triple, "-static", "-O1", "-Wall", "-Wextra", "-Werror"]
    flags = [f"-I{INCLUDE}", f"-I{EXAMPLES / 'common'}", "-pthread"]
    for name, archives in (("c/upscale", ["sr.a"]), ("two_models/two_models", ["one.a", "two.a"])):
        source = (EXAMPLES / name).with_suffix(".c")
        done = run(*compiler, *flags, source, *[folder / a for a in archives], "-o", folder / source.stem)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("cpu", CPUS)
def test_static_library(programs, ppm, expected, tmp_path, cpu):
    out = tmp_path / "out.ppm"
    done = run("qemu-aarch64", "-cpu", cpu, programs / "upscale", ppm.path, out)
    assert done.returncode == 0, done.stderr
    assert f"level {CPUS[cpu]}," in done.stderr
    np.testing.assert_array_equal(read_ppm(out), expected[0])


@pytest.mark.parametrize("cpu", CPUS)
def test_two_models(programs, ppm, expected, tmp_path, cpu):
    outputs = [tmp_path / "one.ppm", tmp_path / "two.ppm"]
    done = run("qemu-aarch64", "-cpu", cpu, programs / "two_models", ppm.path, *outputs)
    assert done.returncode == 0, done.stderr
    for path, want in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(read_ppm(path), want)
