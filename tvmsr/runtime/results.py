"""What a session says of its artifact and of what it did."""

from __future__ import annotations

from dataclasses import dataclass

from tvmsr.errors import UsageError


@dataclass(frozen=True)
class ArtifactInfo:
    """What an artifact says of itself. levels, choices: names, best level first.

    minimum_size: of what the network itself runs on; smaller pictures are continued by their last column and row.
    size_multiple: tiles that begin at multiples of it give the whole's bytes; whole_because: the operations that make a
    pixel depend on the whole picture or on where it lies, so that tiles differ from the whole where there are any. So
    they do where there are several choices, unless one is forced: each tile has its own.
    """

    scale: int
    colour: str
    minimum_size: tuple[int, int]  # width, height
    receptive_radius: int
    levels: tuple[str, ...]
    choices: tuple[str, ...]
    size_multiple: int = 1
    whole_because: tuple[str, ...] = ()

    def choice_number(self, name: str | None) -> int | None:
        """Of a bit choice by name; None for None and "auto": by the picture. UsageError where none is called so."""
        if name is None or name == "auto":
            return None
        if name not in self.choices:
            raise UsageError(
                f"there is no bit choice {name!r} in this file; it has {', '.join(self.choices)}, and auto"
            )
        return self.choices.index(name)


@dataclass(frozen=True)
class LastRun:
    """What the last upscale did. choice: of a picture in tiles, the one that most of them had.

    tiles: how many had each choice; empty where nobody tells.
    """

    level: str
    choice: int
    threads: int
    strips: int
    workspace: int  # bytes
    seconds: float
    tiles: tuple[int, ...] = ()


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
