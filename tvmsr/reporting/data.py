"""A report as JSON: what its page reads, and what `tvmsr report --json` prints."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tvmsr.reporting.facts import Crop, Figures, Measured, Report, Variant
from tvmsr.reporting.images import Embedded

FORMAT_VERSION = 1

#: Digits behind the point.
_DIGITS = {"psnr": 4, "ssim": 5, "milliseconds": 3, "macs": 5, "saturation": 6}


def data_of(report: Report, embedded: Embedded | None = None) -> dict[str, Any]:
    """All but the pixels. embedded: what a page shows; else no crops are told.

    A crop's images: by source, the id of the page's element that shows it, which several may share.
    PSNR in dB (null where it is infinite), SSIM in -1..1, shares 0..1; places and sizes of crops in pixels of the
    enlarged picture, of pictures in those of the LR one.
    """
    shown = embedded or Embedded()
    return {
        "format": "tvmsr-report",
        "version": FORMAT_VERSION,
        "model": report.model,
        "scale": report.scale,
        "data": report.data,
        "protocol": report.protocol,
        "left": report.left,
        "right": report.right,
        "reference": report.reference,
        "sources": [asdict(source) for source in report.sources],
        "pictures": [_picture(number, one, shown) for number, one in enumerate(report.pictures)],
        "means": {key: _figures(report.mean(key)) for key in report.pictures[0].figures},
        "variants": [_variant(one) for one in report.variants],
        "facts": dict(report.facts),
        "notes": list(report.notes),
    }


def image_id(number: int, place: int, key: str) -> str:
    """Of the element that shows a crop as a source made it."""
    return f"c-{number}-{place}-{key}"


def _picture(number: int, one: Measured, shown: Embedded) -> dict[str, Any]:
    crops = [
        {"kind": crop.kind, **asdict(crop.window), "images": _images(number, place, crop, shown)}
        for place, crop in enumerate(shown.crops.get(number, ()))
    ]
    return {
        "name": one.name,
        "width": one.width,
        "height": one.height,
        "complexity": one.complexity,
        "figures": {key: _figures(row) for key, row in one.figures.items()},
        "crops": crops,
    }


def _images(number: int, place: int, crop: Crop, shown: Embedded) -> dict[str, str]:
    return {key: image_id(number, place, shown.same.get((number, place, key), key)) for key in crop.pixels}


def _figures(row: Figures) -> dict[str, Any]:
    return _rounded(asdict(row))


def _variant(one: Variant) -> dict[str, Any]:
    plain = {**asdict(one), "facts": dict(one.facts)}
    for choice in plain["choices"]:
        choice["layers"] = [_rounded(layer) for layer in choice["layers"]]
    return plain


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _short(value, _DIGITS[key]) if key in _DIGITS else value for key, value in row.items()}


def _short(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)


def script_safe(data: Mapping[str, Any]) -> str:
    """JSON in ASCII that ends no element of HTML and begins none, whatever its texts are."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
