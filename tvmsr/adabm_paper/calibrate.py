"""Bounds, thresholds and layer factors from crops, without training: the published epoch 0, and clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch

from tvmsr.adabm_paper.layers import Role
from tvmsr.adabm_paper.maps import complexity, percentiles, ranked
from tvmsr.adabm_paper.protocol import SearchBits
from tvmsr.adabm_paper.quantizers import clipped, observed, weight_bound
from tvmsr.adabm_paper.student import Layer, Student, published_weight

Tensor: TypeAlias = Any


def moved(old: Tensor, new: Tensor, momentum: float) -> Tensor:
    """An exponential mean: old * momentum + new * (1 - momentum)."""
    return old * momentum + new * (1 - momentum)


def calibrate(student: Student, batches: Iterable[Tensor], done: Callable[[], object] = lambda: None) -> None:
    """Set every bound, threshold and layer factor of a student. done: called after each batch."""
    protocol = student.protocol
    spreads: dict[str, list[float]] = {layer.name: [] for layer in student.adaptive()}
    with torch.no_grad():
        for number, batch in enumerate(batches):
            momentum = protocol.momentum if number else 0.0

            def see(layer: Layer, x: Tensor, momentum: float = momentum) -> None:
                for bound, new in zip(
                    (layer.lower, layer.upper), observed(x, protocol.observer, protocol.bits), strict=True
                ):
                    bound.copy_(moved(bound, new, momentum))
                if layer.name in spreads:
                    spreads[layer.name].append(float(x.std((1, 2, 3)).mean()))

            student.exact(batch, see)
            found = percentiles(complexity(batch), protocol.image_percentile)
            for threshold, new in zip(student.thresholds, found, strict=True):
                threshold.copy_(moved(threshold, new, momentum))
            done()
        _weights(student)
        means = [sum(values) / len(values) for values in spreads.values()]
        for layer, factor in zip(student.adaptive(), ranked(means, protocol.layer_percentile), strict=True):
            layer.measure.fill_(factor)
    student.changed()


def _weights(student: Student) -> None:
    protocol, quirks = student.protocol, student.protocol.quirks
    for layer in student.layers.values():
        own = quirks.eight_searched_at is SearchBits.OWN
        bits = layer.weight_bits(protocol.weight_bits) if own else protocol.weight_bits
        weight = published_weight(layer, student.constants[layer.name]["weight"])
        layer.bound.copy_(
            weight_bound(weight, protocol.weight_observer, bits, quirks.weight_start, quirks.weight_percentile)
        )


def clip(student: Student, pictures: Tensor) -> None:
    """Bit-aware clipping of all but the layers of 8 bits, one after the other, on (B, 3, H, W).

    Every layer sees what the quantized ones before it make. Its bounds go half of the way (clipping_momentum) to those
    of the least error at its base bits and layer factor: the picture's factor does not count.
    """
    protocol = student.protocol

    def see(layer: Layer, x: Tensor) -> None:
        if layer.role is Role.EIGHT:
            return
        bits = float(student.bits(layer, torch.zeros(1)))
        best = clipped(x, layer.lower, layer.upper, bits, protocol.quirks.shrink)
        for bound, new in zip((layer.lower, layer.upper), best, strict=True):
            bound.copy_(moved(bound, new, protocol.clipping_momentum))

    with torch.no_grad():
        student.quantized(pictures, see)
