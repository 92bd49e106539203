"""The published quantizers and how their bounds are found. Rounding passes gradients on as if it were not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from tvmsr.adabm_paper.protocol import Observer, Shrink, Sides, WeightStart

Tensor: TypeAlias = Any

#: What Observer.PERCENTILE keeps; steps of 1 % that searches shrink bounds by.
KEPT = 0.99
WEIGHT_STEPS, OBSERVER_STEPS, CLIPPING_STEPS = 50, 90, 100
#: Stands for a width of 0, of values that are all alike.
_THIN = 1e-12


def rounded(x: Tensor) -> Tensor:
    """To the nearest integer, ties to even; the gradient is 1."""
    return x + (torch.round(x) - x).detach()


def quantize(x: Tensor, lower: Tensor, upper: Tensor, bits: Tensor | float) -> Tensor:
    """X on the grid of 2^bits levels from lower to upper, values beyond them clipped.

    bits: a number, or (B, 1, 1, 1), and differentiable: its gradient is proportional to the rounding error.
    """
    width = _width(lower, upper)
    steps = 2**bits - 1
    place = (torch.clamp(x, lower, upper) - lower) / width * steps
    return rounded(place) / steps * width + lower


def quantize_weight(weight: Tensor, bound: Tensor, bits: float) -> Tensor:
    """On the grid of 2^bits levels from -bound to bound: zero is none of them."""
    return quantize(weight, -bound, bound, bits)


def _width(lower: Tensor, upper: Tensor) -> Tensor:
    width = upper - lower
    return torch.where(width == 0, torch.full_like(width, _THIN), width)


def _error(x: Tensor, lower: Tensor, upper: Tensor, bits: Tensor | float) -> float:
    return float((x - quantize(x, lower, upper, bits)).square().mean())


def _least(score: Callable[[float], float], steps: int) -> float:
    """The first of the factors 1.00, 0.99, ... with the lowest score."""
    factors = [1.0 - 0.01 * step for step in range(steps)]
    scores = [score(factor) for factor in factors]
    return factors[scores.index(min(scores))]


def _minmax(x: Tensor, bits: float) -> tuple[Tensor, Tensor]:
    del bits
    return x.min(), x.max()


def _percentile(x: Tensor, bits: float) -> tuple[Tensor, Tensor]:
    del bits
    return quantile(x, 1 - KEPT), quantile(x, KEPT)


def _omse(x: Tensor, bits: float) -> tuple[Tensor, Tensor]:
    lower, upper = x.min(), x.max()
    factor = _least(lambda f: _error(x, lower * f, upper * f, bits), OBSERVER_STEPS)
    return lower * factor, upper * factor


_OBSERVERS: Mapping[Observer, Callable[[Tensor, float], tuple[Tensor, Tensor]]] = {
    Observer.MINMAX: _minmax,
    Observer.PERCENTILE: _percentile,
    Observer.OMSE: _omse,
}


def observed(x: Tensor, observer: Observer, bits: float) -> tuple[Tensor, Tensor]:
    """(lower, upper) of a batch's activations, scalars. bits: what OMSE searches for."""
    with torch.no_grad():
        return _OBSERVERS[observer](x, bits)


def quantile(x: Tensor, share: float) -> Tensor:
    """Linear between neighbours, as torch.quantile, which refuses more than 2^24 values."""
    values = x.flatten().sort().values
    place = share * (len(values) - 1)
    base = min(int(place), len(values) - 2) if len(values) > 1 else 0
    return torch.lerp(values[base], values[min(base + 1, len(values) - 1)], place - base)


def weight_bound(weight: Tensor, observer: Observer, bits: float, start: WeightStart, sides: Sides) -> Tensor:
    """The bound of a weight, a positive scalar. start: of MINMAX and OMSE; sides: of PERCENTILE.

    A weight without a positive value has no published bound; that of its absolute values is taken.
    """
    with torch.no_grad():
        if observer is Observer.PERCENTILE:
            bound = quantile(weight.abs() if sides is Sides.BOTH else weight, KEPT)
        else:
            bound = (weight.abs() if start is WeightStart.ABSOLUTE else weight).max()
        if bound <= 0:
            bound = weight.abs().max().clamp(min=_THIN)
        if observer is Observer.OMSE:
            bound = bound * _least(lambda f: _error(weight, -bound * f, bound * f, bits), WEIGHT_STEPS)
        return bound


def clipped(x: Tensor, lower: Tensor, upper: Tensor, bits: float, shrink: Shrink) -> tuple[Tensor, Tensor]:
    """Bit-aware clipping: the bounds, shrunk to the least mean square error of x at so many bits."""
    with torch.no_grad():
        if shrink is Shrink.COMMON:
            factor = _least(lambda f: _error(x, lower * f, upper * f, bits), CLIPPING_STEPS)
            return lower * factor, upper * factor
        above = upper * _least(lambda f: _error(x, lower, upper * f, bits), CLIPPING_STEPS)
        return lower * _least(lambda f: _error(x, lower * f, above, bits), CLIPPING_STEPS), above
