"""Steps of the driver's own: what their tables and plain parameters say. artifact/driver/spatial_*.c read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import (
    Grid,
    PoolAttrs,
    Resampling,
    ResizeAttrs,
    Statistic,
    StatisticAttrs,
)
from tvmsr.kernels.layout import stored_zero
from tvmsr.lower.draft import Draft, Group
from tvmsr.lower.program import Kind, Spatial
from tvmsr.quant.integer import Code, IntegerNode
from tvmsr.quant.reference_spatial import CUBIC_UNIT, WEIGHT_BITS, kept_bits, tap_weights, variance_shift

Params = dict[str, NDArray[Any] | int]

#: Numbers of program.h.
_METHODS = {Resampling.NEAREST: 0, Resampling.LINEAR: 1, Resampling.CUBIC: 2}
_GRIDS = {Grid.HALF_PIXEL: 0, Grid.ALIGN_CORNERS: 1, Grid.ASYMMETRIC: 2}
_STATISTICS = {Statistic.MEAN: 0, Statistic.VARIANCE: 1, Statistic.DEVIATION: 2, Statistic.MAX: 3}

#: Where int64 in C would not do: the driver's sums have no more bits.
_MOST = 1 << 62


def why_not(node: IntegerNode, x: Code) -> str:
    """Why the driver's integers do not hold what the operation needs; "" where they do."""
    eps = node.params.get("eps")
    if eps is not None and not bool(np.all((np.asarray(eps) >= 0) & (np.asarray(eps) < _MOST))):
        return "its epsilon is beyond 62 bits"
    if node.op == "layer_norm" and (node.channels << x.bits) ** 2 << 10 >= _MOST:
        return f"the sums of {node.channels} channels of {x.bits} bits are beyond 62 bits"
    if node.op == "resize" and _largest_sum(cast(ResizeAttrs, node.attrs), x.bits) >= 1 << 31:
        return "its sums are beyond 32 bits"
    return ""


def _largest_sum(attrs: ResizeAttrs, bits: int) -> int:
    """Of a resize's column sums, by how far its weights go beyond what they sum up to."""
    if attrs.method is not Resampling.CUBIC:
        return 0
    rows = [tap_weights(phase, attrs) for phase in range((1 << WEIGHT_BITS) + 1)]
    above = max(sum(max(w, 0) for w in row) for row in rows)
    below = above - (1 << WEIGHT_BITS)
    tall = (1 << bits) * above >> (WEIGHT_BITS - kept_bits(bits))
    short = ((1 << bits) * below >> (WEIGHT_BITS - kept_bits(bits))) + 1
    return tall * above + short * below


def spatial_of(node: IntegerNode) -> Spatial:
    """What the step does, whatever its bits."""
    attrs, channels = node.attrs, node.channels
    if isinstance(attrs, PoolAttrs):
        rows, columns = attrs.kernel
        words = f"max_pool {rows}x{columns}, stride {attrs.stride}"
        return Spatial(Kind.MAX_POOL, channels, words, attrs.kernel, attrs.stride)
    if isinstance(attrs, ResizeAttrs):
        return _resize_of(attrs, channels)
    if isinstance(attrs, StatisticAttrs):
        method, words = _STATISTICS[attrs.kind], f"statistic {attrs.kind.value}"
        return Spatial(Kind.STATISTIC, channels, words, method=method, unbiased=attrs.unbiased)
    return Spatial(Kind.LAYER_NORM, channels, "layer_norm")


def _resize_of(attrs: ResizeAttrs, channels: int) -> Spatial:
    factor = attrs.factor
    return Spatial(
        kind=Kind.RESIZE,
        channels=channels,
        words=f"resize {attrs.method.value} {attrs.grid.value}",
        method=_METHODS[attrs.method],
        grid=_GRIDS[attrs.grid],
        numerator=factor.numerator if factor else 0,
        denominator=factor.denominator if factor else 0,
        cubic=round(attrs.cubic * CUBIC_UNIT) if attrs.method is Resampling.CUBIC else 0,
    )


def spatial_params(draft: Draft, group: Group) -> Params:
    """Those of a group, in the order of the file."""
    node = cast(IntegerNode, group.spatial)
    x, (write,) = draft.places[group.x.of], group.writes
    y = draft.places[write.place]
    zeros: Params = {
        "x_zero": stored_zero(x.form, x.code.bits, group.x_code.zero),
        "y_zero": stored_zero(y.form, y.code.bits, group.code.zero),
    }
    return plain_numbers(node, group.x_code.bits, zeros)


def plain_numbers(node: IntegerNode, bits: int, zeros: Params) -> Params:
    """Plain parameters by name. bits: of x; zeros: x_zero and y_zero, of stored values."""
    return _PARAMS[node.op](node, bits, zeros)


def _nothing(node: IntegerNode, bits: int, zeros: Params) -> Params:
    del node, bits, zeros
    return {}


def _resize(node: IntegerNode, bits: int, zeros: Params) -> Params:
    method = cast(ResizeAttrs, node.attrs).method
    if method is Resampling.NEAREST:
        return {}
    kept = kept_bits(bits)
    shifts: Params = {"row_shift": WEIGHT_BITS - kept, "column_shift": WEIGHT_BITS + kept - node.fraction}
    if method is Resampling.LINEAR:
        return shifts
    zero = cast(int, zeros["x_zero"]) << node.fraction
    return shifts | {"x_zero": zero, "y_zero": zeros["y_zero"]} | _floats(node, "m", "lo", "hi")


def _statistic(node: IntegerNode, bits: int, zeros: Params) -> Params:
    eps = node.params.get("eps", np.zeros(node.channels, np.int64))
    return {**zeros, "shift": variance_shift(bits), **_floats(node, "m", "lo", "hi"), **_halves(eps)}


def _layer_norm(node: IntegerNode, bits: int, zeros: Params) -> Params:
    del bits
    given: Params = {**zeros, "fraction": node.fraction, **_halves(np.asarray(node.params["eps"]).reshape(1))}
    given |= _floats(node, "m")
    given["beta"] = node.params["beta"].astype(np.int32)
    return given | {key: node.params[key].astype(np.int32) for key in ("lo", "hi")}


_PARAMS = {"max_pool": _nothing, "resize": _resize, "statistic": _statistic, "layer_norm": _layer_norm}


def _floats(node: IntegerNode, *keys: str) -> Params:
    return {key: node.params[key].astype(np.float32) for key in keys}


def _halves(values: NDArray[Any]) -> Params:
    """Words of 64-bit numbers: the low ones, then the high ones."""
    words = values.astype("<i8").view("<u4").reshape(-1, 2)
    return {"eps_low": words[:, 0].copy(), "eps_high": words[:, 1].copy()}


def plain_spatial(params: Mapping[str, NDArray[Any] | int]) -> bytes:
    """As they lie in the file: 4-byte words."""
    return b"".join(_words(value) for value in params.values())


def _words(value: NDArray[Any] | int) -> bytes:
    if isinstance(value, int):
        return np.array([value], "<i4").tobytes()
    return value.astype(value.dtype.newbyteorder("<")).tobytes()
