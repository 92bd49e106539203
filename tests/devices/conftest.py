"""Fixtures of tests/artifact that are used here too, and artifacts for emulated CPUs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.artifact import fake_reference
from tests.artifact.conftest import fake, triple
from tests.needs import lacking
from tvmsr.artifact.link import link_shared
from tvmsr.devices.qemu import ARCHITECTURES

__all__ = ["emulated_fake", "fake", "local_fake", "triple"]


def need_emulator(architecture: str) -> None:
    """Skip the test where the emulator or the C library that it needs is not installed."""
    row = ARCHITECTURES[architecture]
    found = any(shutil.which(name) for name in row.emulators)
    if not found or not any(Path(root, row.loader).exists() for root in row.roots):
        lacking(f"needs an emulator: apt-get install qemu-user {row.package}")


@pytest.fixture(scope="session")
def local_fake(triple: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/artifact/fake/model.c for this machine, with the manifest that a device looks at."""
    made = tmp_path_factory.mktemp("local") / "fake.so"
    manifest = {"model": "fake", "link_triple": triple, "macs_per_pixel": 2}
    link_shared(fake_reference.parts(manifest=manifest), made, link_triple=triple)
    return made


@pytest.fixture(scope="session")
def emulated_fake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """tests/artifact/fake/model.c for an emulated architecture: levels direct and copied, prefix `strange`."""
    folder, made = tmp_path_factory.mktemp("emulated"), {}

    def make(architecture: str) -> Path:
        need_emulator(architecture)
        if architecture not in made:
            link_triple = ARCHITECTURES[architecture].triple
            manifest = {"model": "fake", "prefix": "strange", "link_triple": link_triple, "macs_per_pixel": 2}
            made[architecture] = folder / f"{architecture}.so"
            link_shared(
                fake_reference.parts(manifest=manifest), made[architecture], link_triple=link_triple, prefix="strange"
            )
        return made[architecture]

    return make
