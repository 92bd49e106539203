"""Pixels as a file holds them to bytes of gray or RGB, with or without alpha."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tvmsr.errors import InputFileError
from tvmsr.imaging.holding import Channels, icc_space

U8Image = NDArray[np.uint8]
Convert = Callable[[Image.Image], U8Image]

_REDUCED = "its {0} bits a channel were reduced to 8 (the upper byte is kept)"


@dataclass(frozen=True)
class Conversion:
    """apply: an image of the file's mode, any part of it, to uint8 of `Channels.shape`. notice: "" or what it costs."""

    channels: Channels
    apply: Convert
    notice: str = ""


def conversion_of(image: Image.Image, bits: int, gray: bool = False) -> Conversion:
    """How to convert an image of which only the header need be read. bits: of a channel in the file. gray: it is gray
    with alpha, as what Pillow may hold it.

    InputFileError, without the file's name, where nobody could say how.
    """
    if bits > 16 or image.mode == "F":
        raise InputFileError(f"holds {bits} bits a channel; convert it to 8 or 16 first")
    mode, notice = image.mode, _REDUCED.format(bits) if bits > 8 else ""
    if mode == "CMYK":
        return _of_cmyk(image, notice)
    key = image.info.get("transparency")
    if mode == "P":
        return _of_palette(image, key)
    if mode in ("1", "L") or mode.startswith("I"):
        return Conversion(*_of_gray(key, bits), notice)
    if mode == "RGB" and isinstance(key, tuple):
        return Conversion(Channels.RGBA, _with_key(tuple(k >> 8 if bits > 8 else k for k in key)), notice)
    if mode == "RGBA" and gray:  # of 16 bits
        return Conversion(Channels.GRAY_ALPHA, lambda part: np.asarray(part)[..., [0, 3]], notice)
    channels = _OTHERS.get(mode)
    if channels is None:
        raise InputFileError(f"holds {mode} pixels; convert it to RGB first")
    return Conversion(channels, lambda part: np.asarray(_in_mode(part, channels.value)), notice)


#: Modes that Pillow converts as it should.
_OTHERS = {
    "LA": Channels.GRAY_ALPHA, "La": Channels.GRAY_ALPHA, "RGB": Channels.RGB, "RGBX": Channels.RGB,
    "YCbCr": Channels.RGB, "RGBA": Channels.RGBA, "RGBa": Channels.RGBA, "PA": Channels.RGBA,
}  # fmt: skip


def _in_mode(part: Image.Image, mode: str) -> Image.Image:
    if part.mode == "La":  # Pillow knows no way to LA
        return part.convert("LA") if mode == "LA" else part.convert("LA").convert(mode)
    return part if part.mode == mode else part.convert(mode)


def _of_gray(key: object, bits: int) -> tuple[Channels, Convert]:
    """Gray of 1 to 16 bits; key: the value that is transparent, of so many bits."""

    def deep(part: Image.Image) -> NDArray[np.integer]:
        return np.asarray(part.convert("L") if part.mode == "1" else part)

    def plain(part: Image.Image) -> U8Image:
        values = deep(part)
        return np.asarray(values if values.dtype == np.uint8 else values >> 8, np.uint8)

    if not isinstance(key, int):
        return Channels.GRAY, plain
    # Pillow spreads fewer bits over a byte; some of its versions do so with the key of a single bit
    wanted = min(255, key * (255 // (2**bits - 1))) if bits < 8 else key
    return Channels.GRAY_ALPHA, lambda part: _joined(plain(part)[..., None], deep(part) != wanted)


def _with_key(key: tuple[int, ...]) -> Convert:
    """RGB of which one colour is transparent."""

    def apply(part: Image.Image) -> U8Image:
        pixels = np.asarray(part)
        return _joined(pixels, (pixels != np.array(key, np.uint8)).any(axis=-1))

    return apply


def _joined(pixels: U8Image, opaque: NDArray[np.bool_]) -> U8Image:
    return np.concatenate([pixels, np.where(opaque, 255, 0).astype(np.uint8)[..., None]], axis=-1)


def palette_of(image: Image.Image) -> bytes:
    """The colours of a palette image, RGB RGB ..; unlike Image.getpalette it does not decode the picture."""
    palette = image.palette
    assert palette is not None  # its mode is P
    data = bytes(palette.palette)
    if palette.rawmode == "RGB;L":  # plane by plane, of TIFF
        return np.frombuffer(data, np.uint8).reshape(3, -1).T.tobytes()
    return data[: len(data) // 3 * 3]


def _of_palette(image: Image.Image, key: object) -> Conversion:
    if key is not None:
        return Conversion(Channels.RGBA, lambda part: np.asarray(part.convert("RGBA")))
    palette = np.frombuffer(palette_of(image), np.uint8).reshape(-1, 3)
    gray = bool((palette == palette[:, :1]).all())  # and then it comes back without a tint
    channels = Channels.GRAY if gray else Channels.RGB
    return Conversion(channels, lambda part: np.asarray(part.convert(channels.value)))


def _of_cmyk(image: Image.Image, notice: str) -> Conversion:
    profile = image.info.get("icc_profile")
    also = f"; {notice}" if notice else ""
    if isinstance(profile, bytes) and icc_space(profile) == "CMYK":
        try:
            transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), "CMYK", "RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            also = f" (its own cannot be used){also}"
        else:
            said = f"its CMYK colours became sRGB by its profile, which was left out{also}"
            return Conversion(Channels.RGB, lambda part: np.asarray(_through(transform, part)), said)
    said = f"its CMYK colours became RGB without a profile{also}"
    return Conversion(Channels.RGB, lambda part: np.asarray(part.convert("RGB")), said)


def _through(transform: ImageCms.ImageCmsTransform, part: Image.Image) -> Image.Image:
    done = ImageCms.applyTransform(part, transform)
    assert done is not None  # it is, unless it should work in place
    return done
