"""Sections of an ELF file, read without loading it: an artifact for any CPU can say what it is."""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass
from pathlib import Path

from tvmsr.errors import InputFileError

MANIFEST_SECTION = ".tvmsr.manifest"
PLAN_SECTION = ".tvmsr.plan"

#: e_machine to the names that platform.machine() uses.
MACHINES = {
    3: ("x86", ("i386", "i686")),
    40: ("ARM", ("armv7l", "armv6l", "armv8l", "arm")),
    62: ("x86-64", ("x86_64", "amd64")),
    183: ("AArch64", ("aarch64", "arm64")),
    243: ("RISC-V", ("riscv64", "riscv32")),
}

_SHT_NOBITS = 8


@dataclass(frozen=True)
class ElfFile:
    """The sections of a file, and the CPU family it is for. Nothing in it is trusted: every offset is checked."""

    path: Path
    machine: int
    bits: int
    sections: dict[str, bytes]

    @property
    def cpu(self) -> str:
        return MACHINES.get(self.machine, (f"CPU family {self.machine}", ()))[0]

    def runs_here(self) -> bool:
        """True where this process could load it: CPU family and pointer size."""
        names = MACHINES.get(self.machine, ("", ()))[1]
        return platform.machine().lower() in names and struct.calcsize("P") * 8 == self.bits


class _Reader:
    """Bounds-checked access to a file's bytes."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data

    def slice(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise InputFileError(f"{self.path}: truncated or damaged: it ends before byte {offset + size}")
        return self.data[offset : offset + size]

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack(layout, self.slice(offset, struct.calcsize(layout)))


def read_elf(path: Path) -> ElfFile:
    """Read a little-endian ELF file. InputFileError where it is none, cannot be read, or ends too early."""
    try:
        reader = _Reader(path, path.read_bytes())
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror}") from error
    if reader.data[:4] != b"\x7fELF":
        raise InputFileError(f"{path}: not a shared library that tvmsr made (no ELF file)")
    bits, order = reader.unpack("<2B", 4)
    if bits not in (1, 2) or order != 1:
        raise InputFileError(f"{path}: an ELF file of an unknown kind")
    wide = bits == 2
    (machine,) = reader.unpack("<H", 18)
    (table,) = reader.unpack("<Q", 40) if wide else reader.unpack("<I", 32)
    entry, count, names_index = reader.unpack("<3H", 58 if wide else 46)
    reader.slice(table, entry * count)
    headers = [_header(reader, table + i * entry, wide) for i in range(count)]
    _whole(reader, headers)
    if names_index >= count:
        raise InputFileError(f"{path}: damaged: its sections have no names")
    names = reader.slice(*headers[names_index][2:])
    found = {_name(names, h[0]): reader.slice(*h[2:]) for h in headers if _name(names, h[0]).startswith(".tvmsr")}
    return ElfFile(path, machine, 64 if wide else 32, found)


def _header(reader: _Reader, at: int, wide: bool) -> tuple[int, int, int, int]:
    """Name offset, type, file offset and size of a section."""
    if wide:
        name, kind, _, _, offset, size = reader.unpack("<IIQQQQ", at)
    else:
        name, kind, _, _, offset, size = reader.unpack("<6I", at)
    return name, kind, offset, size


def _whole(reader: _Reader, headers: list[tuple[int, int, int, int]]) -> None:
    """Every section with bytes must lie inside the file: a truncated one is seen before anything is loaded."""
    for _, kind, offset, size in headers:
        if kind != _SHT_NOBITS:
            reader.slice(offset, size)


def _name(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at : end if end >= 0 else len(names)].decode("ascii", "replace")


def read_section(path: Path, name: str, what: str) -> bytes:
    """The bytes of one section of an artifact; InputFileError names `what` where there is none."""
    sections = read_elf(path).sections
    if name not in sections:
        raise InputFileError(f"{path}: has no {what}: not an artifact of tvmsr")
    return sections[name]


def manifest_text(path: Path) -> str:
    """The manifest of an artifact, JSON, whatever CPU it is for."""
    raw = read_section(path, MANIFEST_SECTION, "manifest").rstrip(b"\0")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputFileError(f"{path}: its manifest is damaged") from error
