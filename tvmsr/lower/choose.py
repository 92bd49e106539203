"""Phase 6, choose: a kernel for every group: its source and epilogue, then algorithm and tile by tvmsr.kernels."""

from __future__ import annotations

import numpy as np

from tvmsr.errors import WorkError
from tvmsr.kernels.algorithms import choose
from tvmsr.kernels.spec import Conv, Epilogue, KernelSpec, Load, Operand, Reads, Residual, Store
from tvmsr.lower.draft import Draft, Group, Term, Write
from tvmsr.lower.params import params_of
from tvmsr.lower.program import Layer, Step, Stored, View
from tvmsr.lower.shape import convolution_of, padding_of


def run(draft: Draft) -> None:
    """Turn every group into a step."""
    draft.steps = [_step(draft, group) for group in draft.groups]


def _step(draft: Draft, group: Group) -> Step:
    source, epilogue = _source(draft, group), _epilogue(draft, group)
    layer = None
    if group.conv is not None:
        layer = Layer(group.conv.name, group.conv.params["weight"], group.conv.weight_bits)
    try:
        choice = choose(source, epilogue, draft.level.isa, None if layer is None else layer.weight)
    except ValueError as error:
        raise WorkError(f"{group.name!r} cannot be compiled: {error}") from error
    return Step(
        name=group.name,
        spec=choice.spec,
        operands=_operands(draft, group),
        padding=padding_of(group),
        layer=layer,
        params=(params_of(draft, group, choice.spec),),
        nodes=group.nodes,
        macs_per_pixel=_macs(choice.spec),
        reason=choice.reason,
        stored=tuple(Stored(write.tensor, write.tensor_first, write.channels) for write in group.writes),
    )


def _source(draft: Draft, group: Group) -> Conv | Load:
    place = draft.places[group.x.of]
    x = Operand(place.form, place.pitch)
    if group.conv is None:
        factor = draft.places[group.times.read.of] if group.times else None
        times = Operand(factor.form, factor.pitch) if factor else None
        return Load(group.x.channels, group.channels, x, group.picks, times)
    return convolution_of(group, x, place.code.bits)


def _epilogue(draft: Draft, group: Group) -> Epilogue:
    total = group.sum
    terms = total.terms if total else ()
    fraction = total.fraction if total else 0
    return Epilogue(
        stores=tuple(_store(draft, write) for write in group.writes),
        residuals=tuple(_residual(draft, term, fraction) for term in terms),
        fraction=fraction if terms else 0,
        leaky=group.value.m_neg is not None,
        table=group.value.table is not None,
    )


def _store(draft: Draft, write: Write) -> Store:
    place = draft.places[write.place]
    reads = Reads.VALUE if write.requant is None else Reads.CODE
    return Store(place.form, place.pitch, write.channels, write.first, write.block, reads)


def _residual(draft: Draft, term: Term, fraction: int) -> Residual:
    place = draft.places[term.read.of]
    identity = bool(np.all(term.m == np.float32(1 << fraction)))
    return Residual(Operand(place.form, place.pitch), identity, term.modulo)


def _operands(draft: Draft, group: Group) -> tuple[View, ...]:
    """x, times, residuals, stores."""
    places = [(read.of, read.first) for read in group.reads] + [(write.place, write.at) for write in group.writes]
    return tuple(View(name, first * draft.places[name].form.bytes) for name, first in places)


def _macs(spec: KernelSpec) -> int:
    """Multiplications of the plain convolution, per pixel of its grid."""
    if not isinstance(spec.source, Conv):
        return 0
    height, width = spec.source.kernel
    return height * width * spec.source.inputs // spec.source.groups * spec.source.outputs
