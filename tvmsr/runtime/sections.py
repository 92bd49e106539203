"""Sections of an artifact, whatever system and CPU it is for, read without loading it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvmsr.errors import InputFileError
from tvmsr.runtime import elf, macho
from tvmsr.runtime.folding import unfold_layers
from tvmsr.runtime.library import MANIFEST_SECTION, Library, Reader

#: The first bytes of a file to what reads it.
_PARSERS: dict[bytes, Callable[[Reader], Library]] = {
    elf.MAGIC: elf.parse_elf,
    macho.MAGIC: macho.parse_macho,
}


def read_library(path: Path) -> Library:
    """Read a shared library's sections. InputFileError where it is none, cannot be read, or is damaged."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
            raise InputFileError(f"{path}: cannot be read: it is no regular file")
        reader = Reader(path, path.read_bytes())
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror}") from error
    magic = reader.data[:4]
    if magic == macho.FAT_MAGIC:
        raise InputFileError(f"{path}: holds several CPUs; take one out of it (lipo -thin arm64)")
    if magic not in _PARSERS:
        raise InputFileError(f"{path}: not a shared library that tvmsr made (no ELF or Mach-O file)")
    return _PARSERS[magic](reader)


def read_section(path: Path, name: str, what: str) -> bytes:
    """The bytes of one section of an artifact; InputFileError names `what` where there is none."""
    sections = read_library(path).sections
    if name not in sections:
        raise InputFileError(f"{path}: has no {what}: not an artifact of tvmsr")
    return sections[name]


def manifest_of(path: Path) -> Any:
    """The manifest of an artifact, as its JSON says, whatever CPU it is for: an object, unless it is damaged."""
    return _unfolded(path, read_section(path, MANIFEST_SECTION, "manifest"))


def _unfolded(path: Path, raw: bytes) -> Any:
    try:
        values = json.loads(raw.rstrip(b"\0"))
        return unfold_layers(values) if isinstance(values, dict) else values
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{path}: its manifest is damaged") from error


def manifest_values(file: Library) -> dict[str, Any]:
    """The manifest of a file to be opened: a JSON object whose `prefix` begins names in C. Else InputFileError."""
    if MANIFEST_SECTION not in file.sections:
        raise InputFileError(f"{file.path}: not an artifact of tvmsr (it has no manifest)")
    values = _unfolded(file.path, file.sections[MANIFEST_SECTION])
    prefix = values.get("prefix", "tvmsr") if isinstance(values, dict) else None
    if not isinstance(prefix, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", prefix):
        raise InputFileError(f"{file.path}: its manifest is damaged")
    return {**values, "prefix": prefix}
