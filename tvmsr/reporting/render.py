"""The page: one file with its style, its script and its pictures, which reaches for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from tvmsr.reporting import charts, words
from tvmsr.reporting.crops import KINDS
from tvmsr.reporting.data import data_of, image_id, script_safe
from tvmsr.reporting.facts import BICUBIC, FP32, Report, Variant
from tvmsr.reporting.images import BUDGET, Embedded, embed

#: Filters of the template.
_FILTERS: Mapping[str, Callable[..., str]] = {
    "decibels": words.decibels,
    "likeness": words.likeness,
    "milliseconds": words.milliseconds,
    "percent": words.percent,
    "signed": words.signed,
    "kilobytes": words.kilobytes,
    "count": words.count,
}
#: Parts of the one script, a module.
_SCRIPT = ("common.js", "difference.js", "viewer.js", "inputs.js", "layers.js")
#: Left for what the sizes below do not know: numbers of crops in the data.
_MARGIN = 20_000


@dataclass(frozen=True)
class Page:
    """text: all of it; side: of the crops in it, at most."""

    text: str
    side: int


def rendered(report: Report, budget: int = BUDGET) -> Page:
    """At most `budget` bytes, unless the texts alone are more: crops are as large as that allows."""
    bare = _page(report, Embedded())
    embedded = embed(report.pictures, budget - len(bare.encode()) - _MARGIN)
    return Page(_page(report, embedded), embedded.side)


def _page(report: Report, embedded: Embedded) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("tvmsr.reporting", "page"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    style, script = _part("report.css"), "".join(map(_part, _SCRIPT))
    text = environment.get_template("report.html.j2").render(
        report=report,
        embedded=embedded,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=script_safe(data_of(report, embedded)),
        kinds=KINDS,
        charts=charts,
        distributions=charts.distributions(report),
        summary=_summary(report),
        image_id=image_id,
        shown=_shown(report, embedded),
    )
    return text.encode("utf-8", "backslashreplace").decode()  # texts of files may hold halves of characters


def _part(name: str) -> str:
    return (resources.files("tvmsr.reporting") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an element's text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _summary(report: Report) -> list[dict[str, Any]]:
    """A row a source: its means, and what they are beside bicubic and FP32."""
    means = {key: report.mean(key) for key in report.pictures[0].figures}
    by_key = {variant.key: variant for variant in report.variants}
    of_forced = {key: variant for variant in report.variants for key in variant.forced}
    slowest = max((row.milliseconds for row in means.values() if row.milliseconds is not None), default=None)
    rows = []
    for source in report.sources:
        if source.key not in means:
            continue
        mean, variant = means[source.key], by_key.get(source.key) or of_forced.get(source.key)
        exact = means.get(FP32) if source.key not in (FP32, BICUBIC) else None
        rows.append(
            {
                "source": source,
                "mean": mean,
                "gain": None if source.key == BICUBIC else mean.psnr - means[BICUBIC].psnr,
                "drop": None if exact is None else mean.psnr - exact.psnr,
                "share": mean.milliseconds / slowest if mean.milliseconds and slowest else None,
                "bits": None if variant is None else _bits(report, variant, source.key),
                "size": variant.size if variant is not None and source.key in by_key else None,
                "variant": variant,
            }
        )
    return rows


def _bits(report: Report, variant: Variant, key: str) -> float:
    """Mean bits of activations over the pictures, each by its choice."""
    bits = {choice.name: choice.activations for choice in variant.choices}
    chosen = [picture.figures[key].choice or variant.choices[0].name for picture in report.pictures]
    return sum(bits[name] for name in chosen) / len(chosen)


def _shown(report: Report, embedded: Embedded) -> str:
    """Which pictures have crops, in words."""
    count, every = len(embedded.crops), len(report.pictures)
    if not count:
        return "none: there is no room for them; give fewer variants"
    which = "all" if count == every else f"{count} of {every}, evenly from the least complexity to the most"
    return f"{which}; crops of at most {embedded.side} pixels a side, without loss"
