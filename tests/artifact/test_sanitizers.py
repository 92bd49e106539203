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
NETWORKS = {"rgb": ["model.c"], "y": ["model_y.c", "-DCHECK_Y"]}
SANITIZERS = {"address,undefined": [], "thread": ["no-fork"]}


def compiler() -> str:
    for name in ("clang", "gcc", "cc"):
        if shutil.which(name):
            return name
    if os.environ.get("CI"):
        pytest.fail("no C compiler: sanitizers may not be skipped in CI")
    pytest.skip("needs gcc or clang with sanitizers; ziglang has none")


def build(tmp_path: Path, network: str, flags: list[str]) -> Path:
    program = tmp_path / "check"
    model, *defines = NETWORKS[network]
    sources = [*driver_sources(), PACK, FAKE / model, FAKE / "data.S", FAKE / "driver_check.c"]
    includes = [f"-I{folder}" for folder in (INCLUDE, DRIVER, PACK.parent)]
    command = [compiler(), *FLAGS, *flags, *defines, *includes, *sources, "-lm", "-pthread", "-o", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_sanitizer(tmp_path, network, sanitizer):
    program = build(tmp_path, network, [f"-fsanitize={sanitizer}"])
    done = subprocess.run([program, *SANITIZERS[sanitizer]], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "ok\n"
