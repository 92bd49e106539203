"""A TIFF written as its rows come, in strips of Deflate; a BigTIFF where the other kind could be too small."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tvmsr.imaging.holding import Channels, Holding
from tvmsr.imaging.inorder import InOrder
from tvmsr.imaging.pieces import Pieces
from tvmsr.imaging.png_writer import deflated

U8Rows = NDArray[np.uint8]

#: Bytes of pixels from which on it is a BigTIFF: what does not shrink has to fit too.
_BIG = 2**32 - 2**27

#: Tags by number: TIFF 6.0; ICC; the stamp is in a private one.
(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _SAMPLES, _ROWS, _COUNTS, _PREDICTOR, _EXTRA) = (
    256, 257, 258, 259, 262, 273, 277, 278, 279, 317, 338,
)  # fmt: skip
_ICC, _STAMP = 34675, 65000
_ADOBE_DEFLATE, _HORIZONTAL, _UNASSOCIATED = 8, 2, 2


def needs_big(holding: Holding) -> bool:
    """Whether it becomes a BigTIFF, which holds no EXIF here."""
    return holding.height * holding.width * holding.channels.count > _BIG


class TiffWriter:
    """Rows into a file that can be written at any place. stamp: a text that it carries."""

    def __init__(self, file: BinaryIO, holding: Holding, stamp: str = "") -> None:
        self._file, self._holding, self._stamp = file, holding, stamp
        stride = holding.width * holding.channels.count
        self._big = needs_big(holding)
        self._pieces = Pieces(holding.height, stride)
        self._made: InOrder[bytes] = InOrder()
        self._strips: list[tuple[int, int]] = []
        self._at = file.write(self._head(0))

    def write(self, rows: U8Rows) -> None:
        """The next rows, uint8, `Channels.shape`."""
        for piece in self._pieces.put(rows):
            self._put(self._made.add(partial(_compressed, piece, self._holding.channels)))

    def finish(self) -> None:
        """All rows came."""
        self._put(self._made.rest())
        self._at += self._file.write(b"\0" * (-self._at % 8))
        tags = self._tags()
        self._file.write(directory(tags, self._at, self._big))
        self._file.seek(0)
        self._file.write(self._head(self._at))

    def end(self) -> None:
        """Let go of what it needed, also in the middle."""
        self._made.end()

    def _head(self, directory: int) -> bytes:
        if self._big:
            return struct.pack("<2sHHHQ", b"II", 43, 8, 0, directory)
        return struct.pack("<2sHI", b"II", 42, directory)

    def _put(self, made: Iterator[bytes]) -> None:
        for data in made:
            self._strips.append((self._at, len(data)))
            self._at += self._file.write(data)

    def _tags(self) -> list[Tag]:
        holding, channels = self._holding, self._holding.channels
        strips = "Q" if self._big else "I"
        tags: list[Tag] = [
            (_WIDTH, "I", (holding.width,)),
            (_HEIGHT, "I", (holding.height,)),
            (_BITS, "H", (8,) * channels.count),
            (_COMPRESSION, "H", (_ADOBE_DEFLATE,)),
            (_PHOTOMETRIC, "H", (1 if channels.gray else 2,)),
            (_OFFSETS, strips, tuple(at for at, _ in self._strips)),
            (_SAMPLES, "H", (channels.count,)),
            (_ROWS, "I", (self._pieces.rows,)),
            (_COUNTS, strips, tuple(size for _, size in self._strips)),
            (_PREDICTOR, "H", (_HORIZONTAL,)),
        ]
        if channels.alpha:
            tags.append((_EXTRA, "H", (_UNASSOCIATED,)))
        if holding.icc is not None:
            tags.append((_ICC, "B", tuple(holding.icc)))
        if self._stamp:
            tags.append((_STAMP, "s", self._stamp))
        if holding.exif is not None and not self._big:
            tags += self._exif(holding.exif)
        return sorted(tags, key=lambda tag: tag[0])

    def _exif(self, data: bytes) -> list[Tag]:
        """The texts of EXIF as tags of the file, its orientation, and its directories, which are written here."""
        exif = Image.Exif()
        exif.load(data)
        tags: list[Tag] = [(tag, "s", value) for tag, value in exif.items() if isinstance(value, str)]
        if ExifTags.Base.Orientation in exif:
            tags.append((ExifTags.Base.Orientation, "H", (1,)))
        for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            values = exif.get_ifd(tag)
            if values:
                inner = ImageFileDirectory_v2(group=tag)
                for number, value in values.items():
                    inner[number] = value
                tags.append((tag, "I", (self._at,)))
                written = inner.tobytes(self._at)
                self._at += self._file.write(written + b"\0" * (-len(written) % 8))
        return tags


Tag = tuple[int, str, "tuple[int, ...] | str"]

#: Of values as struct calls them: the number of their type.
_TYPES = {"B": 7, "s": 2, "H": 3, "I": 4, "Q": 16}


def directory(tags: list[Tag], at: int, big: bool) -> bytes:
    """A TIFF directory that begins at byte `at`, with the values that do not fit into it behind it."""
    count, entry, room = ("Q", "<HHQ8s", 8) if big else ("H", "<HHI4s", 4)
    behind = at + struct.calcsize(f"<{count}") + len(tags) * struct.calcsize(entry) + room
    out, more = struct.pack(f"<{count}", len(tags)), b""
    for tag, kind, values in tags:
        data = values.encode("utf-8", "replace") + b"\0" if isinstance(values, str) else _packed(kind, values)
        length = len(data) if isinstance(values, str) else len(values)
        if len(data) > room:
            place = struct.pack("<Q" if big else "<I", behind + len(more))
            more += data + b"\0" * (-len(data) % 8)
        else:
            place = data.ljust(room, b"\0")
        out += struct.pack(entry, tag, _TYPES[kind], length, place)
    return out + b"\0" * room + more


def _packed(kind: str, values: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(values)}{kind}", *values)


def _compressed(rows: U8Rows, channels: Channels) -> bytes:
    pixels = rows.reshape(len(rows), -1, channels.count)
    return deflated(np.diff(pixels, axis=1, prepend=np.uint8(0)).tobytes(), 15)
