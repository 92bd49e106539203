"""Measure an upscaler on a test set, beside bicubic and, where given, beside the FP32 network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.evaluation import metrics
from tvmsr.evaluation.dataset import Pair
from tvmsr.imaging.bicubic import imresize

U8Image = NDArray[np.uint8]

#: LR bytes (H, W, 3) to: RGB or Y bytes, or floats 0..1 (values outside are clipped), (r*H, r*W, 3) or (r*H, r*W).
Upscaler = Callable[[U8Image], NDArray[Any]]
#: Called with the number of pictures done and the number of all.
Progress = Callable[[int, int], object]


class PairSet(Protocol):
    """Pairs that can be counted and read one after the other; a list of them is one."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Pair]: ...


@dataclass(frozen=True)
class Row:
    """The figures of one picture: psnr_* in dB, ssim_* in -1..1, by key.

    choice: of bits, that it had; "" where there is one.
    """

    name: str
    figures: Mapping[str, float]
    choice: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What was measured, per picture in the order of the set, and the means over the pictures.

    notes: what happened on the way that the user should know, such as a device that failed.
    """

    scale: int
    protocol: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> dict[str, float]:
        """Arithmetic mean over the pictures of every figure; inf where one picture was met exactly."""
        return {key: float(np.mean([row.figures[key] for row in self.rows])) for key in self.rows[0].figures}

    @property
    def choices(self) -> dict[str, int]:
        """How many pictures had each bit choice that any had, most first; none where there is one."""
        return dict(Counter(row.choice for row in self.rows if row.choice).most_common())

    def as_json(self) -> dict[str, Any]:
        """{"images": [{"name": ..., figures}], "mean": {figures}}; an infinite PSNR is null: JSON has no infinity.

        Of several bit choices: "choice" of each image, and in "choices" how many had each.
        """
        images = [
            {"name": row.name, **_finite(row.figures), **({"choice": row.choice} if row.choice else {})}
            for row in self.rows
        ]
        counted = {"choices": self.choices} if self.choices else {}
        return {
            "scale": self.scale,
            "protocol": self.protocol,
            "images": images,
            "mean": _finite(self.mean),
            "notes": list(self.notes),
            **counted,
        }


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if np.isfinite(value) else None for key, value in figures.items()}


def to_bytes(output: NDArray[Any]) -> U8Image:
    """What a screen would show of a network's output: bytes as they are, floats times 255, rounded and clipped."""
    if output.dtype == np.uint8:
        return output
    if not np.isfinite(output).all():
        raise UsageError("the network gave values that are not finite; it cannot be measured")
    return np.clip(np.rint(output.astype(np.float64) * 255), 0, 255).astype(np.uint8)


def _figures(protocol: metrics.Protocol, output: NDArray[Any], hr: U8Image, scale: int, who: str) -> dict[str, float]:
    """PSNR and SSIM of one output; a Y output (H, W) is compared with the Y of `hr`."""
    sr = to_bytes(output)
    if sr.shape[:2] != hr.shape[:2]:
        raise UsageError(
            f"the output is {sr.shape[1]} x {sr.shape[0]}, the original {hr.shape[1]} x {hr.shape[0]} pixels"
        )
    if sr.ndim == 2 and protocol.needs_rgb:
        raise UsageError("a network that computes Y alone has no RGB to measure; use --protocol y")
    target = metrics.to_luma(hr) if sr.ndim == 2 else hr
    return {
        f"{who}psnr_{protocol.name}": protocol.psnr(sr, target, scale),
        f"{who}ssim_{protocol.name}": protocol.ssim(sr, target, scale),
    }


def measure_one(pair: Pair, upscale: Upscaler, scale: int, protocol: metrics.Protocol, fp32: Upscaler | None) -> Row:
    """The figures of an upscaler for one pair, beside those of bicubic and, where it is given, of `fp32`."""
    try:
        figures = _figures(protocol, upscale(pair.lr), pair.hr, scale, "")
        figures |= _figures(protocol, imresize(pair.lr, scale), pair.hr, scale, "bicubic_")
        if fp32 is not None:
            figures |= _figures(protocol, fp32(pair.lr), pair.hr, scale, "fp32_")
    except UsageError as error:
        raise UsageError(f"{pair.name}: {error}") from None
    return Row(pair.name, figures)


def evaluate(
    upscale: Upscaler,
    pairs: PairSet,
    scale: int,
    protocol: str = "y",
    fp32: Upscaler | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure `upscale` on every pair by the named protocol ("y" or "rgb"), `scale` border pixels dropped.

    Figures: psnr_y, ssim_y (or _rgb), the same of bicubic with the prefix bicubic_, and, where `fp32` is given, of that
    upscaler with the prefix fp32_.
    """
    chosen = metrics.protocol_named(protocol)

    total = len(pairs)
    rows = []
    for done, pair in enumerate(pairs):
        if progress is not None:
            progress(done, total)
        rows.append(measure_one(pair, upscale, scale, chosen, fp32))
    if not rows:
        raise UsageError("there is nothing to measure: the test set is empty")
    if progress is not None:
        progress(total, total)
    return Evaluation(scale, chosen.name, tuple(rows))
