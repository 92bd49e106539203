"""Artifacts with hand-written programs, linked once a test session by the product's own linker."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.artifact import fake_reference
from tvmsr.artifact.link import DRIVER, INCLUDE, PACK, link_shared
from tvmsr.artifact.toolchain import compile_flags, compiler

TRIPLE = f"{platform.machine()}-linux-gnu.2.17"


@pytest.fixture(scope="session")
def triple() -> str:
    if sys.platform != "linux":
        pytest.skip("the driver's tests link for Linux")
    return TRIPLE


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory, triple: str) -> Path:
    """tests/artifact/fake/model.c as an artifact: x2, RGB, levels direct and copied, two bit choices."""
    path = tmp_path_factory.mktemp("fake") / "fake.so"
    link_shared(fake_reference.parts(), path, link_triple=triple)
    return path


@pytest.fixture(scope="session")
def fake_granules(tmp_path_factory: pytest.TempPathFactory, triple: str) -> Path:
    """The same network from kernels that compute 4 x 4 pixels together; begun elsewhere, they abort."""
    path = tmp_path_factory.mktemp("granules") / "granules.so"
    link_shared(fake_reference.parts(define="#define GRANULE 4\n"), path, link_triple=triple)
    return path


@pytest.fixture(scope="session")
def fake_y(tmp_path_factory: pytest.TempPathFactory, triple: str) -> Callable[[int], Path]:
    """tests/artifact/fake/model_y.c for a scale: computes Y."""
    folder, made = tmp_path_factory.mktemp("fake_y"), {}

    def make(scale: int) -> Path:
        if scale not in made:
            parts = fake_reference.parts("model_y.c", define=f"#define SCALE {scale}\n")
            made[scale] = folder / f"y{scale}.so"
            link_shared(parts, made[scale], link_triple=triple)
        return made[scale]

    return make


@pytest.fixture(scope="session")
def steps_library(tmp_path_factory: pytest.TempPathFactory, triple: str) -> ctypes.CDLL:
    """step_shim.c and what it calls: the driver's own steps and plain parameters, without a session."""
    path = tmp_path_factory.mktemp("steps") / "steps.so"
    sources = [DRIVER / "steps.c", DRIVER / "plain.c", *sorted(DRIVER.glob("spatial_*.c"))]
    flags = compile_flags(triple, None, "tvmsr", (INCLUDE, DRIVER, PACK.parent))
    shim = fake_reference.FAKE.parent / "step_shim.c"
    command = [*compiler(triple, None), *flags, "-shared", *map(str, sources), str(shim), "-o", str(path)]
    subprocess.run(command, check=True)
    found = ctypes.CDLL(str(path))
    found.step_run.restype = found.plain_run.restype = ctypes.c_char_p
    return found
