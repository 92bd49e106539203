"""The networks and the ways to give them bits that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Whose file names are these with .safetensors; what PSNR is against, where it is not the true picture.
NETWORKS: Mapping[str, str] = {
    "edsr8_x2": "hr",
    "srresnet_x4": "hr",
    "imdn_x4": "hr",
    "rfdn_x4": "hr",
    "srvggnetcompact_x4": "fp32",  # made for degraded pictures: the true ones say nothing
    "abpn_x3": "hr",
}
SETS = ("set5", "set14")


@dataclass(frozen=True)
class Way:
    """A column of a network's table. changes: options of `tvmsr calibrate` beside --bits."""

    name: str
    bits: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def _both(bits: str) -> tuple[Way, Way]:
    return Way(bits, bits), Way(f"{bits} --learn", bits, {"learn": True})


#: 8 bits first: what times are compared with.
WAYS = (
    Way("8", "8"),
    Way("auto:a8w8", "auto:a8w8"),
    *_both("auto:a6w8"),
    *_both("auto:a6w4"),
    *_both("auto:a4w4"),
    Way("auto:a6w4 --costs bits", "auto:a6w4", {"costs": "bits"}),
    Way("auto:a6w8 --costs bits", "auto:a6w8", {"costs": "bits"}),
    Way("auto:a4w4 --costs bits --learn", "auto:a4w4", {"costs": "bits", "learn": True}),
    Way("auto:a4w4 --kept 0", "auto:a4w4", {"kept": 0.0}),
    Way("auto:a4w4 --costs bits --kept 0", "auto:a4w4", {"costs": "bits", "kept": 0.0}),
    *_both("a6w4"),
    *_both("a4w4"),
)


@dataclass(frozen=True)
class Run:
    """One record of the JSON file."""

    network: str
    way: Way

    @property
    def key(self) -> str:
        return f"{self.network} {self.way.name}"


def runs(networks: Sequence[str], names: Sequence[str] | None) -> Iterator[Run]:
    """Network by network. names: of ways, None for all."""
    for network in networks:
        yield from (Run(network, way) for way in WAYS if names is None or way.name in names)
