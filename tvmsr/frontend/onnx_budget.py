"""What it costs to compute a node of constants in advance: a few bytes of a file can ask for any number of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.whole_file import MAX_BYTES, in_words, shown

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]

#: Values that a node makes, or steps that it takes.
MAX_VALUES = 1 << 26
#: Numbers that onnx computes in advance: it keeps each in some 50 bytes.
MAX_SHAPE_VALUES = 1 << 22
_LONGEST_SHAPE = 8
#: Smaller results are not counted together with all others: the number of nodes limits them.
_SMALL = 1 << 13
_BYTES_EACH = 8


def check_cost(node: onnx.NodeProto, constants: Mapping[str, Array]) -> None:
    """Raise ValueError where a node whose inputs are all in `constants` would make too many values of them."""
    inputs = [constants[name] if name else np.zeros(0) for name in node.input]
    count = _estimate(node, inputs)
    if count > MAX_VALUES:
        raise ValueError(f"{shown(node.op_type)} that makes {shown(node.output[0])} would compute {count:.3g} values")
    if count > _SMALL:
        total = sum(value.nbytes for value in constants.values()) + count * _BYTES_EACH
        if total > MAX_BYTES:
            raise ValueError(f"its constants would take {in_words(int(total))}")


#: What onnx computes in advance, number by number, when it infers shapes, and that can make more of its inputs.
_COMPUTED_WITH_SHAPES = frozenset(("Concat", "Slice", "Gather", "Cast", "Squeeze", "Unsqueeze", "Add", "Sub", "Mul"))


def check_growth(graph: onnx.GraphProto, source: str) -> None:
    """InputFileError where the numbers that onnx computes to infer shapes grow beyond bounds, say twofold a node.

    The nodes are in order.
    """
    counts = {tensor.name: prod(tensor.dims) for tensor in graph.initializer if len(tensor.dims) <= 1}
    for node in graph.node:
        inputs = [counts.get(name, 0) for name in node.input]
        count = 0
        if node.op_type == "Shape":
            count = _LONGEST_SHAPE
        elif node.op_type == "Constant":
            count = max((max(prod(a.t.dims), len(a.ints), len(a.floats)) for a in node.attribute), default=0)
        elif node.op_type in _COMPUTED_WITH_SHAPES and inputs:
            count = sum(inputs) if node.op_type == "Concat" else max(inputs)
        if count > MAX_SHAPE_VALUES:
            raise InputFileError(
                f"{source}: {shown(node.op_type)} that makes {shown(node.output[0])} makes too many values"
            )
        counts.update(dict.fromkeys(node.output, count))


def _estimate(node: onnx.NodeProto, inputs: Sequence[Array]) -> float:
    """An upper bound of the values that a node computes; in floating point, so that nothing overflows."""
    if not inputs:
        return 0.0
    rule = _RULES.get(node.op_type)
    if rule is None:
        return max(_broadcast(inputs), _together(inputs))
    return rule(inputs)


def _together(inputs: Sequence[Array]) -> float:
    return float(sum(value.size for value in inputs))


def _broadcast(inputs: Sequence[Array]) -> float:
    """Values of a result in which every dimension is as long as the longest of the inputs' there."""
    rank = max(value.ndim for value in inputs)
    shapes = [(1,) * (rank - value.ndim) + value.shape for value in inputs]
    return prod(float(max(lengths)) for lengths in zip(*shapes, strict=True))


def _numbers(value: Array) -> list[float]:
    return [abs(float(n)) for n in value.ravel()[:64]]


def _filled(inputs: Sequence[Array]) -> float:
    return prod(_numbers(inputs[0]))


def _expanded(inputs: Sequence[Array]) -> float:
    return max(inputs[0].size, 1) * prod(max(n, 1.0) for n in _numbers(inputs[1]))


def _ranged(inputs: Sequence[Array]) -> float:
    if len(inputs) < 3 or any(value.size != 1 for value in inputs):
        return 0.0
    start, limit, step = (float(value.ravel()[0]) for value in inputs[:3])
    return abs(limit - start) / abs(step) if step else float("inf")


def _padded(inputs: Sequence[Array]) -> float:
    amounts = _numbers(inputs[1]) if len(inputs) > 1 else []
    return prod(float(n) + sum(amounts) for n in inputs[0].shape)


def _resized(inputs: Sequence[Array]) -> float:
    asked = [prod(max(n, 1.0) for n in _numbers(value)) for value in inputs[1:] if value.size]
    return max(inputs[0].size, 1) * max(asked, default=1.0)


def _taken(inputs: Sequence[Array]) -> float:
    return float(inputs[0].size) * max(inputs[1].size, 1) if len(inputs) > 1 else float(inputs[0].size)


def _hot(inputs: Sequence[Array]) -> float:
    return inputs[0].size * max(_numbers(inputs[1]), default=0.0)


#: Operators whose results are larger than the largest of their inputs, broadcast.
_RULES: Mapping[str, Callable[[Sequence[Array]], float]] = {
    "ConstantOfShape": _filled,
    "Expand": _expanded,
    "Tile": _expanded,
    "Range": _ranged,
    "Pad": _padded,
    "Resize": _resized,
    "Upsample": _resized,
    "OneHot": _hot,
    "Gather": _taken,
    "MatMul": _taken,
    "Gemm": _taken,
    "Einsum": _taken,
    "Conv": _taken,
    "ConvTranspose": _taken,
    "AffineGrid": _filled,
    "HannWindow": _filled,
    "HammingWindow": _filled,
    "BlackmanWindow": _filled,
}
