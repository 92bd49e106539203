"""Sections of a Mach-O file: what macOS loads."""

from __future__ import annotations

from collections.abc import Iterator

from tvmsr.errors import InputFileError
from tvmsr.runtime.library import DATA_SECTION, MANIFEST_SECTION, PLAN_SECTION, Library, Reader

MAGIC = b"\xcf\xfa\xed\xfe"  # 64 bits, little-endian
FAT_MAGIC = b"\xca\xfe\xba\xbe"

#: Where our sections are: segment and section; a name has 16 bytes at most.
SECTIONS = {
    MANIFEST_SECTION: ("__TEXT", "__tvmsr_manifest"),
    DATA_SECTION: ("__TEXT", "__tvmsr_data"),
    PLAN_SECTION: ("__TEXT", "__tvmsr_plan"),
}

#: cputype to a CPU family.
_CPUS = {0x01000007: "x86-64", 0x0100000C: "AArch64"}

_HEADER_BYTES = 32
_SEGMENT = 0x19  # LC_SEGMENT_64
_SEGMENT_BYTES = 72
_SECTION_BYTES = 80


def parse_macho(reader: Reader) -> Library:
    """Read a 64-bit Mach-O file. InputFileError where it is damaged, or ends too early."""
    (cpu,) = reader.unpack("<I", 4)
    ours = {place: name for name, place in SECTIONS.items()}
    found = {}
    for at, size in _segments(reader):
        offset, length = reader.unpack("<2Q", at + 40)
        reader.check(offset, length)  # a truncated file is seen before anything is loaded
        for place, start, bytes_ in _sections(reader, at, size):
            if place in ours and ours[place] in found:
                raise InputFileError(f"{reader.path}: damaged: it has two sections {place[1]}")
            if place in ours:
                found[ours[place]] = reader.slice(start, bytes_)
    return Library(reader.path, "Mach-O", _CPUS.get(cpu, f"CPU family {cpu}"), 64, found)


def _segments(reader: Reader) -> Iterator[tuple[int, int]]:
    """File offset and size of every segment's load command."""
    count, total = reader.unpack("<2I", 16)
    reader.check(_HEADER_BYTES, total)
    at, end = _HEADER_BYTES, _HEADER_BYTES + total
    for _ in range(min(count, total // 8)):
        kind, size = reader.unpack("<2I", at)
        if size < 8 or at + size > end:
            raise InputFileError(f"{reader.path}: damaged: a load command does not fit")
        if kind == _SEGMENT:
            yield at, size
        at += size


def _sections(reader: Reader, at: int, size: int) -> Iterator[tuple[tuple[str, str], int, int]]:
    """Segment and section name, file offset and size of each section of a segment."""
    if size < _SEGMENT_BYTES:
        raise InputFileError(f"{reader.path}: damaged: a segment's load command is too short")
    (count,) = reader.unpack("<I", at + 64)
    if _SEGMENT_BYTES + count * _SECTION_BYTES > size:
        raise InputFileError(f"{reader.path}: damaged: a segment has more sections than its load command holds")
    for i in range(count):
        header = at + _SEGMENT_BYTES + i * _SECTION_BYTES
        section, segment = _word(reader, header), _word(reader, header + 16)
        (bytes_,) = reader.unpack("<Q", header + 40)
        (offset,) = reader.unpack("<I", header + 48)
        yield (segment, section), offset, bytes_


def _word(reader: Reader, at: int) -> str:
    """A name of 16 bytes, filled up with zeros."""
    return reader.slice(at, 16).split(b"\0")[0].decode("ascii", "replace")
