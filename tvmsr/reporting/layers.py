"""Bits and algorithms of an artifact's layers, and how it was made: out of its manifest and its plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmsr.reporting.facts import Choice, Choosing, Layer, Tried
from tvmsr.reporting.words import plain

if TYPE_CHECKING:
    from tvmsr.artifact.manifest import LayerEntry, LevelEntry, Manifest
    from tvmsr.quant.adabm.figures import Figures
    from tvmsr.quant.plan import Plan

#: By choice, then by tensor: share of codes at an end of their range.
Saturation = Mapping[str, Mapping[str, float]]

_BITS = re.compile(r"a(\d+)(?:w(\d+))?")
#: A number of a frontier is less than this.
_MOST_TOLD = 1e9
#: Characters of a reason: its first clause says what was chosen and why.
_MOST = 120


def choices_of(manifest: Manifest, level: str, saturation: Saturation) -> tuple[Choice, ...]:
    """Every bit choice with its layers, at one CPU level."""
    entry = next(one for one in manifest.levels if one.name == level)
    return tuple(_choice(name, entry, saturation.get(name, {})) for name in manifest.choices)


def _choice(name: str, level: LevelEntry, saturation: Mapping[str, float]) -> Choice:
    entries = [layer for layer in level.layers if layer.choice in ("", name)]
    whole = sum(entry.macs_per_pixel for entry in entries) or 1.0
    layers = tuple(_layer(entry, name, whole, saturation) for entry in entries)
    convs = [layer for layer in layers if layer.weights is not None]
    return Choice(
        name,
        layers,
        float(np.mean([layer.activations for layer in convs])) if convs else 0.0,
        float(np.mean([layer.weights for layer in convs if layer.weights is not None])) if convs else 0.0,
    )


def _layer(entry: LayerEntry, choice: str, whole: float, saturation: Mapping[str, float]) -> Layer:
    bits = _BITS.fullmatch(entry.bits)
    shares = [saturation[stored.tensor] for stored in entry.stored if stored.tensor in saturation]
    return Layer(
        name=entry.name.removeprefix(f"{choice}:") if entry.choice else entry.name,
        activations=int(bits[1]) if bits else 0,
        weights=int(bits[2]) if bits and bits[2] else None,
        algorithm=entry.algorithm,
        shape=entry.shape,
        macs=entry.macs_per_pixel / whole,
        saturation=max(shares) if shares else None,
        why=entry.reason.split(";")[0][:_MOST],
    )


def choosing(manifest: Manifest) -> Choosing | None:
    """None where an artifact has one choice."""
    if manifest.adaptive is None:
        return None
    names = dict(zip(manifest.adaptive.factors, manifest.choices, strict=False))
    base = names.get(0, manifest.choices[0])
    adaptive = manifest.adaptive
    return Choosing(adaptive.low, adaptive.high, (names.get(-1, base), base, names.get(1, base)), adaptive.tile)


def made_of(manifest: Manifest, plan: Plan, size: int) -> tuple[tuple[str, str], ...]:
    """How an artifact was made: label and value."""
    from tvmsr.quant.verdict import facts as loss

    crops = f", {plan.calibration.crops} crops of {plan.calibration.crop_size}" if plan.calibration.crops else ""
    rows = [
        ("bits", plan.bits or manifest.bits),
        ("method", plan.method),
        ("settings", _settings(plan.settings)),
        ("calibrated with", f"{plan.calibration.description}{crops}".removeprefix(", ")),
        ("seed", str(plan.seed)),
        *loss(plan.judged),
        ("target", f"{manifest.target} ({', '.join(level.name for level in manifest.levels)})"),
        ("file", f"{size:,} bytes, of which weights {manifest.weights_size:,}"),
        ("network", f"{manifest.model}, {manifest.family}, x{manifest.scale}, {manifest.colour}"),
        ("licence of the weights", manifest.weights_licence),
        ("checksum of the network", manifest.model_checksum),
        ("checksum of the plan", manifest.plan_checksum),
        ("made by", f"tvmsr {manifest.tvmsr}{_tools(manifest.tools)}"),
        ("compiler", manifest.compiler),
    ]
    return tuple((label, plain(value)) for label, value in rows if value)


def average_bits(found: Figures) -> str:
    """One line: FAB with and without what stays at 8 bits, and bit operations (tvmsr.quant.adabm.figures)."""
    return (
        f"FAB {found.fab:.2f}, {found.adapted_fab:.2f} without layers kept at 8 bits; "
        f"BitOPs {100 * found.bit_operations:.1f} % of those at 8 bits; "
        f"{100 * found.at_8_bits:.1f} % of the MACs have 8 bits or more"
    )


def tried(plan: Plan) -> tuple[tuple[Tried, ...], str]:
    """The plans that its bits were chosen among, and what their cost is a share of.

    () and "" where it says none, or what are no numbers: a plan may be edited.
    """
    from tvmsr.quant.adabm.frontier import Frontier

    found = Frontier.of(plan)
    if found is None or not all(_is_number(value) for one in found.points for value in vars(one).values()):
        return (), ""
    rows = (
        Tried(one.cost, one.activations, one.weights, one.drop, one.milliseconds, one.chosen) for one in found.points
    )
    return tuple(rows), plain(found.unit)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and abs(value) < _MOST_TOLD)


def _settings(settings: Mapping[str, Any]) -> str:
    """In words, those inside others in brackets; what was tried on the way is a table of its own."""
    from tvmsr.quant.adabm.frontier import POINTS

    said = []
    for key, value in settings.items():
        if value is None or value in ({}, [], "") or key == POINTS:
            continue
        if isinstance(value, Mapping):
            said.append(f"{key} ({_settings(value)})")
        elif isinstance(value, bool):
            said.append(f"{key} {'yes' if value else 'no'}")
        else:
            said.append(f"{key} {' '.join(map(str, value)) if isinstance(value, list) else value}")
    return ", ".join(said)


def _tools(tools: Mapping[str, str]) -> str:
    return "".join(f", {name} {version}" for name, version in tools.items())
