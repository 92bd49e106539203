"""Integer operations on simulated tensors: one small function a row, as docs/numerics.md has them.

Each takes a step, its operands, and whether its result is rounded; it returns centred codes or terms (N, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch.nn import functional

from tvmsr.graph.model import (
    ActivateAttrs,
    Activation,
    AddAttrs,
    Attrs,
    ConvAttrs,
    GatherAttrs,
    LayerNormAttrs,
    Node,
    PadMode,
    PoolAttrs,
    Resampling,
    ResizeAttrs,
    ShuffleAttrs,
    Statistic,
    StatisticAttrs,
)
from tvmsr.operations import in_torch
from tvmsr.quant.integer import TERM_LIMIT, IntegerNode
from tvmsr.quant.learned.gradients import Tensor, floored, requantised, rounded
from tvmsr.quant.learned.grids import Coded, Flow, Summand, per_channel
from tvmsr.quant.learned.layers import Layer, Moving
from tvmsr.quant.reference_spatial import MEAN_BITS, NORMAL_BITS, WEIGHT_BITS, kept_bits, taps

#: Variances below this share of a squared step would have gradients without bounds.
_LEAST_VARIANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Step:
    """A node of the integer graph. exact: the network's own; layer, table, factor: of a convolution."""

    node: IntegerNode
    exact: Node
    form: Coded | Summand
    operation: Operation
    layer: Layer | Moving | None = None
    table: Coded | None = None
    factor: Tensor = None


Operation = Callable[[Step, tuple[Flow, ...], bool], Tensor]


def _bounds(attrs: Attrs, form: Coded | Summand, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds, narrowed by the activation, as tvmsr.quant.multipliers.bounds."""
    lo, hi = form.bounds()
    activation = getattr(attrs, "activation", Activation.NONE)
    if activation is Activation.RELU:
        lo = torch.clamp(lo, min=0)
    elif activation is Activation.CLIP:
        clip = cast(ActivateAttrs, attrs)
        lo, hi = (torch.minimum(torch.maximum(torch.round(e / unit.detach()), lo), hi) for e in (clip.low, clip.high))
    return per_channel(lo), per_channel(hi)


def conv(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    attrs, x, layer = cast(ConvAttrs, step.exact.attrs), operands[0], cast(Layer, step.layer)
    unit_of_sum = x.code.grid.scale() * layer.scales()
    padded = _padded(x, attrs, step.exact.weights["pad"])
    bias = layer.bias_codes(unit_of_sum).float()
    acc = functional.conv2d(padded, layer.codes(), bias, attrs.stride, 0, attrs.dilation, attrs.groups)
    held = step.table or step.form
    unit = held.unit()
    multiplier = unit_of_sum / unit if step.factor is None else unit_of_sum / unit * step.factor
    if step.table is not None:
        lo, hi = _bounds(Attrs(), held, unit)
        return _looked_up(step, requantised(acc, per_channel(multiplier), lo, hi), step.table, attrs, rounds)
    lo, hi = _bounds(attrs, held, unit)
    negative = None
    if attrs.activation is Activation.LEAKY:
        negative = per_channel(multiplier * torch.tensor(step.exact.weights["slope"].astype(np.float64)))
    return requantised(acc, per_channel(multiplier), lo, hi, negative, rounds)


def _padded(x: Flow, attrs: ConvAttrs, value: np.ndarray) -> Tensor:
    """With what a convolution reads outside the picture."""
    if attrs.mode is not PadMode.CONSTANT:
        return in_torch.continued(x.values, attrs)
    top, left, bottom, right = attrs.padding
    if not any(attrs.padding):
        return x.values
    sides = (left, right, top, bottom)
    if not np.any(value):
        return functional.pad(x.values, sides)
    lo, hi = x.code.bounds()
    with torch.no_grad():
        exact = torch.tensor(value.astype(np.float64)) / x.code.unit()
        pad = per_channel(torch.minimum(torch.maximum(torch.round(exact), lo), hi))
    return functional.pad(x.values - pad, sides) + pad


def _looked_up(step: Step, index: Tensor, x: Coded, attrs: ConvAttrs | ActivateAttrs, rounds: bool) -> Tensor:
    """A table's entry: any function of a centred code."""
    out = cast(Coded, step.form)
    value = attrs.gain * _FUNCTIONS[attrs.activation](index.double() * x.grid.scale()) + attrs.offset
    lo, hi = out.bounds()
    return requantised(value, 1 / out.grid.scale(), lo, hi, rounds=rounds).float()


def add(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    out, fraction = cast(Coded, step.form), step.node.fraction
    unit = out.unit()
    limit = torch.tensor(float(TERM_LIMIT))
    total = torch.tensor(float((1 << fraction) >> 1 if rounds else 0))
    for index, operand in enumerate(operands):
        term = operand.values
        if isinstance(operand.form, Coded):
            factor = step.exact.weights.get(f"factor{index}")
            multiplier = operand.form.unit() / (unit / (1 << fraction))
            if factor is not None:
                multiplier = operand.form.unit() * torch.tensor(factor.astype(np.float64)) / (unit / (1 << fraction))
            term = requantised(term, per_channel(multiplier), -limit, limit)
        total = total + term
    shifted = total / (1 << fraction)
    lo, hi = _bounds(cast(AddAttrs, step.exact.attrs), out, unit)
    return requantised(floored(shifted) if rounds else shifted, torch.ones(()), lo, hi, rounds=rounds)


def concat(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    out, parts, first = cast(Coded, step.form), [], 0
    unit = out.unit()
    for operand in operands:
        chosen = slice(first, first + operand.values.shape[1])
        first = chosen.stop
        multiplier = per_channel(operand.code.unit() / unit[chosen])
        lo, hi = (per_channel(bound) for bound in out.bounds())
        parts.append(requantised(operand.values, multiplier, lo, hi, rounds=rounds))
    return torch.cat(parts, 1)


def mul(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    left, right = operands
    unit = cast(Coded, step.form).unit()
    lo, hi = _bounds(step.exact.attrs, step.form, unit)
    multiplier = per_channel(left.code.unit() * right.code.unit() / unit)
    return requantised(left.values * right.values, multiplier, lo, hi, rounds=rounds)


def activate(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    """An activation of its own, and the narrow reading of a wide tensor."""
    x, unit = operands[0], cast(Coded, step.form).unit()
    attrs = cast(ActivateAttrs, step.exact.attrs)
    if step.node.op == "table":
        return _looked_up(step, x.values, x.code, attrs, rounds)
    multiplier, negative = x.code.unit() / unit, None
    if getattr(attrs, "activation", Activation.NONE) is Activation.LEAKY:
        negative = per_channel(multiplier * torch.tensor(step.exact.weights["slope"].astype(np.float64)))
    lo, hi = _bounds(attrs, step.form, unit)
    return requantised(x.values, per_channel(multiplier), lo, hi, negative, rounds)


def gather(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    del rounds
    return operands[0].values[:, list(cast(GatherAttrs, step.exact.attrs).channels)]


def depth_to_space(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    del rounds
    return in_torch.depth_to_space(operands[0].values, cast(ShuffleAttrs, step.exact.attrs).block)


def max_pool(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    del rounds
    attrs = cast(PoolAttrs, step.exact.attrs)
    top, left, bottom, right = attrs.padding
    padded = functional.pad(operands[0].values, (left, right, top, bottom), value=-float(1 << 17))
    return functional.max_pool2d(padded, attrs.kernel, attrs.stride)


def statistic(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    """In float64; the integer one cuts off digits here and there, so results may differ by a code."""
    attrs, x = cast(StatisticAttrs, step.exact.attrs), operands[0]
    form = cast(Coded, step.form)
    unit, values = x.code.unit().view(1, -1, 1, 1), x.values.double()
    if attrs.kind is Statistic.MAX:
        value = values.amax((2, 3), keepdim=True) * unit
    elif attrs.kind is Statistic.MEAN:
        value = floored(values.mean((2, 3), keepdim=True) * 2.0**MEAN_BITS + 0.5) * 2.0**-MEAN_BITS * unit
    else:
        spread = values.var((2, 3), correction=int(attrs.unbiased), keepdim=True)
        value = torch.clamp(spread, min=_LEAST_VARIANCE) * unit**2 + attrs.epsilon
        value = torch.sqrt(value) if attrs.kind is Statistic.DEVIATION else value
    lo, hi = form.bounds()
    return requantised(value, 1 / form.unit().view(1, -1, 1, 1), lo, hi, rounds=rounds).float()


def resize(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    """Rows, then columns. Weights sum to a power of two, so zero points go through both shifts as they are."""
    attrs, x = cast(ResizeAttrs, step.exact.attrs), operands[0]
    like = operands[-1].values.shape[2:]
    height, width = (int(side * attrs.factor) for side in x.values.shape[2:]) if attrs.factor else like
    kept = kept_bits(x.code.grid.bits)
    tall = torch.matmul(_weights(height, x.values.shape[2], attrs), x.values.double())
    tall = floored(tall / (1 << (WEIGHT_BITS - kept)) + _half(WEIGHT_BITS - kept))
    shift = WEIGHT_BITS + kept - step.node.fraction
    value = torch.matmul(tall, _weights(width, x.values.shape[3], attrs).T)
    value = floored(value / (1 << shift) + _half(shift))
    if attrs.method is not Resampling.CUBIC:
        return value.float()
    out = cast(Coded, step.form)
    multiplier = x.code.unit() / (out.unit() * (1 << step.node.fraction))
    lo, hi = out.bounds()
    return requantised(value.float(), per_channel(multiplier), per_channel(lo), per_channel(hi), rounds=rounds)


def _half(shift: int) -> float:
    """What is added before a shift that is a division and a floor here."""
    return 0.5 if shift else 0.0


def _weights(count: int, size: int, attrs: ResizeAttrs) -> Tensor:
    """(count, size), float64: of each source pixel in each resized one."""
    first, weights = taps(count, size, attrs)
    found = np.zeros((count, size))
    for tap in range(weights.shape[1]):
        np.add.at(found, (np.arange(count), np.clip(first + tap, 0, size - 1)), weights[:, tap])
    return torch.tensor(found)


def layer_norm(step: Step, operands: tuple[Flow, ...], rounds: bool) -> Tensor:
    """In float64; the integer one cuts off digits of the root here and there, so results may differ by a code."""
    attrs, x = cast(LayerNormAttrs, step.exact.attrs), operands[0]
    out, one, values = cast(Coded, step.form), 1 << NORMAL_BITS, x.values.double()
    distance = values - values.mean(1, keepdim=True)
    spread = (distance**2).mean(1, keepdim=True) + attrs.epsilon / x.code.grid.scale() ** 2
    normal = rounded(distance / torch.sqrt(torch.clamp(spread, min=_LEAST_VARIANCE)) * one)
    unit = out.unit() / (1 << step.node.fraction)
    gamma, beta = (torch.tensor(step.exact.weights[key].astype(np.float64)) for key in ("gamma", "beta"))
    limit = torch.tensor(float(TERM_LIMIT))
    term = requantised(normal.float(), per_channel(gamma / unit / one), -limit, limit)
    total = (term + per_channel(rounded(beta / unit))) / (1 << step.node.fraction)
    lo, hi = (per_channel(bound) for bound in out.bounds())
    whole = floored(total + _half(step.node.fraction)) if rounds else total
    return requantised(whole, torch.ones(()), lo, hi, rounds=rounds)


#: One row an operation of the canonical graph that can be simulated.
OPERATIONS: Mapping[str, Operation] = {
    "conv": conv,
    "add": add,
    "concat": concat,
    "mul": mul,
    "activate": activate,
    "gather": gather,
    "depth_to_space": depth_to_space,
    "max_pool": max_pool,
    "statistic": statistic,
    "resize": resize,
    "layer_norm": layer_norm,
}

#: The square root is kept from 0, where its gradient has no bounds.
_FUNCTIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    **in_torch.UNARY,
    Activation.SQRT: lambda x: torch.sqrt(torch.clamp(x, min=1e-12)),
}
