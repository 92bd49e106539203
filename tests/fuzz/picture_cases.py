"""Pictures: every format and depth that Pillow writes, with chunks, sizes, palettes, profiles and bytes broken."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests.fuzz import nasty
from tests.fuzz.case import Files

_COMPRESSIONS = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")


def _noise(mode: str) -> Image.Image:
    rng = np.random.default_rng(7)
    picture = Image.fromarray(rng.integers(0, 256, (24, 20, 4), np.uint8), "RGBA")
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (24, 20), np.uint16))
    if mode == "F":
        return Image.fromarray(rng.random((24, 20), np.float32))
    return picture.convert("RGB").convert(mode) if mode in ("P", "1", "CMYK", "YCbCr", "L") else picture.convert(mode)


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a picture"
    return exif.tobytes()


@cache
def _seeds() -> tuple[tuple[str, bytes], ...]:
    """Suffix and bytes of every seed that the installed Pillow can write."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wanted: list[tuple[str, str, str, dict[str, Any]]] = [
        *(("png", "PNG", mode, {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")),
        ("png", "PNG", "P", {"transparency": 3}), ("png", "PNG", "RGB", {"icc_profile": profile, "exif": _exif()}),
        ("png", "PNG", "RGB", {"transparency": (1, 2, 3)}), ("png", "PNG", "RGB", {"save_all": True}),
        *(("jpg", "JPEG", mode, {"quality": 90}) for mode in ("RGB", "L", "CMYK")),
        ("jpg", "JPEG", "RGB", {"exif": _exif(), "icc_profile": profile}),
        ("jpg", "JPEG", "RGB", {"progressive": True}),
        *(("webp", "WEBP", mode, options) for mode, options in (("RGB", {}), ("RGBA", {"lossless": True}))),
        ("webp", "WEBP", "RGB", {"exif": _exif(), "icc_profile": profile}),
        *(("tif", "TIFF", mode, {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16", "F", "CMYK", "YCbCr")),
        *(("tif", "TIFF", "RGB", {"compression": name}) for name in _COMPRESSIONS),
        ("tif", "TIFF", "RGB", {"exif": _exif(), "icc_profile": profile}),
        ("bmp", "BMP", "RGB", {}), ("gif", "GIF", "P", {}), ("ppm", "PPM", "RGB", {}),
    ]  # fmt: skip
    found = []
    for suffix, kind, mode, options in wanted:
        stream = io.BytesIO()
        try:
            _noise(mode).save(stream, kind, **options)
        except (OSError, ValueError, KeyError):  # a format that this Pillow lacks
            continue
        found.append((suffix, stream.getvalue()))
    return tuple(found)


def _png(rng: random.Random, data: bytes) -> bytes:
    """One chunk changed, doubled, lost or moved; checksums right, so that what is behind them is reached."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], bytearray(data[at + 8 : at + 8 + size])))
        at += 12 + size
    number = rng.randrange(len(chunks))
    name, body = chunks[number]
    action = rng.randrange(6)
    if action == 0 and body:
        body[:] = nasty.mutated_bytes(rng, bytes(body))
    elif action == 1:
        del chunks[number]
    elif action == 2:
        chunks.insert(rng.randrange(len(chunks)), (name, body))
    elif action == 3:
        name = rng.choice((b"tRNS", b"PLTE", b"iCCP", b"gAMA", b"eXIf", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"sBIT"))
        bomb = b"p\0\0" + zlib.compress(bytes(10**6), 9)
        chunks.insert(1, (name, bytearray(rng.choice((b"", rng.randbytes(30), bomb, b"\0" * 800)))))
    else:
        head = chunks[0][1]
        struct.pack_into(">I", head, rng.choice((0, 4)), rng.choice(nasty.INTS) & 0xFFFFFFFF)
        if rng.random() < 0.4:
            head[rng.choice((8, 9, 10, 11, 12))] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 255))
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + bytes(body) + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _jpeg(rng: random.Random, data: bytes) -> bytes:
    """A marker's length, sizes in the frame header, or a segment changed."""
    changed = bytearray(data)
    places = [at for at in range(len(data) - 9) if data[at] == 0xFF and 0xC0 <= data[at + 1] <= 0xFE]
    at = rng.choice(places)
    if rng.random() < 0.3:
        changed[at + 1] = rng.choice((0xC0, 0xC2, 0xC3, 0xC9, 0xD8, 0xD9, 0xDB, 0xDD, 0xE1, 0xE2, 0xEE, 0xFE))
    else:
        struct.pack_into(">H", changed, at + rng.choice((2, 2, 5, 7)), rng.choice(nasty.INTS) & 0xFFFF)
    return bytes(changed)


def _tiff(rng: random.Random, data: bytes) -> bytes:
    """An entry of the directory: tag, type, count or value."""
    changed = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    entry = directory + 2 + 12 * rng.randrange(max(count, 1))
    action = rng.randrange(5)
    if action == 0:
        struct.pack_into(order + "H", changed, entry + rng.choice((0, 2)), rng.choice(nasty.INTS) & 0xFFFF)
    elif action == 1:
        struct.pack_into(order + "I", changed, entry + 4, rng.choice(nasty.INTS) & 0xFFFFFFFF)
    elif action == 2:
        struct.pack_into(order + "I", changed, 4, rng.choice((0, directory, entry, len(data), 2**31)))
    else:
        struct.pack_into(order + "I", changed, entry + 8, rng.choice(nasty.INTS) & 0xFFFFFFFF)
    return bytes(changed)


def _webp(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    places = [at for at in range(8, min(len(data) - 8, 400)) if data[at : at + 4].isalnum()]
    at = rng.choice(places)
    value = rng.choice(nasty.INTS) & 0xFFFFFFFF
    struct.pack_into("<I", changed, at + rng.choice((4, 8, 12)), value)
    return bytes(changed)


_BY_SUFFIX: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "png": _png, "jpg": _jpeg, "tif": _tiff, "webp": _webp,
}  # fmt: skip


def picture_file(rng: random.Random) -> Files:
    seeds = _seeds()
    suffix, data = seeds[rng.randrange(len(seeds))]
    if suffix in _BY_SUFFIX and rng.random() < 0.6:
        data = _BY_SUFFIX[suffix](rng, data)
    else:
        data = nasty.mutated_bytes(rng, data, near=rng.choice((16, 64, 400)))
    if rng.random() < 0.05:
        suffix = rng.choice(("png", "jpg", "tif", "webp"))
    return {f"picture.{suffix}": data}


def read(path: Path) -> object:
    from tvmsr.imaging.files import read_picture

    return read_picture(path)
