"""Keeps names of a relocatable Mach-O object inside the library that it is linked into.

TVM makes its kernels visible, and ziglang's linker takes no list of what to export.
"""

from __future__ import annotations

import struct

_HEADER_BYTES = 32
_SYMTAB = 2  # LC_SYMTAB
_SYMBOL_BYTES = 16
_EXTERNAL, _PRIVATE_EXTERNAL, _TYPE = 0x01, 0x10, 0x0E


def hide_all(obj: bytes) -> bytes:
    """The object with every symbol that it defines private to the library. obj: 64-bit, from our own compiler."""
    out = bytearray(obj)
    (count,) = struct.unpack_from("<I", out, 16)
    at = _HEADER_BYTES
    for _ in range(count):
        kind, size = struct.unpack_from("<2I", out, at)
        if kind == _SYMTAB:
            start, symbols = struct.unpack_from("<2I", out, at + 8)
            for symbol in range(start, start + symbols * _SYMBOL_BYTES, _SYMBOL_BYTES):
                info = out[symbol + 4]
                if info & _EXTERNAL and info & _TYPE:  # type 0: defined elsewhere
                    out[symbol + 4] = info | _PRIVATE_EXTERNAL
        at += size
    return bytes(out)
