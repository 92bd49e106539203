"""Batch normalisation that importing folded into weights, found again: published quantizers see weights without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import F32, Model

#: How checkpoints call the weight of a convolution.
_KEYS = ("{}.weight", "arg:{}_weight", "{}_weight")
#: A weight is its original times factors where what is left is at most this share of it.
_LEFT = 1e-3


def folded_factors(model: Model, checkpoint: str | Path) -> dict[str, F32]:
    """By convolution whose channels were scaled on import: what each output channel was multiplied by, (OC,), not 0.

    The original weights are read from the .safetensors file that the network is of; without one there are no factors.
    """
    if Path(checkpoint).suffix != ".safetensors" or not Path(checkpoint).is_file():
        return {}
    from safetensors.numpy import load_file

    return factors_of(model, load_file(checkpoint))


def factors_of(model: Model, state: Mapping[str, NDArray[Any]]) -> dict[str, F32]:
    """The same, of weights (OC, IC/groups, KH, KW) by the checkpoint's keys."""
    found = {}
    for node in model.graph:
        original = next((state[key] for pattern in _KEYS if (key := pattern.format(node.name)) in state), None)
        if node.op != "conv" or original is None:
            continue
        weight = node.weights["weight"].transpose(3, 2, 0, 1)
        factors = _ratio(weight, original) if weight.shape == original.shape else None
        if factors is not None and np.ptp(factors) > _LEFT * np.abs(factors).max():
            found[node.name] = factors
    return found


def _ratio(weight: F32, original: NDArray[Any]) -> F32 | None:
    """(OC,) factors that make the weight of the original; 1 for channels of nothing; None where there are none."""
    axes = (1, 2, 3)
    old = original.astype(np.float64)
    power = np.square(old).sum(axes)
    ratio = (weight * old).sum(axes) / np.where(power == 0, 1, power)
    left = np.square(weight - ratio[:, None, None, None] * old).sum()
    if left > _LEFT**2 * np.square(weight).sum():
        return None
    return np.where((power == 0) | (ratio == 0), 1, ratio).astype(np.float32)
