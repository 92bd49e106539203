"""Whether an artifact is for a device: CPU family, word size, system and C library, before anything is sent or run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmsr.devices.runner import Facts
from tvmsr.errors import DeviceError, InputFileError
from tvmsr.hardware.target import architecture
from tvmsr.runtime.sections import manifest_values, read_library

#: Instruction set -> CPU family and bits as tvmsr.runtime.library says them.
FAMILIES = {"aarch64": ("AArch64", 64), "arm": ("ARM", 32), "x86_64": ("x86-64", 64)}

#: A word of a link triple, what was linked so is for, and the C libraries that load it.
_LOADERS = (
    ("gnu", "Linux with glibc", ("glibc",)),
    ("android", "Android", ("bionic",)),
    ("musl", "Android or musl", ("musl", "bionic")),
)

#: What to compile for, by C library.
_ADVICE = {
    "glibc": "a Linux target with glibc, such as `--target arm`",
    "musl": 'a target of one\'s own with libc = "musl" (targets/README.md)',
    "bionic": "Android: `--target android-arm64`",
}


def manifest_for(artifact: Path, device: str, machine: str, libc: str) -> Mapping[str, Any]:
    """The manifest of an artifact that can run on a Linux device of this kind.

    machine: as its kernel or a target calls it; libc: "glibc", "musl" or "bionic", "" where nobody knows. Raises
    DeviceError where it is for another device, InputFileError where it is no artifact.
    """
    file = read_library(artifact)
    manifest = manifest_values(file)
    family, bits = FAMILIES.get(architecture(machine), (machine, file.bits))
    if (file.format, file.cpu, file.bits) != ("ELF", family, bits):
        raise DeviceError(f"{artifact}: is for {file.made_for}; {device} is {family} with Linux")
    link_triple = manifest.get("link_triple")
    if not isinstance(link_triple, str):
        raise InputFileError(f"{artifact}: its manifest is damaged: it has no link_triple")
    words = link_triple + str(manifest.get("triple", ""))
    made_for, loaders = next(((title, libcs) for word, title, libcs in _LOADERS if word in words), ("", ()))
    if libc and libc not in loaders:
        raise DeviceError(
            f"{artifact}: is for {made_for} ({link_triple}), and {device} has {libc}, with no loader for it; run it "
            f"on its own device, or compile it for {_ADVICE.get(libc, 'a target with that C library')}"
        )
    return manifest


def fit_facts(artifact: Path, device: str, facts: Facts) -> Mapping[str, Any]:
    """`manifest_for` a device that said what it is."""
    return manifest_for(artifact, device, facts.machine, facts.libc.partition(" ")[0])
