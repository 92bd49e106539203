"""One network: compiled in several ways, each run on the test sets beside FP32, and where each is worst."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from judging.networks import SETS, Row
from judging.worst import Picture, Place, decibels, error_at, save, side_by_side, worst_place
from tvmsr.frontend.choices import Overrides

#: What is compiled, and how that differs from the default options. `strict` only where `int8` has wider layers.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "int8": {},
    "strict": {"strict_bits": True},
    "ordinary": {"method": "clip-minmax"},
}
#: Whose worst windows are looked for.
SHOWN = ("ordinary", "int8")

Upscale = Callable[[Picture], Any]


@dataclass(frozen=True)
class Folders:
    """weights: checkpoints; images: set5, set14, train; keep: where artifacts and windows go, None for nowhere."""

    weights: Path
    images: Path
    keep: Path | None


def measure(row: Row, folders: Folders, scratch: Path) -> dict[str, Any]:
    """Figures of a network, as JSON has them."""
    from tvmsr.commands.evaluate import fp32_upscaler
    from tvmsr.commands.source import open_model

    said = Overrides(scale=row.scale)
    made, files = _compile(row, folders, said, scratch)
    model = open_model(row.file(folders.weights), said)
    upscalers: dict[str, Upscale] = {"fp32": fp32_upscaler(model)} | {way: _loaded(path) for way, path in files.items()}
    means, places = {}, {}
    for name in SETS:
        means[name], found = _set(upscalers, folders.images / name, model.scale, name)
        places |= {way: place for way, place in found.items() if way not in places or place.worse(places[way])}
    windows = {way: _shown(found, row, way, folders.keep) for way, found in places.items()}
    return {"name": row.name, **made, "means": means, "windows": windows}


def _compile(row: Row, folders: Folders, said: Overrides, scratch: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    import tvmsr

    out = folders.keep or scratch
    out.mkdir(parents=True, exist_ok=True)
    made: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for way, changes in WAYS.items():
        if way == "strict" and not made["wide"]:
            continue
        files[way] = out / f"{row.stem}-{way}.so"
        built = tvmsr.compile(
            row.file(folders.weights),
            out=files[way],
            calib=folders.images / "train",
            hr=True,
            overrides=said,
            **changes,
        )
        if way == "int8":
            made = {
                "size": built.size,
                "weights_size": built.weights_size,
                "seconds": built.seconds,
                "level": built.levels[0],
                **wide_layers(tvmsr.inspect(files[way]).data),
            }
    return made, files


def wide_layers(manifest: dict[str, Any]) -> dict[str, float]:
    """How many convolutions read more than 8 bits; their multiplications for a pixel, and all."""
    layers = [layer for layer in manifest["levels"][0]["layers"] if layer["macs_per_pixel"]]
    wide = [layer for layer in layers if int(layer["bits"].removeprefix("a").split("w")[0]) > 8]
    wide_macs, macs = (sum(float(layer["macs_per_pixel"]) for layer in some) for some in (wide, layers))
    return {"wide": len(wide), "wide_macs": wide_macs, "macs": macs}


def _loaded(path: Path) -> Upscale:
    import tvmsr

    return tvmsr.load(path).upscale


@dataclass(frozen=True)
class _Found:
    """The worst window so far, and what all made of it."""

    place: Place
    windows: Mapping[str, Picture]
    errors: Mapping[str, float]

    def worse(self, other: _Found) -> bool:
        return self.place.error > other.place.error


def _set(
    upscalers: Mapping[str, Upscale], folder: Path, scale: int, name: str
) -> tuple[dict[str, float], dict[str, _Found]]:
    """Means of a test set by key, and its worst windows by way."""
    from tvmsr.evaluation.dataset import load_pairs
    from tvmsr.evaluation.evaluate import to_bytes
    from tvmsr.imaging.bicubic import imresize

    figures: list[dict[str, float]] = []
    worst: dict[str, _Found] = {}
    for pair in load_pairs(folder, scale):
        outputs = {way: to_bytes(upscale(pair.lr)) for way, upscale in upscalers.items()}
        figures.append(_figures({**outputs, "bicubic": imresize(pair.lr, scale)}, pair.hr, scale))
        for way in SHOWN:
            place = worst_place(f"{name}/{pair.name}", outputs[way], outputs["fp32"])
            if way in worst and place.error <= worst[way].place.error:
                continue
            windows = {"hr": place.of(pair.hr), **{other: place.of(pixels) for other, pixels in outputs.items()}}
            errors = {other: error_at(place, outputs[other], outputs["fp32"]) for other in SHOWN}
            worst[way] = _Found(place, windows, errors)
    return {key: float(np.mean([one[key] for one in figures])) for key in figures[0]}, worst


def _figures(outputs: Mapping[str, Picture], hr: Picture, scale: int) -> dict[str, float]:
    """PSNR and SSIM on Y against the original by way, and PSNR against what FP32 gives, on Y and, of RGB, on RGB."""
    from tvmsr.evaluation.metrics import psnr_rgb, psnr_y, ssim_y, to_luma

    figures: dict[str, float] = {}
    for way, pixels in outputs.items():
        target = to_luma(hr) if pixels.ndim == 2 else hr
        figures |= {f"{way}_psnr_y": psnr_y(pixels, target, scale), f"{way}_ssim_y": ssim_y(pixels, target, scale)}
    for way in set(outputs) & set(WAYS):
        figures[f"{way}_from_fp32_y"] = psnr_y(outputs[way], outputs["fp32"], scale)
        if outputs["fp32"].ndim == 3:
            figures[f"{way}_from_fp32_rgb"] = psnr_rgb(outputs[way], outputs["fp32"], scale)
    return figures


def _shown(found: _Found, row: Row, way: str, keep: Path | None) -> dict[str, Any]:
    """A worst window as JSON has it; the windows themselves, original, FP32, ordinary and ours, into a file."""
    if keep is not None:
        pictures = [found.windows[one] for one in ("hr", "fp32", *SHOWN)]
        save(keep / "windows" / f"{row.name.replace(':', '-')} worst of {way}.png", side_by_side(pictures))
    return {**asdict(found.place), "psnr": {other: decibels(error) for other, error in found.errors.items()}}
