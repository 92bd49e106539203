"""QEMU's user mode: artifacts for ARM on any Linux machine, with the CPU of one's choice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.devices.child import SILENCE, Child
from tvmsr.devices.closing import Owner
from tvmsr.devices.fit import manifest_for
from tvmsr.devices.hosted import Connection, HostedRunner
from tvmsr.devices.runner import PLAIN, Facts, Opening
from tvmsr.errors import DeviceError

if TYPE_CHECKING:
    from tvmsr.devices.reach.shell import Shell


@dataclass(frozen=True)
class Architecture:
    """What an emulated CPU family needs. loader: of the C library, as its root has it."""

    title: str
    emulators: tuple[str, ...]
    roots: tuple[str, ...]
    loader: str
    package: str  # Debian's, of the C library
    triple: str  # of a host program that no artifact asks for
    target: str


ARCHITECTURES = {
    "aarch64": Architecture(
        title="AArch64",
        emulators=("qemu-aarch64", "qemu-aarch64-static"),
        roots=("/usr/aarch64-linux-gnu", "/usr/aarch64-linux-gnu/sys-root", "/usr/aarch64-redhat-linux/sys-root/fc"),
        loader="lib/ld-linux-aarch64.so.1",
        package="libc6-arm64-cross",
        triple="aarch64-linux-gnu.2.17",
        target="arm",
    ),
    "arm": Architecture(
        title="ARM",
        emulators=("qemu-arm", "qemu-arm-static"),
        roots=("/usr/arm-linux-gnueabihf", "/usr/arm-linux-gnueabihf/sys-root"),
        loader="lib/ld-linux-armhf.so.3",
        package="libc6-armhf-cross",
        triple="arm-linux-gnueabihf.2.17",
        target="linux-armv7",
    ),
}

#: Has every feature that the emulator knows.
DEFAULT_CPU = "max"


class Qemu(Owner):
    """An emulated CPU. Its memory and files are this machine's, its times are not those of any CPU."""

    emulated = True
    shell: Shell | None = None

    def __init__(self, architecture: str, cpu: str = DEFAULT_CPU, *, name: str = "", silence: float = SILENCE) -> None:
        super().__init__()
        self.name = name or f"qemu:{architecture}:{cpu}"
        self._is = ARCHITECTURES[architecture]
        self.target = self._is.target
        self._silence = silence
        emulator, root = _emulator(self._is), _root(self._is)
        known = cpu_models(emulator)
        if known and cpu.partition(",")[0] not in known:
            raise DeviceError(f"{emulator} has no CPU model {cpu!r}; it has {', '.join(known)}")
        self._command = (emulator, "-L", root, "-cpu", cpu)

    def facts(self) -> Facts:
        return self._facts

    @cached_property
    def _facts(self) -> Facts:
        with self._connect(self._is.triple) as connection:
            return connection.facts

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        with self._connect(self._is.triple) as connection:
            return connection.files(patterns)

    def levels(self, artifact: str | Path) -> tuple[str, ...]:
        manifest = self._manifest(Path(artifact))
        with self._connect(manifest["link_triple"]) as connection:
            return connection.load(Path(artifact), manifest["prefix"]).runs

    def renew(self) -> None:
        """Every runner has a process of its own."""

    def open(self, artifact: str | Path, opening: Opening = PLAIN) -> HostedRunner:
        manifest = self._manifest(Path(artifact))
        runner = HostedRunner(self._connect(manifest["link_triple"]), Path(artifact), manifest, opening)
        self._kept.add(runner)
        return runner

    def _connect(self, link_triple: str) -> Connection:
        from tvmsr.devices.program import host_program

        command = (*self._command, str(host_program(link_triple)))
        return Connection(Child(command, self.name, silence=self._silence))

    def _manifest(self, artifact: Path) -> Mapping[str, Any]:
        """The manifest of an artifact that can run here; DeviceError where it is for another device."""
        return manifest_for(artifact, self.name, self._is.triple, "glibc")


def _install_line(architecture: Architecture) -> str:
    return f"apt-get install qemu-user {architecture.package}"


def _emulator(architecture: Architecture) -> str:
    for name in architecture.emulators:
        path = shutil.which(name)
        if path is not None:
            return path
    raise DeviceError(f"{architecture.emulators[0]} is not installed; {_install_line(architecture)}")


def _root(architecture: Architecture) -> str:
    """The folder in which the emulated C library lies: $QEMU_LD_PREFIX, or where distributions put it."""
    said = os.environ.get("QEMU_LD_PREFIX")
    for folder in (said,) if said else architecture.roots:
        if Path(folder, architecture.loader).exists():
            return folder
    where = said or architecture.roots[0]
    raise DeviceError(
        f"there is no C library for {architecture.title} in {where}; {_install_line(architecture)}, or set "
        f"QEMU_LD_PREFIX to the folder that has {architecture.loader}"
    )


@cache
def cpu_models(emulator: str) -> tuple[str, ...]:
    """The CPU models that an emulator knows; () where it does not say."""
    try:
        done = subprocess.run([emulator, "-cpu", "help"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"{emulator} cannot be run: {error}") from error
    return tuple(line.split()[0] for line in done.stdout.splitlines() if line.startswith(" ") and line.strip())
