"""The driver as a C program under sanitizers, with gcc or clang and their strictest warnings."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.artifact.fake_reference import FAKE
from tvmsr.artifact.link import DRIVER, INCLUDE, PACK, driver_sources

FLAGS = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all"]
PROGRAMS = {
    "rgb": ["model.c", "data.S", "driver_check.c"],
    "granules": ["model.c", "data.S", "driver_check.c"],
    "y": ["model_y.c", "data.S", "driver_check.c"],
    "spatial": ["model_spatial.c", "spatial_data.S", "driver_check.c"],
    "layers": ["model_spatial.c", "spatial_data.S", "driver_check.c"],
    "choices": ["model.c", "data.S", "driver_check.c"],
    "forge": ["forge.c", "forge_data.S"],
}
DEFINES = {
    "granules": ["-DGRANULE=4"],
    "y": ["-DSIZES_ONLY"],
    "choices": ["-DSIZES_ONLY", "-DBELOW=70000", "-DTILES=16, 8, 0"],  # of noise, about half of the tiles are below
    "spatial": ["-DSIZES_ONLY"],
    "layers": ["-DSIZES_ONLY", "-DSR_LAYER_BY_LAYER"],
}
SANITIZERS = {"address,undefined": [], "thread": ["no-fork"]}


def compiler() -> str:
    for name in ("clang", "gcc", "cc"):
        if shutil.which(name):
            return name
    if os.environ.get("CI"):
        pytest.fail("no C compiler: sanitizers may not be skipped in CI")
    pytest.skip("needs gcc or clang with sanitizers; ziglang has none")


def build(tmp_path: Path, name: str, flags: list[str]) -> Path:
    program = tmp_path / "check"
    sources = [*driver_sources(), PACK, *(FAKE / source for source in PROGRAMS[name])]
    includes = [f"-I{folder}" for folder in (INCLUDE, DRIVER, PACK.parent)]
    options = [*FLAGS, *flags, *DEFINES.get(name, []), *includes]
    command = [compiler(), *options, *sources, "-lm", "-pthread", "-o", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_sanitizer(tmp_path, name, sanitizer):
    program = build(tmp_path, name, [f"-fsanitize={sanitizer}"])
    done = subprocess.run([program, *SANITIZERS[sanitizer]], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "ok\n"
