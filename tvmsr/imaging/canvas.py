"""A supersampled canvas for pictures made by rule: 1/f noise, masks, and strokes drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float32]
Point = tuple[float, float]
Colour = tuple[float, float, float]


class Layer:
    """Shapes of many colours, drawn one over the other, to be merged into a canvas. Coordinates in its pixels."""

    def __init__(self, width: int, height: int, scale: int) -> None:
        self.image = Image.new("RGBA", (width * scale, height * scale))
        self.draw = ImageDraw.Draw(self.image)
        self.scale = scale

    def _points(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    @staticmethod
    def _fill(colour: Colour) -> tuple[int, ...]:
        return (*(round(255 * min(max(c, 0.0), 1.0)) for c in colour), 255)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self.draw.polygon(self._points(points), fill=self._fill(colour))

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        pixels = max(round(width * self.scale), 1)
        self.draw.line(self._points(points), fill=self._fill(colour), width=pixels, joint="curve")

    def ellipse(self, centre: Point, radii: Point, colour: Colour) -> None:
        (x, y), (rx, ry) = centre, radii
        self.draw.ellipse(self._points([(x - rx, y - ry), (x + rx, y + ry)]), fill=self._fill(colour))

    def ring(self, centre: Point, radius: float, width: float, colour: Colour) -> None:
        (x, y), r = centre, radius + width / 2
        pixels = max(round(width * self.scale), 1)
        self.draw.ellipse(self._points([(x - r, y - r), (x + r, y + r)]), outline=self._fill(colour), width=pixels)


class Canvas:
    """RGB 0..1, `scale` x `scale` samples a pixel. x and y are the sample positions in pixels, each (rows, columns)."""

    def __init__(self, width: int, height: int, scale: int, seed: int) -> None:
        self.width, self.height, self.scale = width, height, scale
        self.rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[: height * scale, : width * scale].astype(np.float32)
        self.x, self.y = (columns + 0.5) / scale, (rows + 0.5) / scale
        self.rgb: Array = np.zeros((*self.x.shape, 3), np.float32)

    def noise(self, slope: float = 1.0, stretch: Point = (1.0, 1.0)) -> Array:
        """Noise with spectrum 1/f^slope, mean 0, deviation 1; `stretch` > 1 draws its grains out along x, y."""
        rows, columns = self.x.shape
        fy = np.fft.fftfreq(rows)[:, None] * rows * stretch[1] / self.height
        fx = np.fft.rfftfreq(columns)[None, :] * columns * stretch[0] / self.width
        frequency = np.maximum(np.hypot(fx, fy), 1 / self.width)
        spectrum = np.fft.rfft2(self.rng.standard_normal(self.x.shape)) / frequency**slope
        spectrum[0, 0] = 0
        field = np.fft.irfft2(spectrum, s=self.x.shape)
        return (field / field.std()).astype(np.float32)

    def ridge(self, slope: float, smooth: float) -> Array:
        """A line of hills: noise along x alone, (1, columns), deviation 1; wavelengths below `smooth` pixels fade."""
        columns = self.x.shape[1]
        frequency = np.maximum(np.fft.rfftfreq(2 * columns) * self.scale, 1 / (2 * self.width))
        spectrum = np.fft.rfft(self.rng.standard_normal(2 * columns)) / frequency**slope
        spectrum *= np.exp(-((frequency * smooth) ** 2))
        spectrum[0] = 0
        line = np.fft.irfft(spectrum, n=2 * columns)[:columns]
        return np.asarray((line - line.mean()) / line.std(), np.float32)[None, :]

    def blend(self, colour: Array | Colour, mask: Array | float = 1.0) -> None:
        """Paint `colour` where `mask` (0..1) says."""
        weight = np.broadcast_to(np.asarray(mask, np.float32), self.x.shape)[..., None]
        self.rgb += (np.asarray(colour, np.float32) - self.rgb) * weight

    def shade(self, factor: Array, mask: Array | float = 1.0) -> None:
        """Multiply what is there by `factor` where `mask` says."""
        self.rgb *= 1 + (factor - 1)[..., None] * np.broadcast_to(np.asarray(mask, np.float32), self.x.shape)[..., None]

    def polygon(self, points: Sequence[Point]) -> Array:
        """Mask of a polygon."""
        image = Image.new("L", (self.width * self.scale, self.height * self.scale))
        ImageDraw.Draw(image).polygon([(x * self.scale, y * self.scale) for x, y in points], fill=255)
        return np.asarray(image, np.float32) / np.float32(255)

    def layer(self) -> Layer:
        return Layer(self.width, self.height, self.scale)

    def merge(self, layer: Layer) -> None:
        rgba = np.asarray(layer.image, np.float32) / np.float32(255)
        self.blend(rgba[..., :3], rgba[..., 3])

    def to_bytes(self) -> NDArray[np.uint8]:
        """The picture, (height, width, 3): every pixel sees a tent two pixels wide, about as sharp as a good camera."""
        seen = np.clip(self.rgb, 0, 1)
        for axis in (0, 1):
            seen = _box(seen, self.scale, axis)
        blocks = seen.reshape(self.height, self.scale, self.width, self.scale, 3)
        return np.rint(blocks.mean(axis=(1, 3), dtype=np.float64) * 255).astype(np.uint8)


def _box(values: Array, size: int, axis: int) -> Array:
    """Mean of `size` neighbours along an axis, the edge repeated: with the mean over a pixel it makes the tent."""
    around = [(size // 2, size - 1 - size // 2) if i == axis else (0, 0) for i in range(values.ndim)]
    padded = np.moveaxis(np.pad(values, around, mode="edge"), axis, 0)
    count = values.shape[axis]
    total = sum((padded[i : i + count] for i in range(1, size)), padded[:count])
    return np.moveaxis(total / np.float32(size), 0, axis)


def step(value: Array, low: float, high: float) -> Array:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(stops: Sequence[tuple[float, Colour]], value: Array) -> Array:
    """Colours (..., 3) along a gradient given by its stops (position, colour)."""
    positions = [position for position, _ in stops]
    return np.stack([np.interp(value, positions, [c[i] for _, c in stops]) for i in range(3)], axis=-1).astype(
        np.float32
    )
