"""Static libraries for Android's processors: linked by ziglang into programs that qemu runs, bytes as here."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.artifact.test_link import dynamic_symbols, needs_binutils
from tests.examples.cmake import EXAMPLES, built, make_stub, project, run
from tests.examples.conftest import read_ppm
from tvmsr.artifact.link import INCLUDE
from tvmsr.artifact.zig import zig_command
from tvmsr.hardware import load_target

COMPILER = [*zig_command("cc"), "-target", "aarch64-linux-musl"]
CPUS = {"cortex-a53": "neon", "cortex-a76": "dotprod", "max": "i8mm"}


TARGET = "android-arm64"


@pytest.fixture(scope="module")
def archives(networks, tmp_path_factory) -> dict[str, Path]:
    """Static libraries by name, with three levels each."""
    folder, target = tmp_path_factory.mktemp("android"), load_target(TARGET)
    first, second = networks
    return {
        "sr.a": first.compiled(target, folder / "sr.a"),
        "one.a": first.compiled(target, folder / "one.a", "one"),
        "two.a": second.compiled(target, folder / "two.a", "two"),
    }


@pytest.fixture(scope="module")
def programs(archives, tmp_path_factory) -> Path:
    """A folder with examples/c and examples/two_models, statically linked: there is no loader of Android here."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("needs qemu-aarch64: apt install qemu-user")
    folder = tmp_path_factory.mktemp("programs")
    compiler = [*COMPILER, "-static", "-O1", "-Wall", "-Wextra", "-Werror"]
    flags = [f"-I{INCLUDE}", f"-I{EXAMPLES / 'common'}", "-pthread"]
    for name, linked in (("c/upscale", ["sr.a"]), ("two_models/two_models", ["one.a", "two.a"])):
        source = (EXAMPLES / name).with_suffix(".c")
        done = run(*compiler, *flags, source, *[archives[a] for a in linked], "-o", folder / source.stem)
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


@needs_binutils
def test_cmake_builds_the_library_of_an_app(archives, tmp_path):
    """As Gradle calls CMake for one ABI, with ziglang in the place of the NDK's compiler."""
    stub = make_stub(tmp_path / "stub", archives)
    toolchain = tmp_path / "toolchain.cmake"
    toolchain.write_text(
        "set(CMAKE_SYSTEM_NAME Android)\nset(CMAKE_SYSTEM_VERSION 1)\nset(ANDROID_ABI arm64-v8a)\n"
        f'set(CMAKE_C_COMPILER "{COMPILER[0]}")\nset(CMAKE_C_COMPILER_ARG1 "{" ".join(COMPILER[1:])}")\n'
        "set(CMAKE_FIND_ROOT_PATH /nothing)\nset(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)\n"
    )
    text = "add_library(app SHARED app.c)\ntarget_link_libraries(app PRIVATE sr)\n"
    source = project(tmp_path / "app", "tvmsr_add_model(sr MODEL default:x2 STATIC)\n" + text)
    build = built(source, tmp_path / "build", stub.option, f"-DCMAKE_TOOLCHAIN_FILE={toolchain}")
    assert f"--target {TARGET} --emit static" in stub.calls[0]
    symbols = dynamic_symbols(build / "libapp.so")
    assert not {"__errno_location", "__tls_get_addr", "sysconf"} & symbols["U"]
    assert run("readelf", "-d", build / "libapp.so").stdout.count("(NEEDED)") == 1
