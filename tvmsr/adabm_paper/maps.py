"""From a picture, and from a layer, to a factor of -1, 0 or 1; gradients are those of a smooth stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.nn import functional

Tensor: TypeAlias = Any

#: Gray of R, G, B.
GRAY = (0.299, 0.587, 0.114)
#: Complexity is the mean gradient times this.
COMPLEXITY_SCALE = 1000.0
#: Stands for thresholds that are the same.
_THIN = 1e-6


def complexity(picture: Tensor) -> Tensor:
    """(B, 3, H, W) RGB 0..1 -> (B,): 1000 times the mean of the absolute gradients of gray in both directions.

    Gradients are Sobel's, divided by 8; outside of the picture lies its nearest pixel.
    """
    gray = (picture * torch.tensor(GRAY).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    kernels = torch.stack([across, across.T])[:, None]
    edges = functional.conv2d(functional.pad(gray, (1, 1, 1, 1), mode="replicate"), kernels)
    return edges.abs().mean((1, 2, 3)) * COMPLEXITY_SCALE


def _straight(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` with the gradient of `soft`."""
    return soft - soft.detach() + hard.detach()


def image_factor(measure: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """(B,) complexities -> (B,): -1 below the lower threshold, 1 above the upper one, else 0 (both: 0)."""
    gap = upper - lower
    gap = torch.where(gap == 0, torch.full_like(gap, _THIN), gap)
    soft = torch.tanh((measure - (upper + lower) / 2) * 2 / gap)
    above, below = (measure > upper).to(measure.dtype), (measure < lower).to(measure.dtype)
    return _straight(above - below, soft)


def layer_factor(measure: Tensor) -> Tensor:
    """A scalar, rounded within -1..1."""
    return _straight(torch.round(measure.clamp(-1, 1)), torch.tanh(measure))


def percentiles(measures: Tensor, percentile: float) -> tuple[Tensor, Tensor]:
    """The thresholds of a batch of complexities: this percentile and its counterpart."""
    return torch.quantile(measures, percentile / 100), torch.quantile(measures, 1 - percentile / 100)


def ranked(sensitivities: Sequence[float], percentile: float) -> list[float]:
    """Factors of layers by their sensitivity: -1 below the percentile over all, 1 above its counterpart, else 0."""
    lower, upper = np.percentile(sensitivities, (percentile, 100 - percentile))
    return [float(value > upper) - float(value < lower) for value in sensitivities]
