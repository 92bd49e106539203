"""`layer_norm`: each pixel less its mean, divided by its deviation over the channels, times gamma, plus beta."""

from __future__ import annotations

from typing import cast

import numpy as np

from tvmsr.graph.model import F32, LayerNormAttrs, Node, TensorType
from tvmsr.operations.operation import expect, expect_vector


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 1, node, "needs one input")
    for key in ("gamma", "beta"):
        expect_vector(node, key, types[0].channels)
    expect(cast(LayerNormAttrs, node.attrs).epsilon > 0, node, "needs a positive epsilon")
    return types[0]


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    x, attrs = inputs[0], cast(LayerNormAttrs, node.attrs)
    centred = x - x.mean(axis=2, keepdims=True)
    variance = np.square(centred).mean(axis=2, keepdims=True)
    return centred / np.sqrt(variance + np.float32(attrs.epsilon)) * node.weights["gamma"] + node.weights["beta"]
