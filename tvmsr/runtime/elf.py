"""Sections of an ELF file: what Linux and Android load."""

from __future__ import annotations

from tvmsr.errors import InputFileError
from tvmsr.runtime.library import DATA_SECTION, MANIFEST_SECTION, PLAN_SECTION, Library, Reader

MAGIC = b"\x7fELF"

#: e_machine to a CPU family.
_CPUS = {3: "x86", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}

_SHT_NOBITS = 8

#: Our sections, by the bytes that their names are.
_OURS = {name.encode() + b"\0": name for name in (MANIFEST_SECTION, DATA_SECTION, PLAN_SECTION)}


def parse_elf(reader: Reader) -> Library:
    """Read a little-endian ELF file. InputFileError where it is none, or ends too early."""
    bits, order = reader.unpack("<2B", 4)
    if bits not in (1, 2) or order != 1:
        raise InputFileError(f"{reader.path}: an ELF file of an unknown kind")
    wide = bits == 2
    (machine,) = reader.unpack("<H", 18)
    (table,) = reader.unpack("<Q", 40) if wide else reader.unpack("<I", 32)
    entry, count, names_index = reader.unpack("<3H", 58 if wide else 46)
    reader.check(table, entry * count)
    headers = [_header(reader, table + i * entry, wide) for i in range(count)]
    _whole(reader, headers)
    if names_index >= count:
        raise InputFileError(f"{reader.path}: damaged: its sections have no names")
    names = reader.slice(*headers[names_index][2:])
    found = {}
    for at, _, offset, size in headers:
        name = next((ours for ours in _OURS if names.startswith(ours, at)), None)
        if name is not None and _OURS[name] in found:
            raise InputFileError(f"{reader.path}: damaged: it has two sections {_OURS[name]}")
        if name is not None:
            found[_OURS[name]] = reader.slice(offset, size)
    cpu = _CPUS.get(machine, f"CPU family {machine}")
    return Library(reader.path, "ELF", cpu, 64 if wide else 32, found)


def _header(reader: Reader, at: int, wide: bool) -> tuple[int, int, int, int]:
    """Name offset, type, file offset and size of a section."""
    if wide:
        name, kind, _, _, offset, size = reader.unpack("<IIQQQQ", at)
    else:
        name, kind, _, _, offset, size = reader.unpack("<6I", at)
    return name, kind, offset, size


def _whole(reader: Reader, headers: list[tuple[int, int, int, int]]) -> None:
    """Every section with bytes must lie inside the file: a truncated one is seen before anything is loaded."""
    for _, kind, offset, size in headers:
        if kind != _SHT_NOBITS:
            reader.check(offset, size)
