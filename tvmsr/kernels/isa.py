"""The isa table: one row a family of CPUs, made of primitives. Generators read rows and never ask which CPU it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tvmsr.kernels.spec import Form


class Rounding(str, Enum):
    """How float32 becomes int32 by rne; the clamp before it keeps values within +-2**22."""

    LRINT = "lrint"  # llvm.lrint: one instruction where it is listed, a library call on other CPUs
    MAGIC = "magic"  # add 1.5 * 2**23 and read the mantissa: any CPU


@dataclass(frozen=True)
class Primitive:
    """One way to add products to a vector of int32: `halves` issues take `halves * depth` neighbouring inputs.

    An input group of a pixel is broadcast to all lanes; half h of it holds the inputs h, h + halves, h + 2 * halves ...
    `pair_limit`: products of two neighbouring inputs are added in 16 bits and saturate beyond 32767.
    """

    name: str
    forms: tuple[Form, ...]  # of x
    depth: int  # inputs that one lane multiplies at once
    halves: int
    weight_bytes: int
    code_bits: int  # the widest codes it takes
    cycles: float  # of one issue on one vector: reciprocal throughput where the isa was measured
    fused: str = ""  # intrinsic (acc, x, w) -> acc
    pairs: str = ""  # intrinsic (x, w) -> sums of products of neighbours
    widen: str = ""  # intrinsic (pairs, ones) -> int32, where `pairs` gives int16
    pair_limit: bool = False
    prepare: float = 0.0  # cycles that bringing the inputs of one step into their halves takes
    tiles: tuple[tuple[int, int], ...] = ()  # offered instead of the isa's
    latency: float = 1.0  # cycles from one issue on a sum to the next: of an addition, unless the issue is `fused`

    @property
    def group(self) -> int:
        """Inputs that one step takes."""
        return self.depth * self.halves


@dataclass(frozen=True)
class Isa:
    """A row: vector width, registers, primitives (best first), rounding, and the CPU that stands for it."""

    name: str
    lanes: int  # of int32
    registers: int
    primitives: tuple[Primitive, ...]
    rounding: Rounding
    cpu: str
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # CPU features, by the driver's names
    tiles: tuple[tuple[int, int], ...] = ()  # offered to convolutions: pixels, vectors
    epilogue_cycles: float = 4.0  # per vector of outputs, rough

    def primitive(self, name: str) -> Primitive:
        return next(p for p in self.primitives if p.name == name)


_AVX2_WD = "llvm.x86.avx2.pmadd.wd"
_PAIR_FORMS = (Form.S16, Form.U16)

_AVX2 = (
    Primitive("dot4", (Form.U8,), 4, 1, 1, 8, 1.0, pairs="llvm.x86.avx2.pmadd.ub.sw", widen=_AVX2_WD, pair_limit=True),
    # Bytes are widened to 16 bits in registers: inputs 0 and 2 of a group, then 1 and 3.
    Primitive("wide4", (Form.U8,), 2, 2, 2, 8, 0.5, pairs=_AVX2_WD, prepare=0.5),
    # Additions take the multipliers' ports too: 85 % of the bare loop is what any tile reaches.
    Primitive("pair16", _PAIR_FORMS, 2, 1, 2, 16, 0.57, pairs=_AVX2_WD, tiles=((4, 2), (8, 1))),
)

_AVXVNNI = (
    Primitive("dot4", (Form.U8,), 4, 1, 1, 8, 0.5, fused="llvm.x86.avx512.vpdpbusd.256", latency=5),
    Primitive("pair16", _PAIR_FORMS, 2, 1, 2, 16, 0.5, fused="llvm.x86.avx512.vpdpwssd.256", latency=5),
)

_AVX512VNNI = (
    Primitive("dot4", (Form.U8,), 4, 1, 1, 8, 0.5, fused="llvm.x86.avx512.vpdpbusd.512", latency=5),
    Primitive("pair16", _PAIR_FORMS, 2, 1, 2, 16, 0.5, fused="llvm.x86.avx512.vpdpwssd.512", latency=5),
)

_FORMS = (Form.U8, Form.S8, Form.S16, Form.U16)

#: Products in plain TIR: LLVM makes smlal, pmullw/pmulhw or what the CPU has of them.
_MAC = Primitive("mac", _FORMS, 1, 1, 2, 16, 3.5)
#: The same with another input in every lane: depthwise convolutions.
_LANEWISE = Primitive("lanewise", _FORMS, 1, 1, 2, 16, 1.0)

# Sums and operands in registers: 32 of them, 16 of them, and 16 that also hold what pairs are widened with. 6x2 is as
# fast there where LLVM finds room, and a third slower where it does not.
_WIDE_TILES = ((6, 4), (8, 3), (12, 2), (14, 1))
_NARROW_TILES = ((6, 2), (12, 1))
_PAIRS_TILES = ((4, 2), (12, 1))

ISAS: dict[str, Isa] = {
    row.name: row
    for row in (
        Isa(
            name="avx512vnni",
            lanes=16,
            registers=32,
            primitives=(*_AVX512VNNI, _LANEWISE),
            rounding=Rounding.LRINT,
            cpu="cascadelake",
            features=("-prefer-256-bit",),
            needs=("avx512vnni", "avx512bw", "avx512vl"),
            tiles=_WIDE_TILES,
        ),
        Isa(
            name="avxvnni",
            lanes=8,
            registers=16,
            primitives=(*_AVXVNNI, _LANEWISE),
            rounding=Rounding.LRINT,
            cpu="haswell",
            features=("+avxvnni",),
            needs=("avx2", "fma", "avxvnni"),
            tiles=_NARROW_TILES,
        ),
        Isa(
            name="avx2",
            lanes=8,
            registers=16,
            primitives=(*_AVX2, _LANEWISE),
            rounding=Rounding.LRINT,
            cpu="haswell",
            needs=("avx2", "fma"),
            tiles=_PAIRS_TILES,
        ),
        # 8 lanes: two registers of 128 bits. Four accumulators fit the 16 registers of SSE2 and NEON.
        Isa("portable", 8, 16, (_MAC, _LANEWISE), Rounding.MAGIC, "generic", tiles=((4, 1),)),
    )
}
