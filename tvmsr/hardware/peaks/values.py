"""Peaks, as they travel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

#: The roof of float32, beside the primitives of the isa table: for comparison.
FLOAT = "f32"


class Origin(str, Enum):
    """Where peaks are from."""

    MEASURED = "measured"  # bare loops on this machine, in turn with what is compared with them
    COMPUTED = "computed"  # cores, clock and multiplies a cycle of a target's file
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Roof:
    """Multiplies of one primitive (isa table; FLOAT) that some threads together do at best, in 1e9 a second.

    words: which instructions, or which cores.
    """

    primitive: str
    threads: int
    gmacs: float
    words: str


@dataclass(frozen=True)
class Bandwidth:
    """Bytes that some threads together read at best, in 1e9 a second. memory: "L1", "L2", "L3", "RAM"; words: which."""

    memory: str
    threads: int
    gb_s: float
    words: str


@dataclass(frozen=True)
class Peaks:
    """Roofs and bandwidths of one CPU level on a machine, for one or more numbers of threads. source: in words."""

    origin: Origin
    source: str
    roofs: tuple[Roof, ...] = ()
    bandwidths: tuple[Bandwidth, ...] = ()

    def roof(self, primitive: str, threads: int) -> Roof | None:
        """None where it is not known."""
        return next((roof for roof in self.of(threads)[0] if roof.primitive == primitive), None)

    def of(self, threads: int) -> tuple[tuple[Roof, ...], tuple[Bandwidth, ...]]:
        """All for so many threads; of more threads than there are cores, those of all cores."""
        counts = {roof.threads for roof in self.roofs} | {read.threads for read in self.bandwidths}
        nearest = max((count for count in counts if count <= threads), default=0)
        return (
            tuple(roof for roof in self.roofs if roof.threads == nearest),
            tuple(read for read in self.bandwidths if read.threads == nearest),
        )
