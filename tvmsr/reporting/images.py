"""Pictures as text in a page, and how large they may be."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from tvmsr.reporting.facts import U8, Crop, Measured

#: Bytes of a report with ten pictures, at most.
BUDGET = 3_000_000
#: Sides of crops that are tried, all multiples of STEP between these; and of the longer side of a thumbnail.
LEAST, MOST, STEP, THUMBNAIL = 32, 320, 8, 112
#: What an image costs beside its own text: the element around it.
ELEMENT = 400

Urls = Mapping[tuple[int, int, str], str]
Encoder = Callable[[U8], str]


@dataclass(frozen=True)
class Embedded:
    """The shown pictures with crops of one size. urls: data URLs by (picture, crop, source).

    same: of a source whose pixels are those of an earlier one, that one instead. crops, thumbnails: by the picture's
    number; side: of the crops, at most; 0 where nothing could be shown.
    """

    side: int = 0
    crops: Mapping[int, tuple[Crop, ...]] = field(default_factory=dict)
    urls: Urls = field(default_factory=dict)
    same: Mapping[tuple[int, int, str], str] = field(default_factory=dict)
    thumbnails: Mapping[int, str] = field(default_factory=dict)


def thumbnail(picture: U8) -> U8:
    """At most THUMBNAIL pixels a side."""
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return np.asarray(image)


def embed(pictures: Sequence[Measured], room: int) -> Embedded:
    """Crops of the pictures that have some, as large as `room` bytes allow, without loss; thumbnails with some.

    Where not even small ones fit, every second picture is left out, and so on.
    """
    shown = [number for number, picture in enumerate(pictures) if picture.crops]
    while shown:
        small = {number: _lossy(pictures[number].thumbnail) for number in shown}
        found = _largest(pictures, small, room - sum(len(url) + ELEMENT for url in small.values()))
        if found is not None:
            return found
        shown = shown[::2] if len(shown) > 1 else []
    return Embedded()


def _largest(pictures: Sequence[Measured], thumbnails: Mapping[int, str], room: int) -> Embedded | None:
    """By halves with a quick encoder; then with the good one, which leaves room for a little more."""

    def tried(side: int, how: Encoder) -> Embedded | None:
        cut = {number: tuple(crop.within(side) for crop in pictures[number].crops) for number in thumbnails}
        urls = _urls(cut, room, how)
        return None if urls is None else Embedded(side, cut, *urls, thumbnails)

    low, high = LEAST // STEP, MOST // STEP
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tried(middle * STEP, quick) else (low, middle - 1)
    found = next((one for side in range(low * STEP, LEAST - 1, -STEP) if (one := tried(side, lossless))), None)
    while found is not None and found.side < MOST and (more := tried(found.side + STEP, lossless)):
        found = more
    return found


def _urls(cut: Mapping[int, Sequence[Crop]], room: int, how: Encoder) -> tuple[Urls, Urls] | None:
    """Data URLs, and which are those of others; None as soon as they do not fit."""
    urls: dict[tuple[int, int, str], str] = {}
    same: dict[tuple[int, int, str], str] = {}
    for number, crops in cut.items():
        for place, crop in enumerate(crops):
            known: dict[bytes, str] = {}
            for key, pixels in crop.pixels.items():
                first = known.setdefault(pixels.tobytes(), key)
                if first != key:
                    same[number, place, key] = first
                    continue
                urls[number, place, key] = how(pixels)
                room -= len(urls[number, place, key]) + ELEMENT
                if room < 0:
                    return None
    return urls, same


def lossless(pixels: U8) -> str:
    """A data URL of a WebP picture with these very bytes."""
    return _url(pixels, lossless=True, quality=80, method=2)


def quick(pixels: U8) -> str:
    """The same in a tenth of the time, and a tenth more bytes."""
    return _url(pixels, lossless=True, quality=20, method=0)


def _lossy(pixels: U8 | None) -> str:
    return "" if pixels is None else _url(pixels, quality=80, method=4)


def _url(pixels: U8, **how: object) -> str:
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(data, "WEBP", **how)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
