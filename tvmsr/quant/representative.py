"""Pictures whose FP32 outputs span the pixel range and do not leave it: CFQP's representative data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.graph.model import F32, Colour, Model

U8 = NDArray[np.uint8]

#: How many pictures are made.
COUNT = 4
DEFAULT_WAY = "selection"


@dataclass(frozen=True, eq=False)
class Representative:
    """An LR picture, RGB bytes (H, W, 3), and the least and largest value of the FP32 network's output on it, 0..1."""

    pixels: U8
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Search:
    """What pictures are made of: crops with their FP32 outputs, and the range that outputs should span."""

    model: Model
    crops: Sequence[U8]
    outputs: Sequence[F32]
    count: int
    low: float
    high: float
    seed: int

    def error(self, picture: Representative) -> float:
        """How far the ends of its output are from those wanted."""
        return abs(picture.low - self.low) + abs(picture.high - self.high)


def representatives(
    model: Model,
    crops: Sequence[U8],
    outputs: Sequence[F32],
    *,
    way: str = DEFAULT_WAY,
    count: int = COUNT,
    overshoot: float = 0.0,
    seed: int = 0,
) -> list[Representative]:
    """At most `count` pictures, made in one of WAYS, the best first. UsageError for another way."""
    if way not in WAYS:
        raise UsageError(f"--way {way!r}: known are {', '.join(WAYS)}")
    black, white = (16 / 255, 235 / 255) if model.colour is Colour.Y else (0.0, 1.0)
    search = Search(model, crops, outputs, count, black - overshoot, white + overshoot, seed)
    return sorted(WAYS[way](search), key=search.error)[:count]


def described(pictures: Sequence[Representative], way: str) -> str:
    """In words, for the plan."""
    low, high = min(p.low for p in pictures), max(p.high for p in pictures)
    return f"pictures of full range: {len(pictures)} by {way}, FP32 outputs from {low:.3f} to {high:.3f}"


def selection(search: Search) -> list[Representative]:
    """Crops as they are."""
    pairs = zip(search.crops, search.outputs, strict=True)
    return [Representative(crop, float(output.min()), float(output.max())) for crop, output in pairs]


WAYS: Mapping[str, Callable[[Search], list[Representative]]] = {"selection": selection}
