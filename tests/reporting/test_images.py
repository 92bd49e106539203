"""Crops as data URLs: without loss, and as large as the room allows."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.reporting.samples import measured, noisy, picture
from tvmsr.reporting.images import ELEMENT, LEAST, MOST, STEP, Embedded, embed, lossless, thumbnail


def decoded(url: str) -> np.ndarray:
    head, _, text = url.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def size(found: Embedded) -> int:
    return sum(len(url) + ELEMENT for url in (*found.urls.values(), *found.thumbnails.values()))


def test_without_loss() -> None:
    pixels = noisy(picture(0), 0, 40)[:33, :57]
    np.testing.assert_array_equal(decoded(lossless(pixels)), pixels)


@pytest.mark.parametrize("room", [100_000, 200_000, 10_000_000])
def test_as_large_as_fits(room: int) -> None:
    pictures = [measured(number, str(number), 5_000, "base") for number in range(2)]
    found = embed(pictures, room)
    assert size(found) <= room and LEAST <= found.side <= MOST and found.side % STEP == 0
    assert set(found.crops) == {0, 1}
    for (number, place, key), url in found.urls.items():
        np.testing.assert_array_equal(decoded(url), found.crops[number][place].pixels[key])
    if found.side < MOST:
        larger = [crop.within(found.side + STEP) for one in pictures for crop in one.crops]
        more = sum(len(lossless(pixels)) + ELEMENT for crop in larger for pixels in crop.pixels.values())
        assert more + sum(len(url) + ELEMENT for url in found.thumbnails.values()) > room


def test_pictures_are_left_out_where_not_all_fit() -> None:
    pictures = [measured(number, str(number), 5_000, "base") for number in range(4)]
    whole = embed(pictures[:1], 100_000)
    least = size(embed([replace(pictures[0], crops=tuple(crop.within(LEAST) for crop in whole.crops[0]))], 100_000))
    found = embed(pictures, 3 * least)
    assert set(found.crops) == set(found.thumbnails) == {0, 2} and size(found) <= 3 * least
    assert embed(pictures, 100) == Embedded()
    assert embed([replace(one, crops=()) for one in pictures], 1_000_000) == Embedded()


def test_equal_pixels_are_there_once() -> None:
    one = measured(0, "a", 5_000, "base")
    crops = tuple(replace(crop, pixels={**crop.pixels, "v1": crop.pixels["v0"].copy()}) for crop in one.crops)
    found = embed([replace(one, crops=crops)], 1_000_000)
    assert found.same == {(0, place, "v1"): "v0" for place in range(len(crops))}
    assert (0, 0, "v1") not in found.urls and (0, 0, "v0") in found.urls


def test_thumbnails_are_small() -> None:
    assert max(thumbnail(picture(0, 300, 900)).shape) == 112
    assert thumbnail(picture(0, 20, 30)).shape == (20, 30, 3)
