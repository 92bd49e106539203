"""The table of algorithms, and the choice among them. Lowering asks here; nothing in this file needs tvm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from tvmsr.kernels.cost import direct_cycles, lanewise_cycles, pointwise_cycles, storage_cycles
from tvmsr.kernels.isa import ISAS, Isa, Primitive
from tvmsr.kernels.layout import WeightLayout, depthwise_layout, direct_layout
from tvmsr.kernels.legality import NO_PRIMITIVE, Weight, direct_legal
from tvmsr.kernels.naming import symbol
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Load, Operand, Store

Tile = tuple[int, int]

#: Predictions are no better than this.
_CLEARLY = 0.97


@dataclass(frozen=True)
class Choice:
    """A complete spec, why it was chosen, and what it is predicted to cost."""

    spec: KernelSpec
    reason: str
    cycles_per_pixel: float  # of one core, of the isa's reference CPU


@dataclass(frozen=True)
class Algorithm:
    """One exact way to compute a source.

    `legal` says why not, "" where it is. `tiles`: those offered, pixels by vectors. `layout`: of packed weights; None:
    it has none. `generator` names a TIR generator as "module:function". Granule and read_ahead: the kernel contract.
    """

    name: str
    primitive: Callable[[Conv | Load, Isa], Primitive | None]
    legal: Callable[[Conv | Load, Primitive | None, Weight | None], str]
    tiles: Callable[[Isa, Primitive | None], tuple[Tile, ...]]
    cycles: Callable[[Conv | Load, Epilogue, Isa, Primitive | None, Tile], float]
    layout: Callable[[Conv, Isa, Primitive, Tile], WeightLayout] | None
    generator: str
    granule: tuple[int, int] = (1, 1)
    read_ahead: tuple[int, int] = (0, 0)


def accepted_forms(isa: str, bits: int) -> tuple[Form, ...]:
    """Forms in which convolutions of this isa can read codes of up to `bits` bits, the best first."""
    if bits <= 8:
        return (ISAS[isa].byte_form, Form.S16, Form.U16)
    if bits <= 15 or isa == "portable":
        return (Form.S16, Form.U16)
    return (Form.S16,)


def wanted_form(isa: str, bits: int, readers: Sequence[tuple[Conv, Weight]] = ()) -> Form:
    """The form in which convolutions want their input stored; `bits`: the widest of its choices.

    Codes of up to 8 bits are stored in 16 where that makes `readers` (convolutions and their weights; the form of their
    x is not looked at) clearly cheaper, bytes included: see `cost.storage_cycles`.
    """
    forms = accepted_forms(isa, bits)
    if bits > 8 or not readers:
        return forms[0]
    channels = max(conv.inputs for conv, _ in readers)

    def cycles(form: Form) -> float:
        return storage_cycles(channels, form) + sum(_read_cycles(isa, form, *reader) for reader in readers)

    return Form.S16 if cycles(Form.S16) < _CLEARLY * cycles(forms[0]) else forms[0]


def _read_cycles(isa: str, form: Form, conv: Conv, weight: Weight) -> float:
    """Predicted cycles, per pixel of x, of a convolution that reads x in this form."""
    source = replace(conv, x=Operand(form, -(-conv.inputs * form.bytes // 4) * 4))
    plain = Epilogue((Store(Form.U8, conv.outputs, conv.outputs),))
    return choose(source, plain, isa, weight).cycles_per_pixel / conv.stride**2


def choose(source: Conv | Load, epilogue: Epilogue, isa: str, weight: Weight | None = None) -> Choice:
    """The cheapest legal algorithm and tile for one step on one isa; `weight`: its codes, where there are any."""
    row, best, why_not = ISAS[isa], None, []
    for algorithm in ALGORITHMS.values():
        primitive = algorithm.primitive(source, row)
        problem = algorithm.legal(source, primitive, weight)
        if problem:
            why_not.append(f"{algorithm.name}: {problem}")
            continue
        for tile in algorithm.tiles(row, primitive):
            cycles = algorithm.cycles(source, epilogue, row, primitive, tile)
            if best is None or cycles < best.cycles_per_pixel:
                spec = KernelSpec(source, epilogue, isa, algorithm.name, tile)
                best = Choice(spec, _reason(algorithm, primitive, tile, cycles), cycles)
    if best is None:
        raise ValueError(f"no algorithm of {isa} computes {source}: {'; '.join(why_not)}")
    refused = (
        [w for w in why_not if w.startswith("direct") and NO_PRIMITIVE not in w] if isinstance(source, Conv) else []
    )
    return replace(best, reason="; ".join([best.reason, *refused]))


def _reason(algorithm: Algorithm, primitive: Primitive | None, tile: Tile, cycles: float) -> str:
    with_what = f" with {primitive.name}" if primitive else ""
    return f"{algorithm.name}{with_what}, tile {tile[0]}x{tile[1]}: {cycles:.0f} cycles a pixel predicted"


def primitive_of(spec: KernelSpec) -> Primitive:
    """The primitive that a convolution's spec stands for."""
    primitive = ALGORITHMS[spec.algorithm].primitive(spec.source, ISAS[spec.isa])
    if primitive is None:
        raise ValueError(f"{spec.algorithm} has no primitive of {spec.isa} for {spec.source.x.form.value}")
    return primitive


def weight_layout(spec: KernelSpec) -> WeightLayout | None:
    """Layout of the packed weights of a convolution; None for a pointwise pass."""
    layout = ALGORITHMS[spec.algorithm].layout
    if layout is None or not isinstance(spec.source, Conv):
        return None
    return layout(spec.source, ISAS[spec.isa], primitive_of(spec), spec.tile)


def _named(*names: str) -> Callable[[Conv | Load, Isa], Primitive | None]:
    """The first primitive of these names that reads the form in which x is stored."""

    def find(source: Conv | Load, isa: Isa) -> Primitive | None:
        return next((p for p in isa.primitives if p.name in names and source.x.form in p.forms), None)

    return find


def _direct_tiles(isa: Isa, primitive: Primitive | None) -> tuple[Tile, ...]:
    return (primitive and primitive.tiles) or isa.tiles


def _depthwise_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    del weight
    if not isinstance(source, Conv) or not source.groups == source.inputs == source.outputs:
        return "not depthwise"
    return "" if primitive else "its input form has no primitive"


def _pointwise_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    del primitive, weight
    return "" if isinstance(source, Load) else "a convolution"


def _lanewise_tiles(isa: Isa, primitive: Primitive | None) -> tuple[Tile, ...]:
    del isa
    return (primitive and primitive.tiles) or tuple(product((4,), (1, 2, 4)))


ALGORITHMS: dict[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm(
            "direct",
            _named("dot4", "chain", "pair16", "mac"),
            direct_legal,
            _direct_tiles,
            direct_cycles,
            direct_layout,
            "tvmsr.kernels.conv:direct",
        ),
        # Bytes multiplied as 16-bit numbers, where their 8-bit products would saturate.
        Algorithm(
            "direct_wide",
            _named("wide4"),
            direct_legal,
            _direct_tiles,
            direct_cycles,
            direct_layout,
            "tvmsr.kernels.conv:direct",
        ),
        # Two pixels by two channels at once, where the CPU multiplies matrices of bytes.
        Algorithm(
            "direct_matrix",
            _named("matrix"),
            direct_legal,
            _direct_tiles,
            direct_cycles,
            direct_layout,
            "tvmsr.kernels.conv:direct",
        ),
        Algorithm(
            "depthwise",
            _named("lanewise"),
            _depthwise_legal,
            _lanewise_tiles,
            lanewise_cycles,
            depthwise_layout,
            "tvmsr.kernels.depthwise:depthwise",
        ),
        Algorithm(
            "pointwise",
            lambda source, isa: None,
            _pointwise_legal,
            _lanewise_tiles,
            pointwise_cycles,
            None,
            "tvmsr.kernels.pointwise:pointwise",
        ),
    )
}


def positions(spec: KernelSpec) -> tuple[int, int]:
    """Groups of output positions, and positions of one group, padding included: the shape of parameter arrays."""
    layout = weight_layout(spec)
    if layout is not None:
        return layout.groups, layout.positions
    width = spec.tile[1] * ISAS[spec.isa].lanes
    return 1, -(-spec.source.outputs // width) * width


__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Choice",
    "accepted_forms",
    "choose",
    "positions",
    "primitive_of",
    "symbol",
    "wanted_form",
    "weight_layout",
]
