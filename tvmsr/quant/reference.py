"""The reference executor: what an IntegerGraph means, in plain numpy. docs/numerics.md says the same in words.

Exactness. A convolution's sum is a float64 matrix product of integers: |code - zero| < 2**16, |weight| < 2**7, so a
sum of K products stays below K * 2**23, which float64 holds exactly for every K < 2**30, whatever the order of
summation and with or without fused multiply-add. Where no part of any sum can reach 2**24, it is a float32 product,
which holds that as exactly and takes half the time. Nothing else is ever summed in floating point. Every float32
product is clamped and rounded to an integer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import INPUT, Activation, ConvAttrs, GatherAttrs, PadMode, ShuffleAttrs
from tvmsr.operations.conv import cropped, outside
from tvmsr.quant.held import Held, Values, code_type, scaled, store
from tvmsr.quant.integer import TERM_LIMIT, Code, IntegerGraph, IntegerNode, Term
from tvmsr.quant.reference_spatial import layer_norm, max_pool, resize, statistic

F64 = NDArray[np.float64]

#: Values of the column matrix that exists at a time (4 MiB): it stays in the cache between copy and product.
_BLOCK_VALUES = 1 << 19
#: Integers below it are float32 numbers.
_FLOAT32_LIMIT = 1 << 24


#: Called with the name of each tensor and its values (codes, or the int32 of a term) as soon as they are known.
Visitor = Callable[[str, Values], None]


def run(
    graph: IntegerGraph,
    image: NDArray[np.uint8],
    keep: Collection[str] | None = None,
    *,
    visit: Visitor | None = None,
) -> Any:
    """Run a picture (H, W, 3) of bytes; return the output (H', W', C) of bytes.

    With `keep`, return the tensors of these names instead, as a dictionary: codes uint8 (up to 8 bits) or uint16, terms
    int32. `visit` sees every tensor in execution order, `input` first. Tensors are freed after their last reader.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"a picture is uint8 (H, W, 3), not {image.dtype} {image.shape}")
    wanted = {graph.output} if keep is None else set(keep)
    last = {name: node.name for node in graph for name in node.inputs}
    tensors = {INPUT: Held(image, graph.input)}
    if visit is not None:
        visit(INPUT, image)
    for node in graph:
        operands = tuple(tensors[name] for name in node.inputs)
        tensors[node.name] = held = execute(node, operands)
        if visit is not None:
            visit(node.name, held.values)
        for name in set(node.inputs):
            if last[name] == node.name and name not in wanted:
                del tensors[name]
    if keep is None:
        return tensors[graph.output].values
    return {name: tensors[name].values for name in wanted}


def run_tensors(graph: IntegerGraph, image: NDArray[np.uint8]) -> dict[str, Values]:
    """Every tensor of a picture by name, `input` among them. Meant for crops."""
    tensors: dict[str, Values] = run(graph, image, keep={INPUT, *(node.name for node in graph)})
    return tensors


def execute(node: IntegerNode, operands: tuple[Held, ...]) -> Held:
    """One operation on its operands."""
    if node.op not in INTEGER_REFERENCE:
        raise ValueError(f"{node.name!r}: no integer operation {node.op!r}")
    return Held(INTEGER_REFERENCE[node.op](node, operands), node.output)


# conv ------------------------------------------------------------------------------------------------------------


def conv(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """Convolution, bias, requantization with its activation."""
    blocks = [(rows, conv_finish(node, acc)) for rows, acc in conv_blocks(node, operands[0])]
    return np.concatenate([block for _, block in blocks], axis=0)


def conv_blocks(node: IntegerNode, x: Held) -> Iterable[tuple[int, F64]]:
    """(first row, accumulators (rows, W', OC), integers in float64) of a convolution, from the top down."""
    attrs, weight = cast(ConvAttrs, node.attrs), node.params["weight"]
    codes = padded(x, attrs, node.params["pad"])
    kernel_h, kernel_w, ins, outs = weight.shape
    if kernel_h * kernel_w * ins >= 1 << 30:
        raise ValueError(f"{node.name!r}: {weight.shape} is beyond exact float64 sums")
    height = (codes.shape[0] - attrs.dilation * (kernel_h - 1) - 1) // attrs.stride + 1
    width = (codes.shape[1] - attrs.dilation * (kernel_w - 1) - 1) // attrs.stride + 1
    if height < 1 or width < 1:
        raise ValueError(f"{node.name!r}: the picture is smaller than the {kernel_w}x{kernel_h} kernel")
    matrix = weight.astype(_exact_type(codes, weight)).reshape(-1, outs)
    codes = codes.astype(matrix.dtype)
    rows = max(1, _BLOCK_VALUES // (width * matrix.shape[0]))
    per_group = outs // attrs.groups
    for row in range(0, height, rows):
        count = min(rows, height - row)
        acc = np.empty((count, width, outs))
        for group in range(attrs.groups):
            part = codes[:, :, group * ins : (group + 1) * ins]
            columns = _columns(part, row, count, width, (kernel_h, kernel_w), attrs)
            chosen = slice(group * per_group, (group + 1) * per_group)
            acc[:, :, chosen] = (columns @ matrix[:, chosen]).reshape(count, width, per_group)
        acc += node.params["bias"]
        yield row, acc


def _exact_type(codes: Values, weight: NDArray[np.int8]) -> type[np.float32] | type[np.float64]:
    """What holds every partial sum of products of these centred codes (H, W, IC) with weights (..., OC) exactly."""
    heaviest = int(np.abs(weight.astype(np.int32)).sum(axis=(0, 1, 2)).max(initial=0))
    return np.float32 if heaviest * int(np.abs(codes).max(initial=0)) < _FLOAT32_LIMIT else np.float64


def padded(x: Held, attrs: ConvAttrs, pad: Values) -> Values:
    """Centred codes with the padding around them, int32: outside lies the pad code of the channel, or a pixel's."""
    if attrs.mode is not PadMode.CONSTANT:
        return x.centred()[np.ix_(*outside(x.values.shape, attrs))]
    centred = cropped(x.centred(), attrs.padding)
    top, left, bottom, right = (max(amount, 0) for amount in attrs.padding)
    height, width, channels = centred.shape
    values = np.empty((height + top + bottom, width + left + right, channels), np.int32)
    values[:] = pad.astype(np.int32) - np.int32(x.code.zero)
    values[top : top + height, left : left + width] = centred
    return values


def _columns(x: Values, row: int, count: int, width: int, kernel: tuple[int, int], attrs: ConvAttrs) -> Values:
    """The patches under `count` output rows from `row` on, one a matrix row: (count * width, KH * KW * IC)."""
    step, dilation = attrs.stride, attrs.dilation
    columns = np.empty((count, width, *kernel, x.shape[2]), x.dtype)
    for i in range(kernel[0]):
        first = row * step + i * dilation
        lines = x[first : first + (count - 1) * step + 1 : step]
        for j in range(kernel[1]):
            at = j * dilation
            columns[:, :, i, j] = lines[:, at : at + (width - 1) * step + 1 : step]
    return columns.reshape(count * width, -1)


def conv_finish(node: IntegerNode, acc: Values) -> Values:
    """Accumulators (..., OC) to codes or terms."""
    params, attrs = node.params, cast(ConvAttrs, node.attrs)
    multiplier = params["m"]
    if attrs.activation is Activation.LEAKY:
        multiplier = np.where(acc < 0, params["m_neg"], multiplier)
    value = scaled(acc, multiplier, params["lo"], params["hi"])
    if isinstance(node.output, Term):
        return value
    if attrs.activation.is_table:
        return _look_up(node, value + np.int32(node.table_zero))
    return store(node, value)


# The others ------------------------------------------------------------------------------------------------------


def add(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """Terms are summed as integers, then one rounding shift, one clamp."""
    shape = np.broadcast_shapes(*(operand.values.shape for operand in operands))
    total = np.full(shape, (1 << node.fraction) >> 1, np.int32)
    for index, operand in enumerate(operands):
        if isinstance(operand.form, Term):
            total += operand.values
        else:
            total += scaled(operand.centred(), node.params[f"m{index}"], -TERM_LIMIT, TERM_LIMIT)
    shifted = total >> node.fraction
    return store(node, np.clip(shifted, node.params["lo"].astype(np.int32), node.params["hi"].astype(np.int32)))


def concat(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """Operands, each requantized to the result's code, one after another along the channels."""
    parts, first = [], 0
    for index, operand in enumerate(operands):
        chosen = slice(first, first + operand.values.shape[2])
        first = chosen.stop
        lo, hi = node.params["lo"][chosen], node.params["hi"][chosen]
        parts.append(store(node, scaled(operand.centred(), node.params[f"m{index}"], lo, hi)))
    return np.concatenate(parts, axis=2)


def requantize(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """A code to another code, by a multiplier per channel, another one below zero where there is `m_neg0`."""
    centred, params = operands[0].centred(), node.params
    multiplier = params["m0"]
    if "m_neg0" in params:
        multiplier = np.where(centred < 0, params["m_neg0"], multiplier)
    return store(node, scaled(centred, multiplier, params["lo"], params["hi"]))


def table(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """Any function of a code."""
    return _look_up(node, operands[0].values)


def _look_up(node: IntegerNode, index: Values) -> Values:
    return node.params["table"][index].astype(code_type(cast(Code, node.output).bits))


def mul(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """The integer product of two centred codes, requantized."""
    left, right = operands
    product = left.centred().astype(np.int64) * right.centred()
    return store(node, scaled(product, node.params["m"], node.params["lo"], node.params["hi"]))


def gather(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """Output channel i is input channel channels[i]."""
    return operands[0].values[:, :, list(cast(GatherAttrs, node.attrs).channels)]


def depth_to_space(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """Input channel (dy*block + dx)*C + c goes to pixel (y*block + dy, x*block + dx), channel c."""
    block = cast(ShuffleAttrs, node.attrs).block
    height, width, channels = operands[0].values.shape
    split = operands[0].values.reshape(height, width, block, block, channels // block**2)
    return split.transpose(0, 2, 1, 3, 4).reshape(height * block, width * block, -1)


#: One row an integer operation: the values of the result from the node and its operands.
INTEGER_REFERENCE: Mapping[str, Callable[[IntegerNode, tuple[Held, ...]], Values]] = {
    "conv": conv,
    "add": add,
    "concat": concat,
    "requantize": requantize,
    "table": table,
    "mul": mul,
    "gather": gather,
    "depth_to_space": depth_to_space,
    "max_pool": max_pool,
    "resize": resize,
    "statistic": statistic,
    "layer_norm": layer_norm,
}
