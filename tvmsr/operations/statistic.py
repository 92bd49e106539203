"""`statistic`: mean, variance, deviation or maximum of each channel over the picture, as a 1x1 map."""

from __future__ import annotations

from typing import cast

import numpy as np

from tvmsr.graph.model import F32, Node, Statistic, StatisticAttrs, TensorType
from tvmsr.operations.operation import expect


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 1, node, "needs one input")
    expect(cast(StatisticAttrs, node.attrs).epsilon >= 0, node, "a negative epsilon")
    return TensorType(types[0].channels, *(extent.then(0, 1) for extent in types[0].size))


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    attrs = cast(StatisticAttrs, node.attrs)
    pixels = inputs[0].reshape(-1, inputs[0].shape[2])
    if attrs.kind is Statistic.MAX:
        return pixels.max(axis=0).reshape(1, 1, -1)
    if attrs.kind is Statistic.MEAN:
        return pixels.mean(axis=0, dtype=np.float64).astype(np.float32).reshape(1, 1, -1)
    variance = pixels.var(axis=0, dtype=np.float64, ddof=int(attrs.unbiased and len(pixels) > 1))
    value = np.sqrt(variance + attrs.epsilon) if attrs.kind is Statistic.DEVIATION else variance + attrs.epsilon
    return value.astype(np.float32).reshape(1, 1, -1)
