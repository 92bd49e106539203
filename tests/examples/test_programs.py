"""The examples, built by CMake as their README says, and run: their bytes are the reference executor's."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.examples.cmake import EXAMPLES, PACKAGE, built, needs_cmake, needs_compiler, run
from tests.examples.conftest import read_ppm
from tests.frontend import states
from tests.runtime.test_lean import _clean_environment
from tvmsr.artifact.manifest import read_plan_text
from tvmsr.cli.main import main
from tvmsr.runtime import load

STRICT = "-DCMAKE_C_FLAGS=-Wall -Wextra -Wconversion -Werror"


def check(command, outputs, expected) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stderr
    for path, want in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(read_ppm(path), want)


def test_c(stub, ppm, expected, tmp_path):
    build = built(EXAMPLES / "c", tmp_path / "build", stub.option, STRICT)
    check([build / "upscale", ppm.path, tmp_path / "out.ppm"], [tmp_path / "out.ppm"], expected[:1])


def test_c_with_an_artifact_that_exists(libraries, ppm, expected, tmp_path):
    build = built(EXAMPLES / "c", tmp_path / "build", f"-DTVMSR_ARTIFACT={libraries['sr.a']}")
    check([build / "upscale", ppm.path, tmp_path / "out.ppm"], [tmp_path / "out.ppm"], expected[:1])


def test_c_says_what_is_wrong(libraries, ppm, tmp_path):
    build = built(EXAMPLES / "c", tmp_path / "build", f"-DTVMSR_ARTIFACT={libraries['sr.a']}")
    (tmp_path / "short.ppm").write_bytes(ppm.path.read_bytes()[:200])
    for arguments, code, word in (
        ([], 2, "usage"),
        ([tmp_path / "short.ppm", "x"], 1, "short.ppm"),
        ([ppm.path, tmp_path / "no" / "x.ppm"], 1, "cannot be written"),
    ):
        done = run(build / "upscale", *arguments)
        assert (done.returncode, word in done.stderr) == (code, True)


def test_cpp(stub, ppm, expected, tmp_path):
    env = {"CXX": needs_compiler("c++")}
    flags = STRICT.replace("C_FLAGS", "CXX_FLAGS")
    build = built(EXAMPLES / "cpp", tmp_path / "build", stub.option, flags, env=env)
    outputs = [tmp_path / f"{i}.ppm" for i in (1, 2, 3, 4, 5)]
    check([build / "upscale_all", tmp_path, *[ppm.path] * 5], outputs, expected[:1] * 5)
    done = run(build / "upscale_all", tmp_path, "missing.ppm", ppm.path)
    assert done.returncode == 1 and "missing.ppm: not a PPM" in done.stderr


def test_two_models(stub, ppm, expected, tmp_path):
    build = built(EXAMPLES / "two_models", tmp_path / "build", stub.option, STRICT)
    outputs = [tmp_path / "one.ppm", tmp_path / "two.ppm"]
    check([build / "two_models", ppm.path, *outputs], outputs, expected)
    assert (expected[0] != expected[1]).any()
    assert all("--emit static" in call for call in stub.calls)


def test_by_hand_with_pkg_config(libraries, ppm, expected, tmp_path):
    """The README's lines without CMake, with what pkg-config says."""
    if shutil.which("pkg-config") is None:
        pytest.skip("needs pkg-config: apt install pkg-config")
    shutil.copyfile(libraries["sr.so"], tmp_path / "libsr.so")
    said = run("pkg-config", "--cflags", "tvmsr", env={"PKG_CONFIG_PATH": str(PACKAGE.parent / "pkgconfig")})
    assert said.returncode == 0, said.stderr
    program, cc = tmp_path / "upscale", needs_compiler("cc").split()
    flags = [*said.stdout.split(), f"-I{EXAMPLES / 'common'}", f"-L{tmp_path}", "-lsr", "-Wl,-rpath,$ORIGIN"]
    assert run(*cc, EXAMPLES / "c" / "upscale.c", *flags, "-o", program).returncode == 0
    check([program, ppm.path, tmp_path / "out.ppm"], [tmp_path / "out.ppm"], expected[:1])


@pytest.mark.parametrize("strip", [["strip", "--strip-unneeded"], ["strip"], ["llvm-strip-19", "--strip-unneeded"]])
def test_stripped_by_a_packager(libraries, ppm, expected, tmp_path, strip):
    if shutil.which(strip[0]) is None:
        pytest.skip(f"needs {strip[0]}: apt install binutils llvm-19")
    path = Path(shutil.copyfile(libraries["sr.so"], tmp_path / "sr.so"))
    assert run(*strip, path).returncode == 0
    assert read_plan_text(path) == read_plan_text(libraries["sr.so"])
    with load(path) as session:
        np.testing.assert_array_equal(session.upscale(ppm.pixels), expected[0])


def test_static_library_survives_the_apps_optimiser(libraries, ppm, expected, tmp_path):
    """Link-time optimisation, unused sections thrown away, stripped; with the header that came with the library."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc: apt install gcc")
    header = libraries["sr.a"].with_suffix(".h")
    shutil.copyfile(header, tmp_path / "tvmsr.h")
    flags = [
        "-O2",
        "-flto",
        "-ffunction-sections",
        "-Wl,--gc-sections",
        "-s",
        f"-I{tmp_path}",
        f"-I{EXAMPLES / 'common'}",
    ]
    done = run("gcc", *flags, EXAMPLES / "c" / "upscale.c", libraries["sr.a"], "-pthread", "-o", tmp_path / "upscale")
    assert done.returncode == 0, done.stderr
    check([tmp_path / "upscale", ppm.path, tmp_path / "out.ppm"], [tmp_path / "out.ppm"], expected[:1])


@pytest.mark.parametrize("folder", ["cmake", "pkgconfig", "include"])
def test_the_command_line_says_where_things_are(folder, capfd):
    assert main([f"--{folder}-dir"]) == 0
    assert capfd.readouterr().out.strip() == str(PACKAGE.parent / folder)
    assert list((PACKAGE.parent / folder).glob("tvmsr*"))


def test_python_with_numpy_and_pillow_only(libraries, ppm, expected, tmp_path):
    python = _clean_environment(tmp_path / "clean")
    done = run(python, EXAMPLES / "python" / "upscale.py", libraries["sr.so"], ppm.path, tmp_path / "out.png")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), expected[0])
    missing = run(python, "-c", "import tvm")
    assert "No module named 'tvm'" in missing.stderr


def test_from_a_clean_folder_with_pip_packages_and_cmake(ppm, tmp_path):
    """No system compiler on the PATH: ziglang compiles the program, tvmsr the network; the real one, not the stub."""
    from safetensors.numpy import save_file

    tool = "ninja" if needs_cmake() == "Ninja" else "make"
    tools, app, model = tmp_path / "bin", tmp_path / "app", tmp_path / "abpn.safetensors"
    tools.mkdir()
    for name in ("cmake", tool):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "tvmsr").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tvmsr "$@"\n')
    (tools / "tvmsr").chmod(0o755)
    for part in ("c", "common"):
        shutil.copytree(EXAMPLES / part, app / part)
    save_file(states.abpn(2), model)

    machine = os.uname().machine
    env = {"PATH": str(tools), "CC": f"{sys.executable} -m ziglang cc -target {machine}-linux-gnu.2.17"}
    env["PYTHONPATH"] = str(EXAMPLES.parent)
    build = built(app / "c", app / "build", f"-DMODEL={model}", "-DTARGET=host", env=env)
    out = tmp_path / "out.ppm"
    assert run(build / "upscale", ppm.path, out).returncode == 0
    with load(build / "libsr.so") as session:
        np.testing.assert_array_equal(read_ppm(out), session.upscale(ppm.pixels))
