"""Where the rows of a result go: a picture file in the making."""

from __future__ import annotations

from types import TracebackType
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tvmsr.errors import InputFileError
from tvmsr.imaging import formats
from tvmsr.imaging.formats import Format
from tvmsr.imaging.holding import Holding
from tvmsr.imaging.png_writer import PngWriter
from tvmsr.imaging.tiff_writer import TiffWriter, needs_big

U8Image = NDArray[np.uint8]

#: Of JPEG and of WebP.
QUALITY = 95

#: EXIF that a JPEG can hold.
_MOST_EXIF = 65_533

#: Bytes of rows, filtered and compressed ones, that are in flight while bands are written.
_BANDS = 40 << 20

#: What carries the stamp in WebP.
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="{0}"/></rdf:RDF></x:xmpmeta>'
)


class Writer(Protocol):
    """Takes all rows in their order, then `finish`, and in any case `end`."""

    def write(self, rows: U8Image) -> None: ...

    def finish(self) -> None: ...

    def end(self) -> None: ...


def check_fits(name: str, what: Format, holding: Holding) -> None:
    """InputFileError where the result of the picture `name` cannot be held by files of this format."""
    if holding.channels.alpha and not what.alpha:
        raise InputFileError(f"{name}: has transparency, which {what.name} cannot hold; write .png or .webp instead")
    if max(holding.width, holding.height) > what.most:
        raise InputFileError(
            f"{name}: the result has {holding.width}x{holding.height} pixels, {what.name} holds at most {what.most} a "
            "side; write .png instead"
        )


def exif_kept(what: Format, holding: Holding) -> bool:
    """Whether files of this format can hold the picture's EXIF."""
    if what is formats.TIFF:
        return holding.exif is None or not needs_big(holding)
    return holding.exif is None or what is not formats.JPEG or len(holding.exif) <= _MOST_EXIF


def memory_of(what: Format, holding: Holding) -> int:
    """Bytes that a writer of it takes at most."""
    if what.bands:
        return min(_BANDS, 5 * holding.width * holding.height * holding.channels.count + (1 << 16))
    held = 1 if holding.channels.count == 1 and what is not formats.WEBP else 4
    coded = 4 if what is formats.WEBP else 0
    return holding.width * holding.height * (holding.channels.count + held + coded)


def open_sink(file: BinaryIO, what: Format, holding: Holding, stamp: str = "") -> Sink:
    """Begin a file of a result of this size. stamp: a word that `stamp_of` (commands) finds in it."""
    if what is formats.PNG:
        return Sink(PngWriter(file, holding, stamp))
    if what is formats.TIFF:
        return Sink(TiffWriter(file, holding, stamp))
    return Sink(_Whole(file, what, holding, stamp))


class Sink:
    """A context manager: what it needed is let go at its end."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write(self, rows: U8Image) -> None:
        """The next rows, uint8, `Channels.shape`."""
        if len(rows):
            self._writer.write(rows)

    def finish(self) -> None:
        """All rows came."""
        self._writer.finish()

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.end()


class _Whole:
    """Collects the rows for a format that Pillow writes in one go."""

    def __init__(self, file: BinaryIO, what: Format, holding: Holding, stamp: str) -> None:
        self._file, self._what, self._holding, self._stamp = file, what, holding, stamp
        self._pixels = np.empty(holding.channels.shape(holding.height, holding.width), np.uint8)
        self._have = 0

    def write(self, rows: U8Image) -> None:
        self._pixels[self._have : self._have + len(rows)] = rows
        self._have += len(rows)

    def finish(self) -> None:
        assert self._have == self._holding.height
        image = Image.fromarray(self._pixels)
        image.save(self._file, format=self._what.name, **self._options())

    def _options(self) -> dict[str, Any]:
        holding, stamp = self._holding, self._stamp
        options: dict[str, Any] = {"icc_profile": holding.icc}
        if holding.exif is not None and exif_kept(self._what, holding):
            options["exif"] = holding.exif
        if self._what is formats.JPEG:
            options |= {"quality": QUALITY, "subsampling": 0, "comment": stamp.encode()}
        else:
            options |= {"quality": QUALITY, "exact": True, "xmp": _XMP.format(stamp) if stamp else ""}
        return options

    def end(self) -> None:
        """Nothing to let go of."""
