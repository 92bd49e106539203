"""Finishes what ziglang's linker leaves undone in a Mach-O library: entries never written hold bytes of its memory.

Of pointers that are bound when first used, the table of indirect symbols lacks names where a function has a pointer of
another kind too. Loaders go by other tables; but bytes differ from run to run, and with them identity and signature.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

_HEADER_BYTES, _SEGMENT_BYTES, _SECTION_BYTES = 32, 72, 80
_SEGMENT, _DYSYMTAB, _UUID, _SIGNATURE = 0x19, 0xB, 0x1B, 0x1D
_LAZY_POINTERS, _STUBS = 7, 8  # types of sections
_CODE_DIRECTORY = 0xFADE0C02
_POINTER_BYTES, _ENTRY_BYTES = 8, 4


def settled(library: bytes) -> bytes:
    """The library with every entry written, its identity and its ad-hoc signature those of its bytes."""
    out = bytearray(library)
    at = dict(_commands(out))
    (first,) = struct.unpack_from("<I", out, at[_DYSYMTAB] + 56)
    ranges = dict(_symbol_sections(out))
    stubs, pointers = ranges.get(_STUBS), ranges.get(_LAZY_POINTERS)
    if stubs and pointers and stubs[1] == pointers[1]:
        source, target = (first + _ENTRY_BYTES * start for start, _ in (stubs, pointers))
        out[target : target + _ENTRY_BYTES * stubs[1]] = out[source : source + _ENTRY_BYTES * stubs[1]]
    signature = struct.unpack_from("<I", out, at[_SIGNATURE] + 8)[0] if _SIGNATURE in at else len(out)
    if _UUID in at:
        place = slice(at[_UUID] + 8, at[_UUID] + 24)
        out[place] = bytes(16)
        out[place] = _identity(bytes(out[:signature]))
    if _SIGNATURE in at:
        _sign(out, signature)
    return bytes(out)


def _identity(data: bytes) -> bytes:
    """A UUID of the kind that is made from data (version 8)."""
    made = bytearray(hashlib.sha256(data).digest()[:16])
    made[6], made[8] = made[6] & 0x0F | 0x80, made[8] & 0x3F | 0x80
    return bytes(made)


def _commands(out: bytearray) -> Iterator[tuple[int, int]]:
    """Kind and place of each load command."""
    (count,) = struct.unpack_from("<I", out, 16)
    at = _HEADER_BYTES
    for _ in range(count):
        kind, size = struct.unpack_from("<2I", out, at)
        yield kind & 0x7FFFFFFF, at
        at += size


def _symbol_sections(out: bytearray) -> Iterator[tuple[int, tuple[int, int]]]:
    """Of sections with indirect symbols: type, first entry and number of entries."""
    for kind, at in _commands(out):
        if kind != _SEGMENT:
            continue
        (count,) = struct.unpack_from("<I", out, at + 64)
        for section in range(at + _SEGMENT_BYTES, at + _SEGMENT_BYTES + count * _SECTION_BYTES, _SECTION_BYTES):
            (size,) = struct.unpack_from("<Q", out, section + 40)
            flags, first, stub = struct.unpack_from("<3I", out, section + 64)
            if flags & 0xFF in (_LAZY_POINTERS, _STUBS):
                yield flags & 0xFF, (first, size // (stub or _POINTER_BYTES))


def _sign(out: bytearray, signature: int) -> None:
    """Hashes of pages in the code directory."""
    (count,) = struct.unpack_from(">I", out, signature + 8)
    for index in range(count):
        (offset,) = struct.unpack_from(">I", out, signature + 16 + 8 * index)
        at = signature + offset
        if struct.unpack_from(">I", out, at) != (_CODE_DIRECTORY,):
            continue
        hashes, _, _, slots, limit, size = struct.unpack_from(">5IB", out, at + 16)
        page = 1 << out[at + 39]
        for slot in range(slots):
            digest = hashlib.sha256(out[slot * page : min(limit, (slot + 1) * page)]).digest()[:size]
            out[at + hashes + slot * size : at + hashes + (slot + 1) * size] = digest
