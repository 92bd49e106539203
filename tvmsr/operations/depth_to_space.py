"""`depth_to_space`: input channel (dy*block + dx)*C + c goes to pixel (y*block + dy, x*block + dx), channel c."""

from __future__ import annotations

from typing import cast

import numpy as np

from tvmsr.graph.model import F32, Node, ShuffleAttrs, TensorType
from tvmsr.operations.operation import expect


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 1, node, "needs one input")
    block = cast(ShuffleAttrs, node.attrs).block
    expect(block >= 1, node, f"block {block} is not positive")
    expect(types[0].channels % block**2 == 0, node, f"{types[0].channels} channels do not divide by {block}^2")
    return TensorType(types[0].channels // block**2, *(extent.then(block, 0) for extent in types[0].size))


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    block = cast(ShuffleAttrs, node.attrs).block
    height, width, channels = inputs[0].shape
    split = inputs[0].reshape(height, width, block, block, channels // block**2)
    moved = split.transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(moved).reshape(height * block, width * block, -1)
