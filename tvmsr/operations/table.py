"""The table of operations: one row each. A new operation is a new row."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tvmsr.graph.model import Node
from tvmsr.operations import (
    activate,
    add,
    affine,
    concat,
    conv,
    depth_to_space,
    gather,
    layer_norm,
    max_pool,
    mul,
    resize,
    statistic,
)
from tvmsr.operations.operation import Operation, ShapeError

_ROWS = (
    Operation("conv", conv.shape, conv.reference, ("conv",)),
    Operation("add", add.shape, add.reference, ("add",)),
    Operation("mul", mul.shape, mul.reference, ("mul",)),
    Operation("concat", concat.shape, concat.reference, ("concat",)),
    Operation("gather", gather.shape, gather.reference, ("gather",)),
    Operation("depth_to_space", depth_to_space.shape, depth_to_space.reference, ("depth_to_space",)),
    Operation("max_pool", max_pool.shape, max_pool.reference, ("max_pool",)),
    Operation("resize", resize.shape, resize.reference, ("resize",)),
    Operation("statistic", statistic.shape, statistic.reference, ("statistic",)),
    Operation("layer_norm", layer_norm.shape, layer_norm.reference, ("layer_norm",)),
    # A piecewise linear activation is another multiplier per sign, any other one is a table.
    Operation("activate", activate.shape, activate.reference, ("requantize", "table")),
    # Between the frontends and the end of canonicalisation only: it never reaches quantization.
    Operation("affine", affine.shape, affine.reference),
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType({row.name: row for row in _ROWS})


def operation_of(node: Node) -> Operation:
    """The row of a node's operation."""
    if node.op not in OPERATIONS:
        raise ShapeError(f"{node.name!r}: unknown operation {node.op!r}; known are {', '.join(OPERATIONS)}")
    return OPERATIONS[node.op]
