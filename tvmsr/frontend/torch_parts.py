"""What ATen's operators that take tensors apart become in Relax: slices, chunks, indices."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from tvmsr.frontend.torch_call import Call, Converter, GiveUpError, listed


def _axis(call: Call, tensor: str = "self") -> tuple[int, int]:
    """The dimension that a node works along, and its size."""
    shape = [int(n) for n in call.args[tensor].ty.shape]
    axis = int(call["dim"]) % len(shape)
    return axis, shape[axis]


def _narrow(call: Call) -> Any:
    """TVM's converter takes the length for the end."""
    from tvm import relax

    axis, count = _axis(call)
    if not isinstance(call["start"], int) or not isinstance(call["length"], int):
        raise GiveUpError("from a place that is computed from the picture")
    start = call["start"] % count if call["start"] < 0 else call["start"]
    return call.emit(relax.op.strided_slice(call["self"], [axis], [start], [start + call["length"]]))


def _split_at(call: Call, edges: list[int], axis: int) -> Any:
    """Parts between edges; a tensor that stays whole is a tuple of one all the same."""
    from tvm import relax

    return call.emit(relax.op.split(call["self"], edges, axis)) if edges else (call["self"],)


def _chunk(call: Call) -> Any:
    """TVM's converter makes the parts as equal as it can; torch makes all but the last of one size."""
    axis, count = _axis(call)
    size = -(-count // int(call["chunks"]))
    return _split_at(call, list(range(size, count, size)), axis)


def _tensor_split(call: Call) -> Any:
    axis, count = _axis(call)
    if "sections" not in call.args:
        return _split_at(call, [min(n % count if n < 0 else n, count) for n in listed(call["indices"])], axis)
    sections = int(call["sections"])
    small, larger = divmod(count, sections)
    sizes = [small + 1] * larger + [small] * (sections - larger)
    return _split_at(call, list(accumulate(sizes))[:-1], axis)


def _index_select(call: Call) -> Any:
    from tvm import relax

    return call.emit(relax.op.take(call["self"], call["index"], int(call["dim"])))


def _extreme(name: str) -> Converter:
    """Max and min along a dimension, of which networks use the values and not the places."""

    def convert(call: Call) -> Any:
        from tvm import relax

        made = call.emit(getattr(relax.op, name)(call["self"], listed(call["dim"]) or None, bool(call["keepdim"])))
        return (made, None) if len(call.kinds) > 1 else made

    return convert


CONVERTERS: Mapping[str, Converter] = {
    "narrow.default": _narrow,
    "chunk.default": _chunk,
    **dict.fromkeys(("tensor_split.sections", "tensor_split.indices"), _tensor_split),
    "index_select.default": _index_select,
    **dict.fromkeys(("amax.default", "max.dim"), _extreme("max")),
    **dict.fromkeys(("amin.default", "min.dim"), _extreme("min")),
}
