"""The isa table: one row a family of CPUs, made of primitives. Generators read rows and never ask which CPU it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from tvmsr.kernels.spec import Form


class Rounding(str, Enum):
    """How float32 becomes int32 by rne; the clamp before it keeps values within +-2**22."""

    LRINT = "lrint"  # llvm.lrint: one instruction where it is listed, a library call on other CPUs
    # Add 1.5 * 2**23 and read the mantissa: any CPU. Its low 16 bits are those of the integer, so that narrowing needs
    # nothing else; on AArch64 fcvtns would keep the one pipe busy that scvtf needs too.
    MAGIC = "magic"


class Kind(str, Enum):
    """How a primitive takes its inputs: a class of tvmsr.kernels.products each."""

    PLAIN = "plain"  # plain TIR, one input at a time
    BROADCAST = "broadcast"  # a group of inputs, broadcast to all lanes
    WINDOW = "window"  # the same, summed in 16 bits over the steps of a window
    ELEMENT = "element"  # element i of a register that holds the inputs of `span` steps of a pixel
    CHAIN = "chain"  # pairs of inputs copied to all lanes, two products summed in 16 bits
    MATRIX = "matrix"  # two pixels at once: 2 x 2 sums in a register


@dataclass(frozen=True)
class Primitive:
    """One way to add products to a vector of int32: `halves` issues take `halves * depth` neighbouring inputs.

    Half h of an input group of a pixel holds the inputs h, h + halves, h + 2 * halves ...
    `pair_limit`: products of two neighbouring inputs are added in 16 bits and saturate beyond 32767.
    """

    name: str
    forms: tuple[Form, ...]  # of x
    depth: int  # inputs that one lane multiplies at once
    halves: int
    weight_bytes: int
    code_bits: int  # the widest codes it takes
    cycles: float  # of one issue on one vector: reciprocal throughput where the isa was measured
    # Intrinsics. BROADCAST: fused(acc, x, w), or pairs(x, w) -> sums of products of neighbours, of int16 where there is
    # widen(pairs, ones). ELEMENT: fused(acc, w, x), or pairs(w, x) -> int32. CHAIN: pairs(w, x) -> int16, then
    # fused(acc, pairs) or widen(pairs). MATRIX: fused(acc, x, w). WINDOW: as BROADCAST with pairs and widen.
    fused: str = ""
    pairs: str = ""
    widen: str = ""
    pair_limit: bool = False
    prepare: float = 0.0  # cycles that bringing the inputs of one step into their halves takes
    tiles: tuple[tuple[int, int], ...] = ()  # offered instead of the isa's
    latency: float = 1.0  # cycles from one issue on a sum to the next: of an addition, unless the issue is `fused`
    kind: Kind = Kind.BROADCAST
    span: int = 1  # steps that one load of a pixel serves
    modular: bool = False  # sums are taken modulo 2**32: additions may wrap

    @property
    def group(self) -> int:
        """Inputs that one step takes."""
        return self.depth * self.halves


@dataclass(frozen=True)
class Packs:
    """Two vectors into one of elements half as wide, with saturation: 128 bits of one and of the other, by turns.

    Intrinsics by what they make; those of bytes take int16.
    """

    int16: str
    uint16: str
    int8: str
    uint8: str


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
    short_tiles: tuple[tuple[int, int], ...] = ()  # offered too where one block with few weights is all: see cost.py
    row_tiles: tuple[tuple[int, int], ...] = ()  # offered too to F(2x2), four positions of each at once
    epilogue_cycles: float = 4.0  # per vector of outputs that are tame, rough
    # Of F(m x m, 3x3), by m: cycles to transform a vector of inputs, and one of results. None: what cost.py measured.
    transforms: Mapping[int, tuple[float, float]] | None = field(default=None, hash=False)
    machine: str = ""  # instruction set: "x86_64", "aarch64", "arm"; "": any
    loops_over_rows: bool = False  # the loop over kernel rows is kept from being unrolled
    byte_form: Form = Form.U8  # how codes of up to 8 bits are stored for convolutions
    float_min_max: tuple[str, str] | None = None  # intrinsics; None: a comparison and a selection
    packs: Packs | None = None  # how int32 are narrowed; None: cut off, as LLVM does it
    reach: int = 1  # registers that one permutation of bytes reads, where there are no packs
    gather: str = ""  # intrinsic, with a mask of bits: int32 from a vector of places; "": one load after the other

    def primitive(self, name: str) -> Primitive:
        return next(p for p in self.primitives if p.name == name)


def _pairs_of_bytes(
    pairs: str, widen: str, cycles: float, tiles: tuple[tuple[int, int], ...]
) -> tuple[Primitive, Primitive]:
    """pmaddubsw, each sum of two products widened at once, or added in 16 bits in windows, in `cycles` and by `tiles`.

    In windows an issue is a multiplication and an addition: in bare loops twice as fast on Zen 5, 1.6 times on Zen 3,
    1.4 times on Cascade Lake.
    """
    dot4 = Primitive("dot4", (Form.U8,), 4, 1, 1, 8, 1.0, pairs=pairs, widen=widen, pair_limit=True)
    return dot4, replace(dot4, name="window", cycles=cycles, kind=Kind.WINDOW, tiles=tiles)


_AVX2_WD = "llvm.x86.avx2.pmadd.wd"
_PAIR_FORMS = (Form.S16, Form.U16)

_AVX2 = (
    *_pairs_of_bytes("llvm.x86.avx2.pmadd.ub.sw", _AVX2_WD, 0.53, ((6, 2), (12, 1))),
    # Bytes are widened to 16 bits in registers: inputs 0 and 2 of a group, then 1 and 3.
    Primitive("wide4", (Form.U8,), 2, 2, 2, 8, 0.5, pairs=_AVX2_WD, prepare=0.5),
    # Additions take the multipliers' ports too: 85 % of the bare loop is what any tile reaches.
    Primitive("pair16", _PAIR_FORMS, 2, 1, 2, 16, 0.57, pairs=_AVX2_WD, tiles=((4, 2), (8, 1))),
)

_SSE_WD = "llvm.x86.sse2.pmadd.wd"
# As AVX2's at half the width. Instructions overwrite an operand, so that most issues copy a register first, and inputs
# reach all lanes by a shuffle. Measured on Zen 5, of the bare loops: 97 % (dot4), 72 to 78 % (window), 67 %, 75 %.
_SSE41 = (
    *_pairs_of_bytes("llvm.x86.ssse3.pmadd.ub.sw.128", _SSE_WD, 0.66, ((6, 2), (3, 3), (12, 1))),
    Primitive("wide4", (Form.U8,), 2, 2, 2, 8, 0.6, pairs=_SSE_WD, prepare=0.5, tiles=((1, 4), (2, 3), (2, 2), (4, 1))),
    Primitive("pair16", _PAIR_FORMS, 2, 1, 2, 16, 0.65, pairs=_SSE_WD, tiles=((2, 4), (3, 3), (4, 2), (6, 1))),
)

# No windows beside vpdpbusd, which is one instruction for their two: bare loops of 256 bits are equal on Zen 5, and it
# is 1.6 times as fast on Cascade Lake.
_AVXVNNI = (
    Primitive("dot4", (Form.U8,), 4, 1, 1, 8, 0.5, fused="llvm.x86.avx512.vpdpbusd.256", latency=5),
    Primitive("pair16", _PAIR_FORMS, 2, 1, 2, 16, 0.5, fused="llvm.x86.avx512.vpdpwssd.256", latency=5),
)

_AVX512VNNI = (
    Primitive("dot4", (Form.U8,), 4, 1, 1, 8, 0.5, fused="llvm.x86.avx512.vpdpbusd.512", latency=5),
    Primitive("pair16", _PAIR_FORMS, 2, 1, 2, 16, 0.5, fused="llvm.x86.avx512.vpdpwssd.512", latency=5),
)

_PACKS128 = Packs(
    int16="llvm.x86.sse2.packssdw.128",
    uint16="llvm.x86.sse41.packusdw",
    int8="llvm.x86.sse2.packsswb.128",
    uint8="llvm.x86.sse2.packuswb.128",
)
_PACKS256 = Packs(*(f"llvm.x86.avx2.pack{kind}" for kind in ("ssdw", "usdw", "sswb", "uswb")))
_PACKS512 = Packs(*(f"llvm.x86.avx512.pack{kind}.512" for kind in ("ssdw", "usdw", "sswb", "uswb")))

_FORMS = (Form.U8, Form.S8, Form.S16, Form.U16)

#: Products in plain TIR: LLVM makes smlal, pmullw/pmulhw or what the CPU has of them.
_MAC = Primitive("mac", _FORMS, 1, 1, 2, 16, 3.5, kind=Kind.PLAIN)
#: The same with another input in every lane: depthwise convolutions.
_LANEWISE = Primitive("lanewise", _FORMS, 1, 1, 2, 16, 1.0, kind=Kind.PLAIN)

# Tiles that reach one product instruction a cycle: codes come 16 bytes at a time, and LLVM keeps weights in registers.
_LANEWISE64 = (
    replace(_LANEWISE, forms=(Form.S8, Form.U8), tiles=((4, 2),)),
    replace(_LANEWISE, forms=_PAIR_FORMS, tiles=((4, 4),)),
)
_LANEWISE32 = replace(_LANEWISE, tiles=((2, 4),))
_SMULL = "llvm.aarch64.neon.smull"
_DOT = Primitive(
    "dot4", (Form.S8,), 4, 1, 1, 8, 0.5, fused="llvm.aarch64.neon.sdot.v4i32.v16i8",
    kind=Kind.ELEMENT, span=4, latency=1,
)  # fmt: skip
_CHAIN = Primitive(
    "chain", (Form.S8,), 2, 1, 1, 8, 1.0, pairs=f"{_SMULL}.v8i16", widen="llvm.aarch64.neon.saddlp.v4i32.v8i16",
    kind=Kind.CHAIN, span=8, prepare=0.25, tiles=((3, 4), (4, 3), (6, 2), (8, 1)),
)  # fmt: skip
# Longer chains: less to widen, where that takes turns with products (A53); an A72 does both at once. Sums of both
# widths are in registers.
_CHAINS = replace(_CHAIN, name="window", cycles=0.85, tiles=((3, 4), (4, 2), (6, 1)))
_MLAL = Primitive(
    "pair16", _PAIR_FORMS, 1, 1, 2, 16, 1.0, pairs=f"{_SMULL}.v4i32", kind=Kind.ELEMENT, span=8, latency=1,
    tiles=((5, 4), (4, 3), (6, 2), (8, 1)),
)  # fmt: skip
_MATRIX = Primitive(
    "matrix", (Form.S8,), 8, 1, 1, 8, 0.5, fused="llvm.aarch64.neon.smmla.v4i32.v16i8",
    kind=Kind.MATRIX, span=2, prepare=0.25, tiles=((4, 6), (4, 5), (4, 4), (6, 3), (8, 2), (12, 1)),
)  # fmt: skip
_CHAIN32 = Primitive(
    "chain", (Form.S8,), 2, 1, 1, 8, 2.0, pairs="llvm.arm.neon.vmulls.v8i16", fused="llvm.arm.neon.vpadals.v4i32.v8i16",
    kind=Kind.CHAIN, span=8, prepare=1.0, tiles=((2, 2), (5, 1)),
)  # fmt: skip
_CHAINS32 = replace(_CHAIN32, name="window", cycles=1.7, tiles=((2, 2), (3, 1)))
# Only d0 to d7 give vmlal an element: loads of half a register let the factors of all pixels stay there.
_MLAL32 = Primitive(
    "pair16", _PAIR_FORMS, 1, 1, 2, 16, 2.0, pairs="llvm.arm.neon.vmulls.v4i32", kind=Kind.ELEMENT, span=4, latency=1,
    tiles=((2, 4), (3, 3), (6, 1)),
)  # fmt: skip

# Sums and operands in registers: 32 of them, 16 of them, and 16 that also hold what pairs are widened with. 6x2 is as
# fast there where LLVM finds room, and a third slower where it does not.
_WIDE_TILES = ((6, 4), (8, 3), (12, 2), (14, 1))
_SHORT_TILES = ((4, 4), (8, 2))
# By four positions 24 sums. With 16 registers it would be 3x1, whose loads take a third longer than its products.
_ROW_TILES = ((3, 2), (2, 3), (6, 1))
_NARROW_TILES = ((6, 2), (12, 1))
_PAIRS_TILES = ((4, 2), (12, 1))

# Sums, the pixels' registers and a vector of weights: 24 + 6 + 1 of 32.
_ARM_TILES = ((6, 4), (7, 3), (8, 2), (14, 1))


# By llvm-mca on Neoverse N1 and Cortex-A57. neon32: its 32-bit state, twice that for an A7, whose vectors are half as
# wide; what is counted of products is twice that too.
_TRANSFORMS_N1 = {2: (30.0, 40.0), 4: (190.0, 145.0)}
_TRANSFORMS_A57 = {2: (41.0, 60.0), 4: (210.0, 300.0)}
_TRANSFORMS_A7 = {2: (80.0, 120.0), 4: (570.0, 680.0)}


def _arm64(
    name: str,
    bytewise: tuple[Primitive, ...],
    cpu: str,
    needs: tuple[str, ...],
    transforms: Mapping[int, tuple[float, float]] = _TRANSFORMS_N1,
) -> Isa:
    """A row of AArch64: they differ in how bytes are multiplied."""
    return Isa(
        name=name,
        lanes=4,
        registers=32,
        primitives=(*bytewise, _MLAL, *_LANEWISE64),
        rounding=Rounding.MAGIC,
        cpu=cpu,
        features=tuple(f"+{need}" for need in needs),
        needs=needs,
        tiles=_ARM_TILES,
        machine="aarch64",
        loops_over_rows=True,
        reach=2,
        transforms=transforms,
        byte_form=Form.S8,
        float_min_max=("llvm.aarch64.neon.fminnm.v4f32", "llvm.aarch64.neon.fmaxnm.v4f32"),
    )


def _x86(*, primitives: tuple[Primitive, ...], **more: Any) -> Isa:
    """A row of x86-64: all of them round by cvtps2dq and narrow by packs."""
    primitives = (*primitives, _LANEWISE)
    return Isa(primitives=primitives, rounding=Rounding.LRINT, machine="x86_64", epilogue_cycles=2.0, **more)


ISAS: dict[str, Isa] = {
    row.name: row
    for row in (
        _x86(
            name="avx512vnni",
            lanes=16,
            registers=32,
            primitives=_AVX512VNNI,
            cpu="cascadelake",
            features=("-prefer-256-bit", "+fast-dpwssd"),
            needs=("avx512vnni", "avx512bw", "avx512vl"),
            tiles=_WIDE_TILES,
            short_tiles=_SHORT_TILES,
            row_tiles=_ROW_TILES,
            packs=_PACKS512,
            gather="llvm.x86.avx512.mask.gather.dpi.512",
        ),
        _x86(
            name="avxvnni",
            lanes=8,
            registers=16,
            primitives=_AVXVNNI,
            cpu="haswell",
            features=("+avxvnni", "+fast-dpwssd"),
            needs=("avx2", "fma", "avxvnni"),
            tiles=_NARROW_TILES,
            packs=_PACKS256,
        ),
        _x86(
            name="avx2",
            lanes=8,
            registers=16,
            primitives=_AVX2,
            cpu="haswell",
            needs=("avx2", "fma"),
            tiles=_PAIRS_TILES,
            packs=_PACKS256,
        ),
        _x86(
            name="sse41",
            lanes=4,
            registers=16,
            primitives=_SSE41,
            cpu="x86-64",
            features=("+sse4.1", "+ssse3"),
            needs=("sse4.1", "ssse3"),
            tiles=((4, 2), (3, 3), (8, 1)),
            packs=_PACKS128,
        ),
        _arm64("i8mm", (_MATRIX, _DOT), "neoverse-n2", ("i8mm", "dotprod")),
        _arm64("dotprod", (_DOT,), "cortex-a76", ("dotprod",)),
        _arm64("neon", (_CHAIN, _CHAINS), "cortex-a53", (), _TRANSFORMS_A57),
        Isa(
            name="neon32",
            lanes=4,
            registers=16,
            primitives=(_CHAIN32, _CHAINS32, _MLAL32, _LANEWISE32),
            rounding=Rounding.MAGIC,
            cpu="cortex-a7",
            features=("+neon",),
            needs=("neon",),
            tiles=((2, 2), (4, 1)),
            transforms=_TRANSFORMS_A7,
            machine="arm",
            byte_form=Form.S8,
            float_min_max=("llvm.arm.neon.vmins.v4f32", "llvm.arm.neon.vmaxs.v4f32"),
        ),
        # 8 lanes: two registers of 128 bits. Four accumulators fit the 16 registers of SSE2 and NEON.
        Isa("portable", 8, 16, (_MAC, _LANEWISE), Rounding.MAGIC, "generic", tiles=((4, 1),)),
    )
}
