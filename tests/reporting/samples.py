"""Reports made by hand: what a page has to show, without compiling anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvmsr.reporting.crops import crops
from tvmsr.reporting.facts import (
    BICUBIC,
    FP32,
    ORIGINAL,
    Choice,
    Choosing,
    Figures,
    Layer,
    Measured,
    Report,
    Source,
    Tried,
    Variant,
)
from tvmsr.reporting.images import thumbnail

#: A name that would be an element of the page.
HOSTILE = "</script><img src=x onerror=\"alert('1')\"><!--"

SOURCES = (
    Source(BICUBIC, "bicubic", "as MATLAB enlarges"),
    Source(FP32, "FP32", "the network as it is"),
    Source("v0", "auto:a6w4", "cfqp, for host", variant=True),
    Source("v1", "8", "8 bits", variant=True),
    Source(ORIGINAL, "original", "the HR picture"),
)

TRIED = (Tried(1.0, 8.0, 8.0, 0.01), Tried(0.625, 6.5, 4.25, 0.0875, 3.5, chosen=True))


def picture(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    """A smooth one, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows * rng.uniform(0.02, 0.2) + columns * rng.uniform(0.02, 0.2)) for _ in range(3)]
    return (127 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def noisy(pixels: np.ndarray, seed: int, most: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-most, most + 1, pixels.shape)
    return np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)


def measured(number: int, name: str, complexity: int, choice: str, *, shown: bool = True) -> Measured:
    hr = picture(number)
    made = {
        ORIGINAL: hr,
        BICUBIC: noisy(hr, 1, 12),
        FP32: noisy(hr, 2, 4),
        "v0": noisy(hr, 3, 6),
        "v1": noisy(hr, 4, 5),
    }
    figures = {
        BICUBIC: Figures(28.25 + number, 0.8),
        FP32: Figures(float("inf"), 1.0),
        "v0": Figures(31.5 + number, 0.9, 2.5 + number, choice),
        "v1": Figures(32.5 + number, 0.95, 12.25 + number),
    }
    parts = crops(made, ("v0",), FP32) if shown else ()
    return Measured(name, 100, 80, complexity, figures, parts, thumbnail(hr) if shown else None)


def layer(name: str, activations: int, weights: int | None, algorithm: str, saturation: float | None = 0.01) -> Layer:
    return Layer(name, activations, weights, algorithm, "3x3 8 to 8", 0.5, saturation, "as it is cheapest")


def report(names: Sequence[str] = ("a", HOSTILE, "c"), *, shown: bool = True) -> Report:
    choices = tuple(
        Choice(name, (layer("first", 8, 8, "direct"), layer("last", bits, 4, "winograd2", None)), (8 + bits) / 2, 6.0)
        for name, bits in (("base", 6), ("low", 4), ("high", 8))
    )
    plain = Choice("default", (layer("first", 8, 8, "direct"), layer("pool", 8, None, "max pool")), 8.0, 8.0)
    facts = (("method", "cfqp"), ("seed", "3"))
    limits = Choosing(6_000, 60_000, ("low", "base", "high"))
    pictures = tuple(
        measured(number, name, 3_000 * 8**number, ("low", "base", "high")[min(number, 2)], shown=shown)
        for number, name in enumerate(names)
    )
    return Report(
        model="net <b>",
        scale=2,
        data="pictures & more",
        protocol="y",
        sources=SOURCES,
        pictures=pictures,
        variants=(
            Variant(
                "v0",
                "avx2",
                2,
                4096,
                choices,
                limits,
                facts,
                ("a note <i>",),
                tried=TRIED,
                unit="modelled time on avx2",
            ),
            Variant("v1", "avx2", 2, 8192, (plain,), None, facts, ()),
        ),
        left=BICUBIC,
        right="v0",
        reference=FP32,
        facts=(("command", "tvmsr report 'a b.so' --data <x>"),),
        notes=("beware <u>",),
    )
