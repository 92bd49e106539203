"""Rounding and requantization with straight-through gradients; forward as tvmsr.quant.held.scaled, in float32.

The gradient of a clamped, rounded product is that of the clamped product: within the bounds it goes on to the integer
and to the multiplier, outside to the bound.
"""

# mypy: allow-subclassing-any
# (torch is not followed, so its classes are Any here)

from __future__ import annotations

from typing import Any, TypeAlias

import torch

Tensor: TypeAlias = Any  # torch.Tensor: mypy does not follow torch


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        del ctx
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        del ctx
        return grad


class _Floor(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        del ctx
        return torch.floor(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        del ctx
        return grad


class _Requantise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, m: Tensor, negative: Tensor, lo: Tensor, hi: Tensor, rounds: bool) -> Tensor:
        value = x * _multiplier(x, m, negative)
        ctx.save_for_backward(x, m, negative, lo, hi, value)
        bounded = torch.clamp(value, lo, hi)
        return bounded.round_() if rounds else bounded

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, m, negative, lo, hi, value = ctx.saved_tensors
        multiplier = _multiplier(x, m, negative)
        inside = _inside(grad, value, lo, hi)
        wants_x, wants_m, wants_negative, wants_lo, wants_hi, _ = ctx.needs_input_grad
        of_x = inside * multiplier if wants_x else None
        of_m = of_negative = of_lo = of_hi = None
        if wants_m or wants_negative:
            product = inside * x
            of_negative = _summed(product * (x < 0), negative) if wants_negative else None
            of_m = _summed(product if negative is None else product * (x >= 0), m) if wants_m else None
        if wants_lo:
            of_lo = _summed(grad * (value < lo), lo)
        if wants_hi:
            of_hi = _summed(grad * (value > hi), hi)
        return of_x, of_m, of_negative, of_lo, of_hi, None


def _inside(grad: Tensor, value: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """The gradient where the value is within the bounds, 0 elsewhere."""
    if lo.numel() == hi.numel() == 1:  # in one pass
        return torch.ops.aten.hardtanh_backward(grad, value, float(lo), float(hi))
    return grad.masked_fill((value < lo) | (value > hi), 0)


def _multiplier(x: Tensor, m: Tensor, negative: Tensor) -> Tensor:
    return m if negative is None else torch.where(x < 0, negative, m)


def _summed(grad: Tensor, like: Tensor) -> Tensor:
    """A gradient summed over the dimensions along which `like` was repeated."""
    return grad.sum_to_size(like.shape)


def rounded(x: Tensor) -> Tensor:
    """Nearest integers, ties to even."""
    return _Round.apply(x)


def floored(x: Tensor) -> Tensor:
    return _Floor.apply(x)


def requantised(x: Tensor, m: Tensor, lo: Tensor, hi: Tensor, negative: Tensor = None, rounds: bool = True) -> Tensor:
    """rne(clamp(x * m, lo, hi)), of integers (N, C, H, W) in float32; m, lo, hi float32 (1, C, 1, 1) or ().

    negative: the multiplier where x < 0, in the place of m. rounds: without, what would be rounded.
    """
    return _Requantise.apply(x, m, negative, lo, hi, rounds)
