"""What a session says of its artifact and of what it did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArtifactInfo:
    """What the C ABI says of an artifact. levels, choices: names, best level first."""

    scale: int
    colour: str
    minimum_size: tuple[int, int]  # width, height
    receptive_radius: int
    levels: tuple[str, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True)
class LastRun:
    """What the last upscale did."""

    level: str
    choice: int
    threads: int
    strips: int
    workspace: int  # bytes
    seconds: float


@dataclass(frozen=True)
class StepTime:
    """Time of one step since profiling was turned on. macs_per_pixel: of an input pixel; kernel: "" for conversions."""

    name: str
    kernel: str
    seconds: float
    macs_per_pixel: float
    calls: int


@dataclass(frozen=True)
class StepSum:
    """Checksum of what one store of a step wrote: channels [first, first + channels) of the graph's node `tensor`."""

    step: str
    tensor: str
    first: int
    channels: int
    sum: int
