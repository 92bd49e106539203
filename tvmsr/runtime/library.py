"""What is read from a shared library without loading it, and bounds-checked access to its bytes."""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass
from pathlib import Path

from tvmsr.errors import InputFileError

#: Sections by the names they have in an ELF file; readers of other formats give them the same names.
MANIFEST_SECTION = ".tvmsr.manifest"
PLAN_SECTION = ".tvmsr.plan"
DATA_SECTION = ".tvmsr.data"

#: A CPU family to the names that platform.machine() uses.
_MACHINE_NAMES = {
    "x86": ("i386", "i686"),
    "ARM": ("armv7l", "armv6l", "armv8l", "arm"),
    "x86-64": ("x86_64", "amd64"),
    "AArch64": ("aarch64", "arm64"),
    "RISC-V": ("riscv64", "riscv32"),
}

#: An object format to the systems, as platform.system() names them, that load it.
_SYSTEMS = {"ELF": ("Linux", "Android", "FreeBSD"), "Mach-O": ("Darwin",)}


@dataclass(frozen=True)
class Library:
    """Our sections of a file, and what it is for. Nothing in it is trusted: every offset was checked.

    format: "ELF" or "Mach-O"; cpu: a family, "AArch64"; bits: of a pointer; sections: by the names above.
    """

    path: Path
    format: str
    cpu: str
    bits: int
    sections: dict[str, bytes]

    @property
    def made_for(self) -> str:
        """CPU family and system, for people: "ARM (32 bits)", "AArch64 (64 bits, macOS)"."""
        system = ", macOS" if self.format == "Mach-O" else ""
        return f"{self.cpu} ({self.bits} bits{system})"

    def runs_here(self) -> bool:
        """True where this process could load it: system, CPU family and pointer size."""
        return (
            platform.system() in _SYSTEMS[self.format]
            and platform.machine().lower() in _MACHINE_NAMES.get(self.cpu, ())
            and struct.calcsize("P") * 8 == self.bits
        )


class Reader:
    """Bounds-checked access to a file's bytes: InputFileError for what lies beyond their end."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data

    def check(self, offset: int, size: int) -> None:
        """What lies there is in the file; nothing is copied."""
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise InputFileError(f"{self.path}: truncated or damaged: it ends before byte {offset + size}")

    def slice(self, offset: int, size: int) -> bytes:
        self.check(offset, size)
        return self.data[offset : offset + size]

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack(layout, self.slice(offset, struct.calcsize(layout)))
