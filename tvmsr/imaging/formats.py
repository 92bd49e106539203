"""The formats of picture files: their names, their first bytes, and what they cannot hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tvmsr.errors import UsageError


@dataclass(frozen=True)
class Format:
    """name: Pillow's. most: pixels of a side. alpha: whether it holds transparency. bands: written as rows come."""

    name: str
    suffixes: tuple[str, ...]
    most: int
    alpha: bool = True
    bands: bool = False


PNG = Format("PNG", (".png",), 2**31 - 1, bands=True)
JPEG = Format(
    "JPEG", (".jpg", ".jpeg"), 65_535 - 35, alpha=False
)  # libjpeg's limit is a little below that of the format
WEBP = Format("WEBP", (".webp",), 16_383)
TIFF = Format("TIFF", (".tif", ".tiff"), 2**31 - 1, bands=True)

ALL = (PNG, JPEG, WEBP, TIFF)

#: For sentences.
NAMES = "PNG, JPEG, WebP or TIFF"
SUFFIXES = ", ".join(suffix for one in ALL for suffix in one.suffixes)

_BY_SUFFIX = {suffix: one for one in ALL for suffix in one.suffixes}
_BY_START = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
)


def known(path: Path) -> bool:
    """Whether the suffix is one of a picture."""
    return path.suffix.lower() in _BY_SUFFIX


def format_named(path: Path) -> Format:
    """The format that the suffix of `path` stands for; UsageError where it is none."""
    found = _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        what = f"the suffix {path.suffix!r}" if path.suffix else "a name without a suffix"
        raise UsageError(f"{path}: {what} is no supported picture format; use {SUFFIXES}")
    return found


def format_of_start(start: bytes) -> Format | None:
    """The format of a file that begins so (12 bytes are enough), whatever its name; None where it is none of ours."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return WEBP
    return next((one for magic, one in _BY_START if start.startswith(magic)), None)
