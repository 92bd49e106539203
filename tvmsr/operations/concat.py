"""`concat`: tensors of one size, one after another along the channels."""

from __future__ import annotations

import numpy as np

from tvmsr.graph.model import F32, Node, TensorType
from tvmsr.operations.operation import expect


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) >= 2, node, "needs two or more inputs")
    expect(all(t.size == types[0].size for t in types), node, f"inputs differ: {'; '.join(map(str, types))}")
    return TensorType(sum(t.channels for t in types), *types[0].size)


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    return np.concatenate(inputs, axis=2)
