"""Makes symbols of a relocatable ELF object local, so that two static artifacts link into one program.

No linker does this in one step (version scripts work for shared libraries only) and ziglang's objcopy cannot. In a
symbol table local symbols come first, so the table is reordered, and what refers to symbols by number follows.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from dataclasses import dataclass

_SYMTAB, _RELA, _REL, _GROUP, _ADDRSIG = 2, 4, 9, 17, 0x6FFF4C03


@dataclass(frozen=True)
class _Layout:
    """Where the fields lie in 32 and 64-bit files. symbol: (name, info, section) offsets; info: of a relocation."""

    section_table: tuple[str, int]
    section_count: int
    section: str
    symbol_bytes: int
    symbol_info: int
    symbol_section: int
    relocation_info: tuple[str, int]
    symbol_shift: int
    section_info: int  # sh_info in a section header


_WIDE = _Layout(("<Q", 40), 60, "<IIQQQQIIQQ", 24, 4, 6, ("<Q", 8), 32, 44)
_NARROW = _Layout(("<I", 32), 48, "<10I", 16, 12, 14, ("<I", 4), 8, 28)


@dataclass(frozen=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int
    info: int
    entry: int
    header: int  # file offset of its header


def keep_global(obj: bytes, names: Container[str]) -> bytes:
    """The object with every defined symbol local but those in `names`."""
    out = bytearray(obj)
    layout = _WIDE if obj[4] == 2 else _NARROW
    sections = _sections(obj, layout)
    symtab = next((i for i, s in enumerate(sections) if s.kind == _SYMTAB), None)
    if symtab is None:
        return obj
    for section in sections:
        if section.kind == _ADDRSIG:  # a hint for folding equal functions, by symbol number: taken out
            struct.pack_into("<I", out, section.header + 4, 0)
    order = _reorder(out, layout, sections[symtab], sections[sections[symtab].link], names)
    for section in sections:
        if section.link != symtab:
            continue
        if section.kind in (_REL, _RELA):
            _renumber(out, layout, section, order)
        elif section.kind == _GROUP:
            _write_info(out, layout, section, order[section.info])
    return bytes(out)


def _sections(obj: bytes, layout: _Layout) -> list[_Section]:
    (table,) = struct.unpack_from(layout.section_table[0], obj, layout.section_table[1])
    (count,) = struct.unpack_from("<H", obj, layout.section_count)
    size = struct.calcsize(layout.section)
    found = []
    for i in range(count):
        _, kind, _, _, offset, length, link, info, _, entry = struct.unpack_from(layout.section, obj, table + i * size)
        found.append(_Section(kind, offset, length, link, info, entry, table + i * size))
    return found


def _name(obj: bytearray, strings: _Section, at: int) -> str:
    start = strings.offset + at
    return obj[start : obj.index(0, start)].decode()


def _reorder(
    out: bytearray, layout: _Layout, symtab: _Section, strings: _Section, names: Container[str]
) -> dict[int, int]:
    """Rewrite the symbol table; returns old number -> new number."""
    size = layout.symbol_bytes
    count = symtab.size // size
    entries = [bytearray(out[symtab.offset + i * size : symtab.offset + (i + 1) * size]) for i in range(count)]
    local = list(range(symtab.info))
    still_global = []
    for i in range(symtab.info, count):
        (name,) = struct.unpack_from("<I", entries[i])
        (section,) = struct.unpack_from("<H", entries[i], layout.symbol_section)
        if section != 0 and _name(out, strings, name) not in names:
            entries[i][layout.symbol_info] &= 0x0F  # binding LOCAL, type kept
            entries[i][layout.symbol_info + 1] = 0  # default visibility: a local one has no other
            local.append(i)
        else:
            still_global.append(i)
    ordered = local + still_global
    out[symtab.offset : symtab.offset + count * size] = b"".join(bytes(entries[i]) for i in ordered)
    _write_info(out, layout, symtab, len(local))
    return {old: new for new, old in enumerate(ordered)}


def _write_info(out: bytearray, layout: _Layout, section: _Section, value: int) -> None:
    struct.pack_into("<I", out, section.header + layout.section_info, value)


def _renumber(out: bytearray, layout: _Layout, section: _Section, order: dict[int, int]) -> None:
    kind, at = layout.relocation_info
    low = (1 << layout.symbol_shift) - 1
    for start in range(section.offset, section.offset + section.size, section.entry):
        (info,) = struct.unpack_from(kind, out, start + at)
        symbol = order[info >> layout.symbol_shift]
        struct.pack_into(kind, out, start + at, symbol << layout.symbol_shift | info & low)
