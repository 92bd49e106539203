"""Which bare loop of loops.c stands for which primitive of the isa table: the one place that says so."""

from __future__ import annotations

from dataclasses import dataclass

from tvmsr.hardware.peaks.values import FLOAT


@dataclass(frozen=True)
class Loop:
    """A bare loop: function tvmsr_peak_NAME. macs: of one issue; words: its instructions; needs: the driver's names."""

    name: str
    macs: int
    words: str
    needs: tuple[str, ...] = ()

    @property
    def symbol(self) -> str:
        return f"tvmsr_peak_{self.name}"


@dataclass(frozen=True)
class Read:
    """A loop of reads: function tvmsr_read_BITS."""

    bits: int
    needs: tuple[str, ...] = ()

    @property
    def symbol(self) -> str:
        return f"tvmsr_read_{self.bits}"


LOOPS = {
    loop.name: loop
    for loop in (
        Loop("vpdpbusd_512", 64, "vpdpbusd, 512 bits", ("avx512f", "avx512vnni")),
        Loop("vpdpwssd_512", 32, "vpdpwssd, 512 bits", ("avx512f", "avx512vnni")),
        Loop("fma_512", 16, "vfmadd, 512 bits", ("avx512f",)),
        Loop("vpdpbusd_256", 32, "vpdpbusd, 256 bits", ("avx2", "avxvnni")),
        Loop("vpdpwssd_256", 16, "vpdpwssd, 256 bits", ("avx2", "avxvnni")),
        Loop("maddubs_256", 32, "vpmaddubsw + vpmaddwd + vpaddd, 256 bits", ("avx2",)),
        Loop("window_256", 32, "vpmaddubsw + vpaddw, 256 bits", ("avx2",)),
        Loop("maddwd_256", 16, "vpmaddwd + vpaddd, 256 bits", ("avx2",)),
        Loop("fma_256", 8, "vfmadd, 256 bits", ("avx2", "fma")),
        Loop("maddubs_128", 16, "pmaddubsw + pmaddwd + paddd, 128 bits", ("ssse3",)),
        Loop("window_128", 16, "pmaddubsw + paddw, 128 bits", ("ssse3",)),
        Loop("maddwd_128", 8, "pmaddwd + paddd, 128 bits"),
        Loop("mulps_128", 4, "mulps + addps, 128 bits"),
    )
}

#: The widest first.
READS = (Read(512, ("avx512f",)), Read(256, ("avx2",)), Read(128))

#: isa -> primitive (or FLOAT) -> loop. Two primitives may issue the same instructions. What is not here has no
#: peak: depthwise convolutions, other instruction sets.
BY_PRIMITIVE: dict[str, dict[str, str]] = {
    "avx512vnni": {
        "dot4": "vpdpbusd_512",
        "pair16": "vpdpwssd_512",
        FLOAT: "fma_512",
    },
    "avxvnni": {
        "dot4": "vpdpbusd_256",
        "pair16": "vpdpwssd_256",
        FLOAT: "fma_256",
    },
    "avx2": {
        "dot4": "maddubs_256",
        "wide4": "maddwd_256",
        "pair16": "maddwd_256",
        "window": "window_256",
        FLOAT: "fma_256",
    },
    "sse41": {
        "dot4": "maddubs_128",
        "window": "window_128",
        "wide4": "maddwd_128",
        "pair16": "maddwd_128",
        FLOAT: "mulps_128",
    },
    # What a CPU of the portable level's LLVM CPU has: SSE2.
    "portable": {"mac": "maddwd_128", FLOAT: "mulps_128"},
}


def loops_of(isa: str, had: frozenset[str], architecture: str) -> dict[str, Loop]:
    """The loops of a level's primitives that a CPU with the features `had` can run, by primitive."""
    if architecture != "x86_64":
        return {}
    named = {primitive: LOOPS[name] for primitive, name in BY_PRIMITIVE.get(isa, {}).items()}
    return {primitive: loop for primitive, loop in named.items() if had.issuperset(loop.needs)}


def read_of(had: frozenset[str]) -> Read:
    """The widest reads that a CPU has."""
    return next(read for read in READS if had.issuperset(read.needs))
