"""What an artifact's bytes are held against: the reference executor, or checksums that its compiler left in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.imaging.colour import gray_of_rgb, resize_bytes
from tvmsr.quant.checks import check_picture, code_checksum
from tvmsr.quant.picture import fitted, upscale_picture
from tvmsr.quant.reference import run_tensors
from tvmsr.quant.tiles import blend

if TYPE_CHECKING:
    from tvmsr.artifact.manifest import Manifest
    from tvmsr.quant.adaptive import Choosing
    from tvmsr.quant.integer import IntegerGraph
    from tvmsr.runtime.results import StepSum

U8 = NDArray[np.uint8]

#: Multiplications that the largest picture may cost (an emulator does some 10**9 a second), and its least pixels.
_LARGEST_MACS, _LEAST_AREA = 4e8, 24 * 16

#: Rows of a strip of two tiles, and how many times the work of the largest picture it may cost.
_STRIP, _MOST_TIMES = 16, 4

#: Where the crop of the bundled picture begins: fine detail and flat areas.
_CROP = (110, 180)


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture, uint8 (H, W, 3), (H, W, 4) or (H, W), and what must come out: its bytes, or their checksum.

    choice: the bit choice that makes it, which is forced, or what the artifact must choose itself. mixed: its tiles
    have several, of which that is the most frequent one.
    """

    name: str
    picture: U8
    want: U8 | int
    choice: int = 0
    forced: bool = True
    mixed: bool = False

    @property
    def size(self) -> str:
        return f"{self.picture.shape[1]}x{self.picture.shape[0]}"

    def wrong(self, got: U8) -> str:
        """How `got` differs, "" where it does not."""
        if isinstance(self.want, int):
            return "" if code_checksum(got) == self.want else "the checksum differs"
        different = int(np.count_nonzero(got != self.want))
        return f"{different} of {self.want.size} bytes differ" if different else ""


REPORT = "please report this with the plan"


class Proof(Protocol):
    """kind: "reference" or "checksums"; samples: the tallest picture is the last one."""

    @property
    def kind(self) -> str:
        """What the bytes are held against."""

    @property
    def samples(self) -> Sequence[Sample]:
        """Pictures with their results."""

    @property
    def advice(self) -> str:
        """What the user should do where a byte differs."""

    def explain(self, sample: Sample, sums: Sequence[StepSum]) -> str:
        """Where a wrong result began, from the trace of an upscale of the sample."""


class ReferenceProof:
    """Against the reference executor, on random and real pictures, extreme codes, and all formats."""

    kind = "reference"

    def __init__(
        self, graphs: Sequence[IntegerGraph], choosing: Choosing, manifest: Manifest, seed: int, advice: str = REPORT
    ) -> None:
        """graphs: one a bit choice."""
        self._graphs, self.advice = graphs, advice
        least = (manifest.minimum_height, manifest.minimum_width)
        rng = np.random.default_rng(seed)
        named = [
            *_in_tiles(choosing.tile, least, manifest.macs_per_pixel, rng),
            *_pictures(least, manifest.macs_per_pixel, rng),
        ]
        self.samples = tuple(sample for name, picture in named for sample in _samples(graphs, choosing, name, picture))

    def explain(self, sample: Sample, sums: Sequence[StepSum]) -> str:
        """Name the first step, and the tensor it stores, whose codes are not the reference's."""
        if sample.mixed:
            return "its tiles have several choices: force one to see in which layer it begins"
        graph = self._graphs[sample.choice]
        tensors = run_tensors(graph, fitted(np.ascontiguousarray(_rgb(sample.picture)), graph.sizes))
        for step in sums:
            codes = tensors[step.tensor][:, :, step.first : step.first + step.channels]
            if code_checksum(codes) != step.sum:
                last = step.first + step.channels - 1
                return (
                    f"the first layer that differs is {step.step!r}: {step.tensor!r}, channels {step.first} to {last}"
                )
        return "every layer's codes are right in a traced run, so the difference lies in the conversion of the output"


class ChecksumProof:
    """Against the checksums of the reference executor's results that the manifest holds: needs no network."""

    kind = "checksums"
    advice = REPORT

    def __init__(self, manifest: Manifest, artifact: object) -> None:
        if not manifest.checks:
            raise UsageError(f"{artifact}: holds no checksums of results; give --model to compare with the reference")
        ordered = sorted(manifest.checks, key=lambda check: check.height)
        self.samples = tuple(
            Sample(f"seed {c.seed}", check_picture(c.seed, c.width, c.height), int(c.checksum, 16), c.choice)
            for c in ordered
        )

    def explain(self, sample: Sample, sums: Sequence[StepSum]) -> str:
        """Without the network nobody knows what a layer should hold."""
        return "give --model to see in which layer it begins"


def _samples(graphs: Sequence[IntegerGraph], choosing: Choosing, name: str, picture: U8) -> Iterator[Sample]:
    """A picture with each choice forced, and, where there are several, with its own."""
    rgb = np.ascontiguousarray(_rgb(picture))
    made = [upscale_picture(graph, rgb) for graph in graphs]
    wanted = [_as_format(result, picture) for result in made]
    if len(graphs) == 1:
        yield Sample(name, picture, wanted[0])
        return
    for choice, (called, want) in enumerate(zip(choosing.names, wanted, strict=True)):
        yield Sample(f"{name}, choice {called}", picture, want, choice)
    of_tiles = choosing.of_tiles(picture)
    own = np.unique(of_tiles)
    if len(own) == 1:
        yield Sample(f"{name}, its own choice", picture, wanted[own[0]], int(own[0]), forced=False)
        return
    blended = blend({int(k): made[k] for k in own}, of_tiles, choosing.tile, graphs[0].scale)
    most = int(np.bincount(of_tiles.reshape(-1)).argmax())
    yield Sample(f"{name}, its tiles' own choices", picture, _as_format(blended, picture), most, False, mixed=True)


def _rgb(picture: U8) -> U8:
    """The colours that a network sees of a picture: (H, W, 3)."""
    return np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture[:, :, :3]


def _as_format(result: U8, picture: U8) -> U8:
    """The bytes that any artifact gives for a picture of any format, of the RGB bytes of the result."""
    if picture.ndim == 2:
        return gray_of_rgb(result)
    if picture.shape[2] == 4:
        alpha = resize_bytes(np.ascontiguousarray(picture[:, :, 3]), result.shape[0] // picture.shape[0])
        return np.dstack([result, alpha])
    return result


def _in_tiles(
    tile: int, least: tuple[int, int], macs_per_pixel: float, rng: np.random.Generator
) -> Iterator[tuple[str, U8]]:
    """Where tiles choose, a strip of two of them, the first flat, the second busy; none where that takes too long."""
    width, area = max(2 * tile + 3, least[1]), _LARGEST_MACS / max(macs_per_pixel, 1.0)
    height = max(least[0], min(int(area / width), _STRIP), 1)
    if tile and height * width <= _MOST_TIMES * area:
        picture = np.full((height, width, 3), 90, np.uint8)
        picture[:, tile:] = rng.integers(0, 256, (height, width - tile, 3), dtype=np.uint8)
        yield "two tiles", picture


def _pictures(least: tuple[int, int], macs_per_pixel: float, rng: np.random.Generator) -> list[tuple[str, U8]]:
    """Pictures by name. least: the smallest (height, width) that the network takes."""
    from tvmsr.imaging.picture import demo_picture

    def sized(height: int, width: int) -> tuple[int, int]:
        return max(height, least[0]), max(width, least[1])

    def noise(height: int, width: int, channels: int = 3) -> U8:
        return rng.integers(0, 256, (*sized(height, width), channels), dtype=np.uint8)

    area = min(max(_LARGEST_MACS / max(macs_per_pixel, 1.0), _LEAST_AREA), 96 * 64)
    tall = sized(round((area * 1.5) ** 0.5), round((area / 1.5) ** 0.5))
    real = demo_picture()[_CROP[0] : _CROP[0] + tall[0], _CROP[1] : _CROP[1] + tall[1]]
    small = np.ascontiguousarray(real[: sized(13, 1)[0], : sized(1, 17)[1]])
    bare = sized(9, 11)
    return [
        ("one pixel", noise(1, 1)),
        ("odd sizes", noise(7, 5)),
        ("noise", noise(19, 31)),
        ("extremes", noise(17, 23) // 128 * 255),
        ("black", np.zeros((*bare, 3), np.uint8)),
        ("white", np.full((*bare, 3), 255, np.uint8)),
        ("bottom up", np.pad(noise(11, 13), ((0, 0), (0, 3), (0, 0)))[::-1, :-3]),
        ("RGBA", np.dstack([small, noise(small.shape[0], small.shape[1], 1)])),
        ("gray", np.ascontiguousarray(small[:, :, 1])),
        ("real", np.ascontiguousarray(real)),
    ]
