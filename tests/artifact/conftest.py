"""Artifacts with hand-written programs, linked once a test session by the product's own linker."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.artifact import fake_reference
from tvmsr.artifact.link import link_shared

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
