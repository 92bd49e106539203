"""What networks in torch have in common, with gradients: AdaBM as published, and the learned step. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from tvmsr.graph.model import Activation, ConvAttrs
from tvmsr.operations.conv import outside

Tensor: TypeAlias = Any  # torch.Tensor: mypy does not follow torch

#: Functions that the integer form takes from a table, as tvmsr.operations.activate has them.
UNARY: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    Activation.TANH: torch.tanh,
    Activation.SIGMOID: torch.sigmoid,
    Activation.GELU: functional.gelu,
    Activation.GELU_TANH: lambda x: functional.gelu(x, approximate="tanh"),
    Activation.SILU: functional.silu,
    Activation.HARD_SIGMOID: lambda x: (x / 6 + 0.5).clamp(0, 1),
    Activation.HARD_SWISH: lambda x: x * (x / 6 + 0.5).clamp(0, 1),
    Activation.MISH: functional.mish,
    Activation.SOFTPLUS: functional.softplus,
    Activation.ELU: functional.elu,
    Activation.EXP: lambda x: x.clamp(max=80).exp(),
    Activation.SQUARE: torch.square,
    Activation.SQRT: lambda x: x.clamp(min=0).sqrt(),
}


def continued(x: Tensor, attrs: ConvAttrs) -> Tensor:
    """(B, C, H, W) with the pixels of it that a convolution whose padding is not constant reads outside."""
    rows, columns = (torch.tensor(index) for index in outside(tuple(x.shape[2:]), attrs))
    return x.index_select(2, rows).index_select(3, columns)


def depth_to_space(x: Tensor, block: int) -> Tensor:
    """(B, C * block**2, H, W) -> (B, C, block * H, block * W)."""
    batch, channels, height, width = x.shape
    phases = x.reshape(batch, block, block, channels // block**2, height, width)
    return phases.permute(0, 3, 4, 1, 5, 2).reshape(batch, channels // block**2, height * block, width * block)
