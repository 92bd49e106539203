"""QDQ files: pairs of QuantizeLinear and DequantizeLinear become marks on tensors; tvmsr/quant/imported.py reads them.

The weights' own DequantizeLinear nodes are constants by then (onnx_prepare.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.frontend.importer import Importer, UnsupportedError, Value
from tvmsr.frontend.onnx_call import Call, GiveUpError
from tvmsr.graph.model import INPUT, ActivateAttrs, Activation, Mark

if TYPE_CHECKING:
    import onnx

QUANTIZING = ("QuantizeLinear", "DequantizeLinear")
#: By the type of the zero point: bits, and what a code is more than the stored value.
_TYPES = {"uint8": (8, 0), "int8": (8, 1 << 7), "uint16": (16, 0), "int16": (16, 1 << 15)}
#: An operation of ours (own_ops.py) that stands for quantize and dequantize together.
MARK = "mark"


def folded(node: onnx.NodeProto, values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """What QuantizeLinear or DequantizeLinear makes of a constant: onnx's own evaluator knows new opsets only."""
    attrs = {a.name: a.i for a in node.attribute}
    if attrs.get("block_size"):
        raise ValueError(f"{node.op_type} {node.name!r} has one scale a block; give one a channel")
    x, scale = values[0], np.asarray(values[1], np.float64)
    zero = np.zeros(scale.shape, np.uint8) if len(values) < 3 else values[2]
    if scale.ndim == 1 and scale.size > 1:
        shape = [1] * x.ndim
        shape[attrs.get("axis", 1)] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    if node.op_type == "DequantizeLinear":
        return ((x.astype(np.float64) - zero.astype(np.float64)) * scale).astype(np.float32)
    limits = np.iinfo(zero.dtype)
    return np.clip(np.rint(x / scale) + zero.astype(np.float64), limits.min, limits.max).astype(zero.dtype)


def quantize_linear(call: Call) -> Any:
    """What the codes stand for, a mark for the walk over the module; the codes themselves do not exist there."""
    scale, zero = call.constant(1), call.constant(2)
    if scale is None or scale.size != 1 or (zero is not None and zero.size != 1):
        raise GiveUpError("with a scale per channel: activations have one scale a tensor")
    kind = "uint8" if zero is None else str(zero.dtype)
    if kind not in _TYPES:
        raise GiveUpError(f"to {kind}: codes of 8 or 16 bits are supported")
    bits, offset = _TYPES[kind]
    code = offset + (0 if zero is None else int(np.asarray(zero).reshape(-1)[0]))
    return call.own(MARK, bits=bits, scale=float(np.asarray(scale, np.float32).reshape(-1)[0]), zero=code)


def dequantize_linear(call: Call) -> Any:
    """What it reads stands for its result already; anything but codes of QuantizeLinear is refused."""
    if str(call.x.ty.dtype) != "float32":
        raise GiveUpError("of integers that no QuantizeLinear made")
    return call.x


def mark(net: Importer, args: list[Any], attrs: Any) -> Value:
    """Note how a tensor was quantized. Codes that begin at 0 clip: exporters leave a ReLU before them out."""
    if not np.isfinite(attrs.scale) or attrs.scale <= 0:
        raise UnsupportedError(f"with the scale {attrs.scale}")
    name = net.tensor(args[0])
    if name == INPUT:
        return net.whole(name)  # a byte of the picture is its own code
    if attrs.zero == 0:
        name = net.emit("activate", (name,), ActivateAttrs(Activation.RELU)).source
    net.marks[name] = Mark(int(attrs.bits), float(attrs.scale), int(attrs.zero))
    return net.whole(name)
