"""Pictures for tests."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tvmsr.imaging.opening import open_picture

U8 = NDArray[np.uint8]


def noise(*shape: int, seed: int = 1, most: int = 256) -> U8:
    return np.random.default_rng(seed).integers(0, most, shape, dtype=np.uint8)


def rgb(width: int = 17, height: int = 13) -> Image.Image:
    return Image.fromarray(noise(height, width, 3))


@functools.cache  # it holds the time at which it was made
def profile(space: str) -> bytes:
    """A profile; one that says that it is for `space` where no real one can be made of nothing."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data if space == "RGB" else data[:16] + space.ljust(4).encode() + data[20:]


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def read_by(path: Path, count: int) -> U8:
    """All rows of a file, so many at a time."""
    with open_picture(path) as source:
        tops = range(0, source.holding.height, count)
        return np.concatenate([source.read(min(count, source.holding.height - top)) for top in tops])
