"""A PNG written as its rows come: a picture of any size in little memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tvmsr.imaging.holding import Channels, Holding
from tvmsr.imaging.inorder import InOrder
from tvmsr.imaging.pieces import Pieces
from tvmsr.imaging.png_chunks import SIGNATURE, chunk

U8Rows = NDArray[np.uint8]

_KINDS = {Channels.GRAY: 0, Channels.GRAY_ALPHA: 4, Channels.RGB: 2, Channels.RGBA: 6}

_ADLER = 65521
_ZLIB_HEADER = b"\x78\x9c"

#: Files are a few percent larger than those of level 6 and take less than half the time.
_LEVEL = 4

#: Compressed bytes, and of the bytes before that the Adler-32 and the number.
_Made = tuple[bytes, int, int]


class PngWriter:
    """Rows into a file. stamp: a text that the file carries under the keyword Software, "" for none.

    Pieces of rows are filtered and compressed on several threads, each up to a byte's end of the one stream that they
    are together.
    """

    def __init__(self, file: BinaryIO, holding: Holding, stamp: str = "") -> None:
        self._file, self._channels = file, holding.channels
        stride = holding.width * holding.channels.count
        self._pieces = Pieces(holding.height, stride)
        self._made: InOrder[_Made] = InOrder()
        self._last = np.zeros((1, stride), np.uint8)
        self._adler = 1
        self._file.write(SIGNATURE + b"".join(chunk(*one) for one in _head(holding, stamp)))
        self._begin = _ZLIB_HEADER

    def write(self, rows: U8Rows) -> None:
        """The next rows, uint8, `Channels.shape`."""
        for piece in self._pieces.put(rows):
            with_last, last = np.concatenate([self._last, piece]), self._pieces.left == 0
            self._last = piece[-1:].copy()
            self._put(self._made.add(partial(_compressed, with_last, self._channels, last)))

    def finish(self) -> None:
        """All rows came."""
        assert self._pieces.left == 0
        self._put(self._made.rest())
        self._file.write(chunk(b"IDAT", self._adler.to_bytes(4, "big")) + chunk(b"IEND", b""))

    def end(self) -> None:
        """Let go of what it needed, also in the middle."""
        self._made.end()

    def _put(self, made: Iterator[_Made]) -> None:
        for data, adler, size in made:
            self._adler = _combined(self._adler, adler, size)
            self._file.write(chunk(b"IDAT", self._begin + data))
            self._begin = b""


def _compressed(rows: U8Rows, channels: Channels, last: bool) -> _Made:
    data = filtered(rows, channels)
    out = deflated(data, -15, zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
    return out, zlib.adler32(data), len(data)


def deflated(data: bytes, window: int, end: int = zlib.Z_FINISH) -> bytes:
    """Filtered bytes, compressed. window, end: as zlib means them."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, window, zlib.DEF_MEM_LEVEL, zlib.Z_FILTERED)
    return deflate.compress(data) + deflate.flush(end)


def _combined(first: int, second: int, size: int) -> int:
    """Adler-32 of two strings one after the other; size: bytes of the second."""
    a1, b1, a2, b2 = first & 0xFFFF, first >> 16, second & 0xFFFF, second >> 16
    return (b1 + b2 + size * (a1 - 1)) % _ADLER << 16 | (a1 + a2 - 1) % _ADLER


def filtered(rows: U8Rows, channels: Channels) -> bytes:
    """Rows but the first, uint8 (n + 1, stride), each as PNG filters it, by what Pillow chooses."""
    count, stride = rows.shape
    part = Image.frombuffer(
        channels.value, (stride // channels.count, count), rows.tobytes(), "raw", channels.value, 0, 1
    )
    file = io.BytesIO()
    part.save(file, "PNG", compress_level=0)
    data, at, out = file.getvalue(), len(SIGNATURE), []
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            out.append(data[at + 8 : at + 8 + size])
        at += 12 + size
    return zlib.decompress(b"".join(out))[stride + 1 :]


def _head(holding: Holding, stamp: str) -> list[tuple[bytes, bytes]]:
    """What comes before the pixels."""
    kind = _KINDS[holding.channels]
    parts = [(b"IHDR", struct.pack(">IIBBBBB", holding.width, holding.height, 8, kind, 0, 0, 0))]
    if stamp:
        parts.append((b"tEXt", b"Software\0" + stamp.encode("latin-1")))
    tone = [one for one in holding.tone if one[0] != b"sRGB" or holding.icc is None]  # a file has one of the two
    parts += tone
    if holding.icc is not None:
        parts.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(holding.icc)))
    if holding.exif is not None:
        parts.append((b"eXIf", holding.exif.removeprefix(b"Exif\0\0")))
    return parts
