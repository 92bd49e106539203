"""Picture files: PNG and JPEG in and out, as arrays of bytes."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tvmsr.errors import InputFileError, UsageError, WorkError

U8Image = NDArray[np.uint8]

#: Suffixes that can be read and written, and Pillow's name of their format.
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}

JPEG_QUALITY = 95


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


def format_of(path: Path) -> str:
    """Pillow's name of the format that the suffix of `path` stands for; UsageError where it is not supported."""
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        what = f"the suffix {path.suffix!r}" if path.suffix else "a name without a suffix"
        raise UsageError(f"{path}: {what} is no supported picture format; use .png, .jpg or .jpeg")
    return name


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deeper gray files as 8 bits: the upper byte, which is also what Pillow keeps of a 16-bit RGB file."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    return image


def _has_alpha(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _to_picture(image: Image.Image) -> Picture:
    """Upright (EXIF orientation applied), 8 bits, RGB with alpha apart."""
    has_alpha = _has_alpha(image)
    upright = _eight_bits(ImageOps.exif_transpose(image))
    gray = upright.mode in ("1", "L", "LA", "La")
    if not has_alpha:
        return Picture(np.array(upright.convert("RGB")), None, gray)
    rgba = np.array(upright.convert("RGBA"))
    return Picture(np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), gray)


def read_picture(path: str | Path) -> Picture:
    """Read a PNG or JPEG file; what the file holds decides, not its name.

    Any way in which the file can be missing, damaged, truncated or too large is an InputFileError of one line.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=sorted(set(FORMATS.values()))) as image:
                image.load()
                return _to_picture(image)
    except FileNotFoundError:
        raise InputFileError(f"{path}: there is no such file") from None
    except UnidentifiedImageError:
        raise InputFileError(f"{path}: not a PNG or JPEG picture, or damaged in its first bytes") from None
    except Image.DecompressionBombError:
        limit = f"{2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels"
        raise InputFileError(f"{path}: larger than {limit}, the most that is accepted; cut it into parts") from None
    except (OSError, ValueError, SyntaxError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputFileError(f"{path}: the picture cannot be read: {reason}") from None


def _to_image(pixels: U8Image, name: str, path: Path) -> Image.Image:
    """A Pillow image of (H, W), (H, W, 3) or, where the format can hold alpha, (H, W, 4) bytes."""
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise UsageError(
            f"{path}: pixels must be uint8 (H, W), (H, W, 3) or (H, W, 4), not {pixels.dtype} {pixels.shape}"
        )
    if name == "JPEG" and pixels.ndim == 3 and pixels.shape[2] == 4:
        raise UsageError(f"{path}: JPEG cannot hold transparency; write a .png instead")
    return Image.fromarray(np.ascontiguousarray(pixels))


def write_picture(path: str | Path, pixels: U8Image, *, at: Path | None = None) -> None:
    """Write gray (H, W), RGB (H, W, 3) or, to PNG, RGBA (H, W, 4) bytes; the suffix names the format.

    The file appears whole or not at all: it is written beside its place and moved there. An existing file is replaced.
    at: where it is written instead, to be moved to `path` later.
    """
    path = Path(path)
    name = format_of(path)
    image = _to_image(pixels, name, path)
    options = {"quality": JPEG_QUALITY} if name == "JPEG" else {}
    _write_whole(path, lambda file: image.save(file, format=name, **options), at)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all; an existing file is replaced."""
    data = text.encode()
    _write_whole(Path(path), lambda file: file.write(data))


def _write_whole(path: Path, fill: Callable[[BinaryIO], object], at: Path | None = None) -> None:
    """Let `fill` write a file beside `path`, then move it there, or to `at`; nothing stays behind when that fails."""
    place = at or path
    part = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            fill(file)
        part.replace(place)
    except FileNotFoundError:
        raise UsageError(f"{path}: the folder {path.parent} does not exist; make it first") from None
    except OSError as error:
        raise WorkError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def list_pictures(folder: str | Path) -> list[Path]:
    """The PNG and JPEG files right inside `folder`, sorted by name; hidden files are left out."""
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "there is no such folder"
        raise InputFileError(f"{folder}: {what}; a folder with PNG or JPEG pictures is needed")
    found = (p for p in folder.iterdir() if p.suffix.lower() in FORMATS and not p.name.startswith(".") and p.is_file())
    pictures = sorted(found, key=lambda p: p.name)
    if not pictures:
        raise InputFileError(f"{folder}: holds no PNG or JPEG picture")
    return pictures
