"""`gather`: output channel i is input channel channels[i]."""

from __future__ import annotations

from typing import cast

import numpy as np

from tvmsr.graph.model import F32, GatherAttrs, Node, TensorType
from tvmsr.operations.operation import expect


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 1, node, "needs one input")
    channels = cast(GatherAttrs, node.attrs).channels
    expect(len(channels) > 0, node, "selects no channel")
    expect(
        all(0 <= c < types[0].channels for c in channels),
        node,
        f"selects a channel beyond the {types[0].channels} there",
    )
    return TensorType(len(channels), *types[0].size)


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    return np.ascontiguousarray(inputs[0][:, :, list(cast(GatherAttrs, node.attrs).channels)])
