"""The profile of an artifact: what every layer takes, beside what the machine can do at best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tvmsr.hardware.peaks import Peaks
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.spec import Tile

if TYPE_CHECKING:
    from tvmsr.runtime import StepTime

#: What the driver calls its conversions of pixels, and choosing bits by them, which are no layers.
CONVERSIONS = ("choice", "input", "output")


@dataclass(frozen=True)
class LayerTime:
    """One step of a level, for one picture; what is not known, or has no meaning for it, is None, 0 or "".

    milliseconds: the best of several runs. share: of the time of all steps. gmac: multiply-adds of the direct
    convolution in 1e9, gmacs: a second. multiplies: those that are really done, as a share of them. useful: share of
    the primitive's lanes that is not padding. peak: of the primitive, GMAC/s; of_peak: share of it that the multiplies
    really done reach. of_direct: gmacs as a share of the direct convolution's best primitive, beyond 1 where fewer
    multiplies do. bytes: of maps read and stored, and of weights. intensity: multiply-adds a byte.
    """

    name: str
    kernel: str
    milliseconds: float
    gmacs: float
    share: float = 0.0
    shape: str = ""
    bits: str = ""
    algorithm: str = ""
    tile: str = ""
    primitive: str = ""
    gmac: float = 0.0
    multiplies: float = 1.0
    useful: float | None = None
    peak: float | None = None
    of_peak: float | None = None
    of_direct: float | None = None
    bytes: int | None = None
    intensity: float | None = None
    reason: str = ""

    @property
    def is_layer(self) -> bool:
        """False for a conversion of pixels."""
        return self.name not in CONVERSIONS or bool(self.kernel)


@dataclass(frozen=True)
class Totals:
    """Of all layers together. conversion_ms: of the picture to codes and back, and of choosing bits. gmacs: a second of
    the layers' time.

    of_peak: share of the layers' time that their multiplies would take at their primitives' peaks; layers whose peak is
    not known are left out of it, None where all are. bytes: None where a layer does not tell.
    """

    layers_ms: float
    conversion_ms: float
    gmac: float
    gmacs: float
    of_peak: float | None
    bytes: int | None


@dataclass(frozen=True)
class Profile:
    """Of one artifact's level on some threads. runs: of which each step's best counts. direct: the primitive that
    `of_direct` is of. layers: in the order in which they run, the conversions first and last.
    """

    threads: int
    runs: int
    direct: str
    peaks: Peaks
    layers: tuple[LayerTime, ...]
    totals: Totals

    def as_json(self) -> dict[str, Any]:
        """Without the layers, which stand beside it."""
        return {key: value for key, value in asdict(self).items() if key != "layers"}


def make_profile(
    runs: Sequence[Sequence[StepTime]],
    manifest: Mapping[str, Any],
    level: str,
    size: tuple[int, int],
    threads: int,
    peaks: Peaks,
) -> Profile:
    """From the step times of one or more runs on a picture of `size` (LR width, height), in which steps agree."""
    entry = level_of(manifest, level)
    known = {str(layer["name"]): layer for layer in entry.get("layers", ())}
    direct = ISAS[entry["isa"]].primitives[0].name if entry.get("isa") in ISAS else ""
    best = [min(steps, key=lambda step: step.seconds) for steps in zip(*runs, strict=True)]
    best = [step for step in best if step.calls]  # of a file with several bit choices, one has run
    whole = sum(step.seconds for step in best) or 1.0
    rows = []
    for step in best:
        layer = known.get(step.name, {}) if step.kernel else {}
        rows.append(_row(step, layer, size[0] * size[1], whole, _Roofs(peaks, threads, direct)))
    return Profile(threads, len(runs), direct, peaks, tuple(rows), _totals(rows))


def level_of(manifest: Mapping[str, Any], level: str) -> Mapping[str, Any]:
    """The manifest's entry of a level; empty where it has none."""
    return next((entry for entry in manifest.get("levels", ()) if entry["name"] == level), {})


@dataclass(frozen=True)
class _Roofs:
    peaks: Peaks
    threads: int
    direct: str

    def of(self, primitive: str) -> float | None:
        """GMAC/s of a primitive."""
        roof = self.peaks.roof(primitive, self.threads)
        return None if roof is None else roof.gmacs


def _row(step: StepTime, layer: Mapping[str, Any], pixels: int, whole: float, roofs: _Roofs) -> LayerTime:
    seconds = max(step.seconds, 1e-9)
    gmac = step.macs_per_pixel * pixels / 1e9
    multiplies, primitive = float(layer.get("multiplies", 1.0)), str(layer.get("primitive", ""))
    peak, direct = (roofs.of(name) if gmac and name else None for name in (primitive, roofs.direct))
    moved = _bytes(layer, pixels)
    return LayerTime(
        name=step.name,
        kernel=step.kernel,
        milliseconds=step.seconds * 1e3,
        gmacs=gmac / seconds,
        share=step.seconds / whole,
        shape=str(layer.get("shape", "")),
        bits=str(layer.get("bits", "")),
        algorithm=str(layer.get("algorithm", "")),
        tile=_tile(layer),
        primitive=primitive,
        gmac=gmac,
        multiplies=multiplies,
        useful=layer.get("useful"),
        peak=peak,
        of_peak=gmac * multiplies / seconds / peak if peak else None,
        of_direct=gmac / seconds / direct if direct else None,
        bytes=moved,
        intensity=1e9 * gmac / moved if moved and gmac else None,
        reason=str(layer.get("reason", "")),
    )


def _tile(layer: Mapping[str, Any]) -> str:
    """As kernels write it; "" for a loop of the driver's own."""
    numbers = [int(number) for number in layer.get("tile", ())]
    return str(Tile(*numbers)) if 2 <= len(numbers) <= len(Tile._fields) else ""


def _bytes(layer: Mapping[str, Any], pixels: int) -> int | None:
    """None where the manifest does not tell: files of earlier releases."""
    maps, weights = layer.get("map_bytes_per_pixel"), layer.get("packed_bytes")
    return None if maps is None or weights is None else round(maps * pixels) + int(weights)


def _totals(rows: Sequence[LayerTime]) -> Totals:
    layers = [row for row in rows if row.is_layer]
    layers_ms, gmac = sum(row.milliseconds for row in layers), sum(row.gmac for row in layers)
    compared = [row for row in layers if row.peak is not None or not row.gmac]
    compared_ms = sum(row.milliseconds for row in compared)
    at_peak_ms = sum(row.of_peak * row.milliseconds for row in compared if row.of_peak is not None)
    moved = [row.bytes for row in layers if row.bytes is not None]
    return Totals(
        layers_ms=layers_ms,
        conversion_ms=sum(row.milliseconds for row in rows) - layers_ms,
        gmac=gmac,
        gmacs=1e3 * gmac / layers_ms if layers_ms else 0.0,
        of_peak=at_peak_ms / compared_ms if at_peak_ms else None,
        bytes=sum(moved) if len(moved) == len(layers) else None,
    )
