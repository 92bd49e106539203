"""The table of operations: one row each. A new operation is a new row."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tvmsr.graph.model import Node
from tvmsr.operations import activate, add, affine, concat, conv, depth_to_space, gather, mul
from tvmsr.operations.operation import Operation, ShapeError

# integer= and lower= are "module:function" of the quant and lower stages, imported when asked for.
_ROWS = (
    Operation("conv", conv.shape, conv.reference),
    Operation("add", add.shape, add.reference),
    Operation("mul", mul.shape, mul.reference),
    Operation("concat", concat.shape, concat.reference),
    Operation("gather", gather.shape, gather.reference),
    Operation("depth_to_space", depth_to_space.shape, depth_to_space.reference),
    Operation("activate", activate.shape, activate.reference),
    # Between the frontends and the end of canonicalisation only: it never reaches quantization.
    Operation("affine", affine.shape, affine.reference),
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType({row.name: row for row in _ROWS})


def operation_of(node: Node) -> Operation:
    """The row of a node's operation."""
    if node.op not in OPERATIONS:
        raise ShapeError(f"{node.name!r}: unknown operation {node.op!r}; known are {', '.join(OPERATIONS)}")
    return OPERATIONS[node.op]
