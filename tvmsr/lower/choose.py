"""Phase 6, choose: a kernel for every group: its source and epilogue, then algorithm and tile by tvmsr.kernels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmsr.errors import WorkError
from tvmsr.kernels.choice import choose
from tvmsr.kernels.spec import Conv, Epilogue, KernelSpec, Load, Operand, Reads, Residual, Store
from tvmsr.lower.bounds import full, tame
from tvmsr.lower.draft import Draft, Factor, Group, Place, Term, Write
from tvmsr.lower.params import params_of
from tvmsr.lower.program import Layer, Step, Stored, View
from tvmsr.lower.shape import convolution_of, padding_of
from tvmsr.lower.sizes import is_one_pixel
from tvmsr.lower.spatial import spatial_of, spatial_params
from tvmsr.quant.integer import IntegerNode


def run(draft: Draft) -> None:
    """Turn every group into a step."""
    draft.steps = [_step(draft, group) for group in draft.groups]


def _step(draft: Draft, group: Group) -> Step:
    return _spatial_step(draft, group, group.spatial) if group.spatial is not None else _kernel_step(draft, group)


def _spatial_step(draft: Draft, group: Group, node: IntegerNode) -> Step:
    """A step of the driver's own; pools have a padding."""
    spatial = spatial_of(node)
    return Step(
        name=group.name,
        spec=None,
        spatial=spatial,
        operands=_operands(draft, group),
        padding=getattr(node.attrs, "padding", (0, 0, 0, 0)),
        layer=None,
        params=spatial_params(draft, group),
        nodes=group.nodes,
        macs_per_pixel=0,
        reason=f"{spatial.words}, in C",
        stored=_stored(group),
    )


def _kernel_step(draft: Draft, group: Group) -> Step:
    source, epilogue = _source(draft, group), _epilogue(draft, group)
    layer = None
    if group.conv is not None:
        layer = Layer(group.conv.name, group.conv.params["weight"], group.conv.weight_bits)
    weight = None if layer is None else layer.weight
    try:
        choice = choose(source, epilogue, draft.level.isa, weight, one_pixel=is_one_pixel(group.size))
    except ValueError as error:
        raise WorkError(f"{group.name!r} cannot be compiled: {error}") from error
    return Step(
        name=group.name,
        spec=choice.spec,
        spatial=None,
        operands=_operands(draft, group),
        padding=padding_of(group),
        layer=layer,
        params=params_of(draft, group, choice.spec),
        nodes=group.nodes,
        macs_per_pixel=_macs(choice.spec),
        reason=choice.reason,
        stored=_stored(group),
    )


def _stored(group: Group) -> tuple[Stored, ...]:
    return tuple(Stored(write.tensor, write.tensor_first, write.channels) for write in group.writes)


def _source(draft: Draft, group: Group) -> Conv | Load:
    place = draft.places[group.x.of]
    x = Operand(place.form, place.pitch)
    if group.conv is None:
        factor = draft.places[group.times.read.of] if group.times else None
        times = _beside(factor, group.times.broadcast) if factor and group.times else None
        return Load(group.x.channels, group.channels, x, group.picks, times)
    return convolution_of(group, x, place.code.bits)


def _epilogue(draft: Draft, group: Group) -> Epilogue:
    total = group.sum
    terms = total.terms if total else ()
    fraction = total.fraction if total else 0
    return Epilogue(
        stores=tuple(_store(draft, group, write) for write in group.writes),
        residuals=tuple(_residual(draft, term, fraction) for term in terms),
        fraction=fraction if terms else 0,
        leaky=group.value.m_neg is not None,
        post=group.post is not None,
        table=group.value.table is not None,
        tame=tame(group),
    )


def _store(draft: Draft, group: Group, write: Write) -> Store:
    place = draft.places[write.place]
    reads = Reads.VALUE if write.requant is None else Reads.CODE
    whole = full(group, write, place)
    return Store(place.form, place.pitch, write.channels, write.first, write.block, reads, whole)


def _residual(draft: Draft, term: Term, fraction: int) -> Residual:
    place = draft.places[term.read.of]
    identity = bool(np.all(term.m == np.float32(1 << fraction)))
    return Residual(_beside(place, term.broadcast), identity, term.modulo)


def _beside(place: Place, broadcast: bool) -> Operand:
    """What is read at the grid's own pixels. All pixels of a row read the one of a 1x1 map: it has no pitch."""
    return Operand(place.form, 0 if broadcast else place.pitch)


def _operands(draft: Draft, group: Group) -> tuple[View, ...]:
    """x, times, residuals, stores."""
    alone = {*_broadcast(group)}
    reads = [_view(draft, read.of, read.first, index in alone) for index, read in enumerate(group.reads)]
    return (*reads, *(_view(draft, write.place, write.at) for write in group.writes))


def _view(draft: Draft, name: str, first: int, broadcast: bool = False) -> View:
    return View(name, first * draft.places[name].form.bytes, broadcast)


def _broadcast(group: Group) -> Iterator[int]:
    """Which of its operands are 1x1 maps that stand for all pixels."""
    beside: list[Factor | Term] = [*([group.times] if group.times else []), *(group.sum.terms if group.sum else ())]
    return (index for index, operand in enumerate(beside, 1) if operand.broadcast)


def _macs(spec: KernelSpec) -> int:
    """Multiplications of the plain convolution, per pixel of its grid."""
    if not isinstance(spec.source, Conv):
        return 0
    height, width = spec.source.kernel
    return height * width * spec.source.inputs // spec.source.groups * spec.source.outputs
