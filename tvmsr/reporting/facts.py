"""What a report holds. Pixels are uint8 RGB (H, W, 3), of the enlarged picture; figures are of whole pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

#: Sources that are no artifact.
ORIGINAL, BICUBIC, FP32 = "original", "bicubic", "fp32"


@dataclass(frozen=True)
class Source:
    """What pictures are made by. key: in the report's data; name, text: for people; variant: it is an artifact."""

    key: str
    name: str
    text: str
    variant: bool = False


@dataclass(frozen=True)
class Figures:
    """Of one picture by one source. psnr in dB (may be infinite), ssim in -1..1.

    milliseconds: None where nothing was timed; choice: the name of the bit choice, "" where there is one only.
    """

    psnr: float
    ssim: float
    milliseconds: float | None = None
    choice: str = ""


@dataclass(frozen=True)
class Window:
    """A part of an enlarged picture."""

    top: int
    left: int
    height: int
    width: int

    def of(self, picture: U8) -> U8:
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]

    def around(self, side: int, height: int, width: int) -> Window:
        """`side` pixels a side about the same middle, as far as a picture of this height and width goes."""
        tall, wide = min(side, height), min(side, width)
        top = min(max(self.top + self.height // 2 - tall // 2, 0), height - tall)
        left = min(max(self.left + self.width // 2 - wide // 2, 0), width - wide)
        return Window(top, left, tall, wide)


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of a picture that is shown. kind: of tvmsr.reporting.crops.KINDS.

    window: the part; focus: what it was chosen for, inside the window; pixels: by the source's key, all alike.
    """

    kind: str
    window: Window
    focus: Window
    pixels: Mapping[str, U8]

    def within(self, side: int) -> Crop:
        """At most `side` pixels high and wide of it, about what it was chosen for; of a whole picture, its centre."""
        held, focus = self.window, self.focus
        inside = Window(focus.top - held.top, focus.left - held.left, focus.height, focus.width)
        inner = inside.around(side, held.height, held.width)
        window = Window(held.top + inner.top, held.left + inner.left, inner.height, inner.width)
        kind = "centre" if self.kind == "whole" and window != held else self.kind
        return Crop(kind, window, focus, {key: inner.of(one) for key, one in self.pixels.items()})


@dataclass(frozen=True, eq=False)
class Measured:
    """A picture of the set. width, height: of the LR picture; crops, thumbnail: where it is shown, else () and None."""

    name: str
    width: int
    height: int
    complexity: int
    figures: Mapping[str, Figures]
    crops: tuple[Crop, ...] = ()
    thumbnail: U8 | None = None


@dataclass(frozen=True)
class Layer:
    """A step of an artifact. activations, weights: bits that it reads, weights None where it has none.

    macs: share of its choice's multiplications, 0..1; saturation: share of what it stores that is at an end of the
    range, None where that is not known; why: of the algorithm, in words.
    """

    name: str
    activations: int
    weights: int | None
    algorithm: str
    shape: str
    macs: float
    saturation: float | None
    why: str


@dataclass(frozen=True)
class Choice:
    """A bit choice of an artifact. activations, weights: mean bits of the convolutions, one as much as another."""

    name: str
    layers: tuple[Layer, ...]
    activations: float
    weights: float


@dataclass(frozen=True)
class Choosing:
    """How an artifact chooses. low, high: complexities; names: of the choices below, between and above them.

    tile: LR pixels a side, where each tile of a picture chooses; 0 where a picture chooses as a whole.
    """

    low: int
    high: int
    names: tuple[str, str, str]
    tile: int = 0

    def place_of(self, name: str) -> int:
        """0, 1 or 2: where a choice is, below, between or above; of one for several of them the first."""
        return self.names.index(name)


@dataclass(frozen=True)
class Tried:
    """A plan that was looked at when bits were chosen: see tvmsr.quant.adabm.frontier.Point."""

    cost: float
    activations: float
    weights: float
    drop: float | None = None
    milliseconds: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Variant:
    """An artifact. key: of the source that shows it; size in bytes; facts: label and value: how it was made.

    forced: keys of sources that show one of its choices, forced on all pictures. tried, unit: the plans that its bits
    were chosen among, and what their cost is a share of.
    """

    key: str
    level: str
    threads: int
    size: int
    choices: tuple[Choice, ...]
    choosing: Choosing | None
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    forced: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Report:
    """All of it. pictures: in the order of the set; left, right: keys of what the slider shows first.

    reference: key of what crops were chosen against; facts: how the report was made; notes: what one should know.
    """

    model: str
    scale: int
    data: str
    protocol: str
    sources: tuple[Source, ...]
    pictures: tuple[Measured, ...]
    variants: tuple[Variant, ...]
    left: str
    right: str
    reference: str
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Measured, ...]:
        return tuple(picture for picture in self.pictures if picture.crops)

    def source(self, key: str) -> Source:
        return next(source for source in self.sources if source.key == key)

    def mean(self, key: str) -> Figures:
        """Of a source over all pictures; milliseconds None where one picture was not timed."""
        rows = [picture.figures[key] for picture in self.pictures]
        times = [row.milliseconds for row in rows if row.milliseconds is not None]
        return Figures(
            float(np.mean([row.psnr for row in rows])),
            float(np.mean([row.ssim for row in rows])),
            float(np.mean(times)) if len(times) == len(rows) else None,
        )
