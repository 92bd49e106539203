"""Pictures whose FP32 outputs span the pixel range and do not leave it: CFQP's representative data.

Four ways make them from ordinary crops, each with few passes of the FP32 network beside those that are there already.
None gives a picture that is worse than the crop it was made of. What is said of a picture was measured on its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import mapped
from tvmsr.errors import UsageError
from tvmsr.graph.analysis import macs_per_pixel
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import F32, Colour, Model
from tvmsr.quant.ranges import as_float
from tvmsr.quant.windows import best_window

U8 = NDArray[np.uint8]
#: A picture of floats, 0..1, (H, W, 3), that is toned before it becomes bytes.
Base = NDArray[np.float32]

#: How many pictures are made.
COUNT = 4
DEFAULT_WAY = "mix"
#: What a network gives for black and for white: one of RGB, and others.
_RGB_ENDS = (0.0, 1.0)
_ENDS = {Colour.Y: (16 / 255, 235 / 255)}
#: An error with which a picture is good enough: bytes hardly allow less.
GOOD = 1e-3
#: Passes of the FP32 network for each picture that is toned, windows tried for each that is wanted; and the
#: multiply-accumulates that they may cost together, a few seconds: large networks get fewer, but one for each picture.
PASSES, TRIED, MOST_WORK = 4, 2, 5e10
#: Contrast changes by this factor at most in one step; an output that spans less is flat.
_LARGEST_RATIO, _FLAT = 4.0, 1e-3
#: Patches are pasted into pictures whose outputs stay this far from black and white, and that have this many pixels.
_ROOM, _LEAST_PATCHED = 0.02, 8
#: Side of a patch as a share of the quarter of the picture that it lies in, and of its edge as one of the patch. Small
#: patches with steep edges make inner tensors large as pictures do; larger ones with softer edges lost 0.2 dB on ABPN.
_PATCH, _EDGE = 0.4, 0.1
#: What else is made of a crop where there are fewer crops than pictures: its negative, and both with other colours.
_VARIANTS: tuple[Callable[[Base], Base], ...] = (
    lambda base: base,
    lambda base: 1 - base,
    lambda base: base[..., [1, 2, 0]],
    lambda base: 1 - base[..., [1, 2, 0]],
)


@dataclass(frozen=True, eq=False)
class Representative:
    """An LR picture, RGB bytes (H, W, 3).

    low, high: the least and largest value of the FP32 network's output on it alone, 0..1. error: how far they are from
    those that were wanted, together.
    """

    pixels: U8
    low: float
    high: float
    error: float


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

    @property
    def ends(self) -> tuple[float, float]:
        """What the network gives for black and for white."""
        return _ENDS.get(self.model.colour, _RGB_ENDS)

    def seen(self, pixels: U8, output: F32) -> Representative:
        """The picture with what the network gives for it."""
        low, high = float(output.min()), float(output.max())
        return Representative(pixels, low, high, abs(low - self.low) + abs(high - self.high))

    def measured(self, pixels: U8) -> Representative:
        """The same, at the cost of a pass."""
        return self.seen(pixels, cast(F32, run_fp32(self.model, as_float(pixels))))

    def given(self) -> list[Representative]:
        """The crops as they are, in their order."""
        return [self.seen(crop, output) for crop, output in zip(self.crops, self.outputs, strict=True)]

    def passes(self, most: int) -> int:
        """How many passes over a crop each picture may take: `most`, fewer where the network is large, at least 1."""
        pixels = max(crop.shape[0] * crop.shape[1] for crop in self.crops)
        work = float(macs_per_pixel(self.model.graph)) * pixels * self.count
        return int(np.clip(MOST_WORK / max(work, 1.0), 1, most))


def check_way(way: str) -> None:
    """UsageError where there is no such way."""
    if way not in WAYS:
        raise UsageError(f"--way {way!r}: known are {', '.join(WAYS)}")


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
    """At most `count` pictures, made in one of WAYS, the best first. UsageError for another way.

    crops: uint8 (H, W, 3), at least one, of sizes that the network runs on (tvmsr.quant.picture.fitted).
    outputs: of the FP32 network on them. overshoot: how far beyond black and white outputs should reach, of 1.
    The same arguments give the same bytes.
    """
    check_way(way)
    black, white = _ENDS.get(model.colour, _RGB_ENDS)
    search = Search(model, crops, outputs, count, black - overshoot, white + overshoot, seed)
    return _best(WAYS[way](search))[:count]


def described(pictures: Sequence[Representative], way: str) -> str:
    """In words, for the plan."""
    low, high = min(p.low for p in pictures), max(p.high for p in pictures)
    worst = max(p.error for p in pictures)
    return (
        f"pictures of full range: {len(pictures)} by {way}, FP32 outputs from {low:.3f} to {high:.3f}, "
        f"their ends at most {worst:.3f} off"
    )


#: What a picture is toned from: of a crop as floats, and what is known of the crop.
Prepared = Callable[[Base, Representative, np.random.Generator], Base]


def selection(search: Search) -> list[Representative]:
    """Crops as they are. No pass."""
    return search.given()


def crop(search: Search) -> list[Representative]:
    """Windows of crops, at most one of each, chosen by the crop's own output. A pass over each that is tried."""
    kept, found = search.given(), []
    for place, (picture, output) in enumerate(zip(kept, search.outputs, strict=True)):
        height, width = picture.pixels.shape[:2]
        window = best_window(search.model, (height, width), output, search.low, search.high)
        if window is not None and window.error < picture.error:
            found.append((window.error, place, window))
    for _, place, window in sorted(found, key=lambda entry: entry[:2])[: search.count * search.passes(TRIED)]:
        cut = search.measured(np.ascontiguousarray(kept[place].pixels[window.rows, window.columns]))
        kept[place] = _best([kept[place], cut])[0]
    return kept


def tone(search: Search) -> list[Representative]:
    """Crops with other contrast and brightness. At most PASSES passes for each picture."""
    return _toned(search, lambda base, _start, _rng: base)


def mix(search: Search) -> list[Representative]:
    """The same of crops into which a black and a white patch were pasted. At most PASSES passes for each picture."""
    black, white = search.ends

    def prepared(base: Base, start: Representative, rng: np.random.Generator) -> Base:
        low, high = ((end - black) / (white - black) for end in (start.low, start.high))
        return _patched(base, low, high, rng)

    return _toned(search, prepared)


WAYS: Mapping[str, Callable[[Search], list[Representative]]] = {
    "selection": selection,
    "crop": crop,
    "tone": tone,
    "mix": mix,
}


def _best(pictures: Sequence[Representative]) -> list[Representative]:
    """The best first; those that are alike stay in their order."""
    return sorted(pictures, key=lambda picture: picture.error)


def _toned(search: Search, prepared: Prepared) -> list[Representative]:
    """The best crops, prepared and toned, each where that made it better. Few crops give several pictures each."""
    starts, rng, pairs, made = _best(search.given()), np.random.default_rng(search.seed), [], []
    for place in range(min(search.count, len(starts) * len(_VARIANTS))):
        start, variant = starts[place % len(starts)], _VARIANTS[place // len(starts)]
        pairs.append((variant(prepared(as_float(start.pixels), start, rng)), start))
    pictures = mapped(lambda pair: _best_tone(search, *pair, search.passes(PASSES)), pairs)
    for place, (picture, (_, start)) in enumerate(zip(pictures, pairs, strict=True)):
        if picture.error < start.error:
            made.append(picture)
        elif place < len(starts):
            made.append(start)
    return made


def _best_tone(search: Search, base: Base, start: Representative, passes: int) -> Representative:
    """The best of the pictures gain * base + shift.

    Networks are nearly linear in contrast and brightness: both follow from the ends of an output, and again from those
    of the picture that they give. Where that is worse, the next step is half as long.
    """
    gain, shift, part, best = 1.0, 0.0, 1.0, start
    if not np.array_equal(_bytes(base), start.pixels):
        best, passes = search.measured(_bytes(base)), passes - 1
    for _ in range(passes):
        if best.error < GOOD or not best.high - best.low > _FLAT:
            break
        ratio, offset = _step(search, best)
        next_gain = gain + part * (ratio * gain - gain)
        next_shift = shift + part * (ratio * shift + offset - shift)
        tried = search.measured(_bytes(base * np.float32(next_gain) + np.float32(next_shift)))
        if tried.error < best.error:
            gain, shift, part, best = next_gain, next_shift, 1.0, tried
        else:
            part /= 2
    return best


def _step(search: Search, picture: Representative) -> tuple[float, float]:
    """The factor and the summand, in bytes' 0..1, that a linear network needs to span what is wanted."""
    black, white = search.ends
    ratio = (search.high - search.low) / (picture.high - picture.low)
    ratio = float(np.clip(ratio, 1 / _LARGEST_RATIO, _LARGEST_RATIO))
    wanted, found = (search.low + search.high) / 2, (picture.low + picture.high) / 2
    return ratio, (wanted - black - ratio * (found - black)) / (white - black)


def _patched(base: Base, low: float, high: float, rng: np.random.Generator) -> Base:
    """The picture, its contrast taken down so that its output leaves room, with a black and a white patch.

    low, high: the ends of its output, 0..1. The patches lie in two quarters of the picture at random, and their edges
    are ramps. A picture too small for them stays.
    """
    height, width = base.shape[:2]
    if min(height, width) < _LEAST_PATCHED:
        return base
    ratio = min(1.0, (1 - 2 * _ROOM) / max(high - low, _FLAT))
    shift = float(np.clip(0.0, _ROOM - ratio * low, 1 - _ROOM - ratio * high))
    made = base * np.float32(ratio) + np.float32(shift)
    for level, quarter in enumerate(rng.permutation(4)[:2]):
        rows, columns = (_profile(side, half, rng) for side, half in ((height, quarter // 2), (width, quarter % 2)))
        mask = np.multiply.outer(rows, columns)[:, :, None]
        made += mask * (np.float32(level) - made)
    return made


def _profile(side: int, half: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """How much of a patch there is along a side of a picture, 0..1: a ramp up and one down, in one half of the side."""
    room = side // 2
    length = max(int(room * _PATCH), 3)
    first = half * room + int(rng.integers(room - length + 1))
    inside = np.minimum(np.arange(side) - first, first + length - 1 - np.arange(side)) + 1
    ramp = np.clip(inside / (max(int(length * _EDGE), 1) + 1), 0.0, 1.0)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)


def _bytes(picture: Base) -> U8:
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)
