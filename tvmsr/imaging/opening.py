"""Picture files, opened: the header first, then rows from the top, as many at a time as are wanted."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from tvmsr.errors import InputFileError, TvmsrError
from tvmsr.imaging import formats
from tvmsr.imaging.convert import Conversion, conversion_of, palette_of
from tvmsr.imaging.holding import Holding
from tvmsr.imaging.metadata import exif_of, icc_of, orientation_of
from tvmsr.imaging.png_chunks import PngChunks, read_chunks
from tvmsr.imaging.png_rows import KIND_OF_BYTES, PngRows

U8Image = NDArray[np.uint8]

#: Pillow's classes, called without Image.open, whose limit of pixels knows nothing of the memory that is here.
_OPENERS: dict[str, Callable[[str], Image.Image]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}

#: From so many pixels on, a file that is too small for what its header claims is refused before it is decoded.
_MANY = 20_000_000

#: Pixels that a byte of a file can stand for: blocks of 64 in JPEG take a bit at least; deflate makes 1032 of one.
_MOST_PIXELS = {"JPEG": 512, "TIFF": 8 * 1400}


#: What makes a picture of this EXIF orientation upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Rows(Protocol):
    """Where rows come from. memory: bytes that it takes beside the rows that it gives."""

    memory: int

    def read(self, count: int) -> U8Image:
        """The next rows, uint8, `Channels.shape`."""


class Source:
    """An open picture file: a context manager. Its rows are read once, from the top."""

    def __init__(self, path: Path, holding: Holding, rows: Rows, ends: contextlib.ExitStack) -> None:
        self.path, self.holding = path, holding
        self._rows, self._ends = rows, ends

    @property
    def memory(self) -> int:
        """Bytes that reading takes beside the rows that it gives: nearly none, or the whole picture."""
        return self._rows.memory

    def read(self, count: int) -> U8Image:
        """The next rows, uint8, `Channels.shape`. InputFileError where the file turns out to be damaged."""
        with _one_line(self.path):
            return self._rows.read(count)

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()


def open_picture(path: str | Path) -> Source:
    """Open a PNG, JPEG, WebP or TIFF file; what the file holds decides, not its name. No pixel is decoded.

    InputFileError, of one line, where it is missing, damaged in what is read here, animated, or of no kind that is
    known.
    """
    path = Path(path)
    with contextlib.ExitStack() as ends, _one_line(path):
        file = ends.enter_context(path.open("rb"))
        found = formats.format_of_start(file.read(12))
        if found is None:
            raise InputFileError(_no_picture(path, file))
        chunks = read_chunks(path, file) if found is formats.PNG else None
        # Pillow takes names for files of its own; some systems know bytes that are no text in names
        image = ends.enter_context(_OPENERS[found.name](os.fspath(path)))
        _check_claims(path, image, file)
        source = _source_of(path, file, image, chunks, ends)
        ends.pop_all()
        return source


def _no_picture(path: Path, file: BinaryIO) -> str:
    if file.seek(0, os.SEEK_END) == 0:
        return f"{path}: is empty: it has 0 bytes"
    return f"{path}: not a {formats.NAMES} picture, or damaged in its first bytes"


def _check_claims(path: Path, image: Image.Image, file: BinaryIO) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        what = f"{frames} pages; split it" if image.format == "TIFF" else f"{frames} frames (animated); take one out"
        raise InputFileError(f"{path}: holds {what}, single pictures are upscaled")
    pixels, size = image.width * image.height, file.seek(0, os.SEEK_END)
    most = _MOST_PIXELS.get(image.format or "")
    if pixels > _MANY and most is not None and pixels > most * size:
        raise InputFileError(
            f"{path}: damaged: it claims {image.width}x{image.height} pixels, which no {size} bytes can hold"
        )


def _source_of(
    path: Path, file: BinaryIO, image: Image.Image, chunks: PngChunks | None, ends: contextlib.ExitStack
) -> Source:
    if chunks is not None:  # Pillow would decode the picture to see whether any follows it
        image.info["exif"] = b"Exif\0\0" + chunks.told[b"eXIf"] if b"eXIf" in chunks.told else b""
    try:
        conversion = conversion_of(image, _bits(image, chunks), chunks is not None and chunks.gray_with_alpha)
    except InputFileError as error:
        raise InputFileError(f"{path}: {error}") from None
    turned = orientation_of(image)
    icc, about_icc = icc_of(image, conversion.channels)
    exif, about_exif = exif_of(image)
    width, height = _upright_size(image, turned)
    names = (b"gAMA", b"cHRM", b"sRGB", b"cICP") if chunks is not None else ()
    tone = tuple((name, chunks.told[name]) for name in names if name in chunks.told) if chunks is not None else ()
    notices = tuple(notice for notice in (conversion.notice, about_icc, about_exif) if notice)
    holding = Holding(width, height, conversion.channels, icc, exif, tone, notices)
    if chunks is not None and turned == 1 and not chunks.interlaced and chunks.pixel in KIND_OF_BYTES:
        return Source(path, holding, _Streamed(path, file, image, chunks, conversion), ends.pop_all())
    return Source(path, holding, _Whole(image, turned, conversion), ends.pop_all())


def _upright_size(image: Image.Image, turned: int) -> tuple[int, int]:
    size = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # some versions of Pillow have turned its size already
        size = image.tag_v2[256], image.tag_v2[257]
    return (size[1], size[0]) if turned >= 5 else size


def _bits(image: Image.Image, chunks: PngChunks | None) -> int:
    """Bits of a channel in the file."""
    if chunks is not None:
        return chunks.bits
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        values = image.tag_v2.get(258, (1,))
        return max(values) if isinstance(values, tuple) else int(values)
    return 8


class _Streamed:
    """Rows of a PNG as they come."""

    memory = 1 << 20

    def __init__(
        self, path: Path, file: BinaryIO, image: Image.Image, chunks: PngChunks, conversion: Conversion
    ) -> None:
        self._rows = PngRows(path, file, chunks)
        self._conversion, self._width = conversion, chunks.width
        self._mode, self._info = image.mode, image.info
        self._palette = palette_of(image) if image.mode == "P" else None
        self._raw = image.tile[0].args  # type: ignore[attr-defined]  # how Pillow calls what the rows hold

    def read(self, count: int) -> U8Image:
        rows = self._rows.read(count)
        part = Image.frombuffer(self._mode, (self._width, count), rows.tobytes(), "raw", self._raw, 0, 1)
        part.info.update(self._info)
        if self._palette is not None:
            part.putpalette(self._palette)
        return self._conversion.apply(part)


class _Whole:
    """Rows of a picture that Pillow decodes as a whole, when the first of them is wanted."""

    def __init__(self, image: Image.Image, turned: int, conversion: Conversion) -> None:
        self._image, self._turned, self._conversion = image, turned, conversion
        self._upright: Image.Image | None = None
        self._at = 0
        self.memory = image.width * image.height * _decoded_bytes(image, turned)

    def read(self, count: int) -> U8Image:
        if self._upright is None:
            self._image.load()
            turn = _TURNS.get(self._turned) if self._image.format != "TIFF" else None  # which Pillow has turned
            self._upright = self._image if turn is None else self._image.transpose(turn)
            self._upright.info = self._image.info
        image, top = self._upright, self._at
        self._at += count
        if (top, count) == (0, image.height):
            return self._conversion.apply(image)
        return self._conversion.apply(image.crop((0, top, image.width, top + count)))


def _decoded_bytes(image: Image.Image, turned: int) -> int:
    """Bytes a pixel that Pillow and its decoder take, with what a decoder keeps beside the picture."""
    held = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}.get(image.mode, 4)
    beside = 0
    if image.format == "JPEG" and image.info.get("progressive"):
        beside = 2 * len(image.getbands())  # coefficients
    if image.format == "WEBP":
        beside = 8  # the canvas twice
    return max(held + beside, 2 * held if turned != 1 else 0)


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes Pillow raise, as an InputFileError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (TvmsrError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputFileError(f"{path}: there is no such file") from None
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        raise InputFileError(f"{path}: the picture cannot be read: {reason}") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputFileError(f"{path}: the picture cannot be read: {reason}") from None
