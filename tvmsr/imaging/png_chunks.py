"""A PNG file's structure: what its chunks say before any pixel is decoded."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tvmsr.errors import InputFileError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: Chunks whose content is wanted, and the most that one of them may have.
_WANTED = (b"eXIf", b"gAMA", b"cHRM", b"sRGB", b"cICP")
_MOST = 1 << 20

#: Deflate makes at most so many bytes of one.
_RATIO = 1032

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@dataclass(frozen=True)
class PngChunks:
    """kind: the colour type. data: (offset, bytes) of the IDAT contents in their order. told: contents of chunks that
    describe the picture, by name.
    """

    width: int
    height: int
    bits: int
    kind: int
    interlaced: bool
    data: tuple[tuple[int, int], ...]
    told: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def gray_with_alpha(self) -> bool:
        return self.kind == 4

    @property
    def pixel(self) -> int:
        """Bytes of a pixel; 1 where several share one."""
        return max(1, _CHANNELS[self.kind] * self.bits // 8)

    @property
    def stride(self) -> int:
        """Bytes of a row of pixels."""
        return (self.width * _CHANNELS[self.kind] * self.bits + 7) // 8


def read_chunks(path: Path, file: BinaryIO) -> PngChunks:
    """Walk over all chunks. InputFileError where the file ends early, or cannot hold what its header claims."""
    file.seek(len(SIGNATURE))
    header, data, told = b"", list[tuple[int, int]](), dict[bytes, bytes]()
    for name, offset, size in _walk(path, file):
        if name == b"IDAT":
            data.append((offset, size))
        elif name == b"IHDR" and size == 13:
            header = file.read(size)
        elif name in _WANTED and size <= _MOST:
            told[name] = file.read(size)
    found = _of_header(path, header, tuple(data), told)
    if found.height * found.stride > _RATIO * sum(size for _, size in data) + _RATIO:
        raise InputFileError(
            f"{path}: damaged: it claims {found.width}x{found.height} pixels, but has the data of far fewer"
        )
    return found


def _walk(path: Path, file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and size of every content; the file's position is at the content, and may be moved."""
    end = file.seek(0, 2)
    at = len(SIGNATURE)
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            raise InputFileError(f"{path}: truncated: it ends after {end} bytes, in the middle of the picture")
        size, name = struct.unpack(">I4s", head)
        if at + 12 + size > end:
            raise InputFileError(f"{path}: truncated: it ends after {end} bytes, at least {at + 12 + size} are needed")
        yield name, at + 8, size
        if name == b"IEND":
            return
        at += 12 + size


def _of_header(path: Path, header: bytes, data: tuple[tuple[int, int], ...], told: dict[bytes, bytes]) -> PngChunks:
    if len(header) != 13:
        raise InputFileError(f"{path}: damaged: a PNG without a proper header")
    width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if not (0 < width < 2**31 and 0 < height < 2**31 and kind in _CHANNELS and bits in (1, 2, 4, 8, 16)):
        raise InputFileError(f"{path}: damaged: its header has impossible values")
    return PngChunks(width, height, bits, kind, bool(interlaced), data, told)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk as it lies in the file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
