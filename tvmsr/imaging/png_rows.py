"""Rows of a PNG, some at a time: a picture of any size is read in little memory."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from tvmsr.errors import InputFileError
from tvmsr.imaging.png_chunks import SIGNATURE, PngChunks, chunk

U8Rows = NDArray[np.uint8]

#: Bytes of the file that are inflated at a time.
_PIECE = 1 << 18

#: Colour type of 8 bits a channel whose pixels have so many bytes. Filters know bytes of pixels only, so a picture of
#: another type is unfiltered as one of these; there is none of 6 and 8 bytes.
KIND_OF_BYTES = {1: 0, 2: 4, 3: 2, 4: 6}


class PngRows:
    """The rows of a PNG that is not interlaced, in their order, as the bytes before filtering."""

    def __init__(self, path: Path, file: BinaryIO, chunks: PngChunks) -> None:
        self._path, self._file, self._chunks = path, file, chunks
        self._inflate = zlib.decompressobj()
        self._pieces = iter(chunks.data)
        self._at, self._left = 0, 0
        self._given = 0
        self._last = b""

    def read(self, count: int) -> U8Rows:
        """The next rows, uint8 (count, stride). InputFileError where the file has no more, or other bytes than rows."""
        size = self._chunks.stride + 1
        filtered = self._inflated(count * size)
        rows = unfilter(self._path, filtered, self._last or bytes(self._chunks.stride), count, self._chunks)
        self._given += count
        self._last = rows[-1].tobytes()
        if self._given == self._chunks.height:
            self._to_the_end()
        return rows

    def _inflated(self, size: int) -> bytes:
        out = bytearray()
        while len(out) < size:
            part, more = self._step(size - len(out))
            if not part and not more:
                row = self._given + len(out) // (self._chunks.stride + 1)
                raise InputFileError(f"{self._path}: damaged: its data end in row {row} of {self._chunks.height}")
            out += part
        return bytes(out)

    def _step(self, most: int) -> tuple[bytes, bool]:
        """Some bytes, `most` at most, and whether there may be more."""
        source = self._inflate.unconsumed_tail or self._next_piece()
        try:
            part = self._inflate.decompress(source, most)
        except zlib.error as error:
            raise InputFileError(f"{self._path}: damaged: {' '.join(str(error).split())}") from None
        return part, bool(source) and not self._inflate.eof

    def _next_piece(self) -> bytes:
        while not self._left:
            found = next(self._pieces, None)
            if found is None:
                return b""
            self._at, self._left = found
        self._file.seek(self._at)
        data = self._file.read(min(self._left, _PIECE))
        self._at, self._left = self._at + len(data), self._left - len(data)
        if not data:
            raise InputFileError(f"{self._path}: truncated while it was read")
        return data

    def _to_the_end(self) -> None:
        """Have zlib compare the checksum that follows the last row. Bytes after that are nobody's concern."""
        more = True
        while more:
            part, more = self._step(1)
            more = more and not part


def unfilter(path: Path, filtered: bytes, last: bytes, count: int, chunks: PngChunks) -> U8Rows:
    """Undo the filters of rows, by Pillow: they become a small PNG of their own.

    filtered: `count` rows, each with its filter's byte. last: the row above them, unfiltered; it is the small PNG's
    first one, without a filter. uint8 (count, stride).
    """
    width = chunks.stride // chunks.pixel
    header = struct.pack(">IIBBBBB", width, count + 1, 8, KIND_OF_BYTES[chunks.pixel], 0, 0, 0)
    data = zlib.compress(b"\0" + last + filtered, 0)
    small = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    try:
        with PngImagePlugin.PngImageFile(io.BytesIO(small)) as image:
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputFileError(f"{path}: damaged: {' '.join(str(error).split())}") from None
    return pixels.reshape(count + 1, chunks.stride)[1:]
