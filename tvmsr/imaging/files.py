"""Picture files as arrays of bytes: whole pictures in, whole pictures out."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError, UsageError, WorkError
from tvmsr.imaging import formats
from tvmsr.imaging.formats import format_named
from tvmsr.imaging.holding import Channels, Holding
from tvmsr.imaging.opening import open_picture
from tvmsr.imaging.sink import open_sink

U8Image = NDArray[np.uint8]

#: The most that is read as a whole into an array; `tvmsr upscale` reads in bands, and knows other limits.
MOST_PIXELS = 2 * 89_478_485


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as a network sees it.

    pixels: uint8 (H, W, 3), RGB, never premultiplied by alpha. alpha: uint8 (H, W), or None where the file has no
    transparency. gray: the file had one colour channel (then the three planes of `pixels` are equal).
    """

    pixels: U8Image
    alpha: U8Image | None = None
    gray: bool = False

    def for_artifact(self) -> U8Image:
        """What to give to an artifact, and so the form of its answer: (H, W), (H, W, 3) or, with alpha, (H, W, 4)."""
        if self.alpha is not None:
            return np.dstack([self.pixels, self.alpha])
        return np.ascontiguousarray(self.pixels[..., 0]) if self.gray else self.pixels


def read_picture(path: str | Path) -> Picture:
    """Read a PNG, JPEG, WebP or TIFF file; what the file holds decides, not its name. Upright, 8 bits a channel.

    Any way in which the file can be missing, damaged, truncated or too large is an InputFileError of one line.
    """
    with open_picture(path) as source:
        holding = source.holding
        if holding.width * holding.height > MOST_PIXELS:
            limit = f"{MOST_PIXELS // 10**6} million pixels"
            raise InputFileError(f"{path}: larger than {limit}, the most that is accepted; cut it into parts")
        rows = source.read(holding.height)
    channels = holding.channels
    pixels = rows[..., :-1] if channels.alpha else rows
    alpha = np.ascontiguousarray(rows[..., -1]) if channels.alpha else None
    if channels.gray:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return Picture(np.ascontiguousarray(pixels), alpha, channels.gray)


def write_picture(path: str | Path, pixels: U8Image) -> None:
    """Write gray (H, W), RGB (H, W, 3) or RGBA (H, W, 4) bytes; the suffix names the format.

    The file appears whole or not at all: it is written beside its place and moved there. An existing file is replaced.
    """
    path = Path(path)
    what = format_named(path)
    channels = _channels_of(pixels)
    if channels is None:
        raise UsageError(
            f"{path}: pixels must be uint8 (H, W), (H, W, 3) or (H, W, 4), not {pixels.dtype} {pixels.shape}"
        )
    if channels.alpha and not what.alpha:
        raise UsageError(f"{path}: {what.name} cannot hold transparency; write a .png instead")

    def fill(file: BinaryIO) -> None:
        with open_sink(file, what, Holding(pixels.shape[1], pixels.shape[0], channels)) as sink:
            sink.write(pixels)
            sink.finish()

    _write_whole(path, fill)


def write_pictures(folder: Path, pictures: Sequence[U8Image]) -> None:
    """Write 0001.png and so on into a new folder, or an empty one: all of them or none. WorkError where that fails."""
    try:
        with tempfile.TemporaryDirectory(dir=folder.absolute().parent, prefix=f".{folder.name}.") as temporary:
            made = Path(temporary, "made")
            made.mkdir()
            for number, pixels in enumerate(pictures, 1):
                write_picture(made / f"{number:04}.png", pixels)
            made.replace(folder)
    except OSError as error:
        raise WorkError(f"{folder}: cannot be written: {error}") from error


def _channels_of(pixels: U8Image) -> Channels | None:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        return None
    if pixels.ndim == 2:
        return Channels.GRAY
    return {3: Channels.RGB, 4: Channels.RGBA}.get(pixels.shape[2])


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all; an existing file is replaced."""
    data = text.encode()
    _write_whole(Path(path), lambda file: file.write(data))


def _write_whole(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Let `fill` write a file beside `path`, then move it there; nothing stays behind when that fails."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            fill(file)
        part.replace(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: the folder {path.parent} does not exist; make it first") from None
    except OSError as error:
        raise WorkError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def list_pictures(folder: str | Path) -> list[Path]:
    """The picture files right inside `folder`, sorted by name; hidden files are left out."""
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "there is no such folder"
        raise InputFileError(f"{folder}: {what}; a folder with pictures is needed")
    found = (p for p in folder.iterdir() if formats.known(p) and not p.name.startswith(".") and p.is_file())
    pictures = sorted(found, key=lambda p: p.name)
    if not pictures:
        raise InputFileError(f"{folder}: holds no {formats.NAMES} picture")
    return pictures
