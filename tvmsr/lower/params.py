"""The plain parameters of a step, as tvmsr.kernels.layout.param_fields names them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.kernels.layout import param_fields, stored_zero
from tvmsr.kernels.spec import KernelSpec
from tvmsr.lower.draft import F32, Draft, Group, Write
from tvmsr.quant.integer import Code

Params = dict[str, NDArray[Any] | int]


def params_of(draft: Draft, group: Group, spec: KernelSpec) -> Params:
    """Those of a group. Zero points are those of stored values: the code's, less what the form subtracts."""
    given: Params = {"x_zero": _zero(draft, group.x.of, group.x_code)}
    given |= _source(group)
    if group.times is not None:
        given["times_zero"] = _zero(draft, group.times.read.of, group.times.code)
    if group.sum is not None:
        given |= _sum(draft, group, spec)
    for i, write in enumerate(group.writes):
        given |= _store(draft, group, write, i)
    fields = [field.name for field in param_fields(spec) if field.name in given]
    return {name: given[name] for name in fields}


def _zero(draft: Draft, place: str, code: Code) -> int:
    where = draft.places[place]
    return stored_zero(where.form, where.code.bits, code.zero)


def _source(group: Group) -> Params:
    value = group.value
    given: Params = {"m": value.m, "lo": value.lo, "hi": value.hi}
    if value.m_neg is not None:
        given["m_neg"] = value.m_neg
    if value.table is not None:
        given |= {"table": value.table, "table_zero": value.zero, "code_zero": group.code.zero}
        given["table_length"] = len(value.table)
    if group.post is not None:
        post = group.post
        slopes = {"post_m": post.m, "post_m_neg": post.m if post.m_neg is None else post.m_neg}
        given |= slopes | {"post_lo": post.lo, "post_hi": post.hi}
    if group.conv is not None:
        given["bias"] = group.conv.params["bias"]
    return given


def _sum(draft: Draft, group: Group, spec: KernelSpec) -> Params:
    assert group.sum is not None
    given: Params = {"sum_lo": _integers(group.sum.lo), "sum_hi": _integers(group.sum.hi)}
    for i, (term, residual) in enumerate(zip(group.sum.terms, spec.epilogue.residuals, strict=True)):
        given[f"residual{i}_zero"] = _zero(draft, term.read.of, term.code)
        if not residual.identity:
            given[f"residual{i}_m"] = term.m
    return given


def _integers(bounds: F32) -> NDArray[np.int32]:
    """Bounds of a sum are whole numbers below 2**24, exact in both types."""
    return bounds.astype(np.int32)


def _store(draft: Draft, group: Group, write: Write, index: int) -> Params:
    place = draft.places[write.place]
    zero = group.code.zero if write.requant is None else write.requant.zero
    given: Params = {f"store{index}_zero": stored_zero(place.form, place.code.bits, zero)}
    if write.requant is not None:
        # Arrays have an entry for every channel of the grid; those that the store leaves out are not used.
        for key, part in (("m", write.requant.m), ("lo", write.requant.lo), ("hi", write.requant.hi)):
            whole = np.zeros(group.channels, np.float32)
            whole[write.first : write.first + write.channels * write.block**2] = part
            given[f"store{index}_{key}"] = whole
    return given
