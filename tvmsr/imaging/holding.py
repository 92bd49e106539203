"""How a picture is held, and what has to be given back with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from tvmsr.imaging.colour import gray_of_rgb

U8Image = NDArray[np.uint8]


class Channels(Enum):
    """What a pixel is made of, by Pillow's name. Never premultiplied by alpha; a byte a channel."""

    GRAY = "L"
    GRAY_ALPHA = "LA"
    RGB = "RGB"
    RGBA = "RGBA"

    @property
    def count(self) -> int:
        """Bytes of a pixel."""
        return len(self.value)

    @property
    def alpha(self) -> bool:
        return self in (Channels.GRAY_ALPHA, Channels.RGBA)

    @property
    def gray(self) -> bool:
        return self in (Channels.GRAY, Channels.GRAY_ALPHA)

    @property
    def given(self) -> int:
        """Bytes of a pixel as an artifact gets it and gives it back."""
        return 4 if self.alpha else self.count

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Of an array of such pixels: (H, W) for gray, else (H, W, C)."""
        return (height, width) if self is Channels.GRAY else (height, width, self.count)


@dataclass(frozen=True)
class Holding:
    """A picture without its pixels. width, height: as they are seen, so after EXIF orientation.

    icc: a profile that fits `channels`, else None. exif: beginning with b"Exif"; upright, without thumbnail and size.
    tone: what a PNG says of its colours beside a profile: chunks gAMA, cHRM, sRGB, cICP as (name, content). notices:
    what of the file is not given back, each the rest of a sentence that begins with the file's name.
    """

    width: int
    height: int
    channels: Channels
    icc: bytes | None = None
    exif: bytes | None = None
    tone: tuple[tuple[bytes, bytes], ...] = ()
    notices: tuple[str, ...] = ()

    def sized(self, width: int, height: int) -> Holding:
        """The same of another size."""
        return replace(self, width=width, height=height)


def to_artifact(rows: U8Image, channels: Channels) -> U8Image:
    """Rows as an artifact takes them: gray with alpha as (H, W, 4), all else as it is."""
    return rows[..., [0, 0, 0, 1]] if channels is Channels.GRAY_ALPHA else rows


def from_artifact(rows: U8Image, channels: Channels) -> U8Image:
    """What an artifact made of such rows; the gray of gray with alpha by the arithmetic of its gray answers."""
    if channels is not Channels.GRAY_ALPHA:
        return rows
    return np.stack([gray_of_rgb(rows[..., :3]), rows[..., 3]], axis=-1)


def icc_space(profile: bytes) -> str:
    """The colour space that a profile is for, as the file says it: "RGB", "GRAY", "CMYK"; "" where it is no profile."""
    if len(profile) < 128 or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip()
