"""Symbols of an ELF object, 32 or 64 bits, little endian."""

from __future__ import annotations

import struct


def symbols(data: bytes) -> tuple[set[str], set[str]]:
    """(defined, undefined) names of global symbols."""
    wide = data[4] == 2
    start, size, count = (
        (struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 58))
        if wide
        else (struct.unpack_from("<I", data, 32)[0], *struct.unpack_from("<HH", data, 46))
    )
    sections = [struct.unpack_from("<IIQQQQII" if wide else "<IIIIIIII", data, start + i * size) for i in range(count)]
    table = next(s for s in sections if s[1] == 2)
    names = sections[table[6]]
    defined, undefined = set(), set()
    for at in range(table[4], table[4] + table[5], 24 if wide else 16):
        if wide:
            name, info, _, section = struct.unpack_from("<IBBH", data, at)
        else:
            name, _, _, info, _, section = struct.unpack_from("<IIIBBH", data, at)
        text = data[names[4] + name :].split(b"\0", 1)[0].decode()
        if text and info >> 4:
            (defined if section else undefined).add(text)
    return defined, undefined
