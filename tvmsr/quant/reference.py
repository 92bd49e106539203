"""The reference executor: what an IntegerGraph means, in plain numpy. docs/numerics.md says the same in words.

Exactness. A convolution's sum is a float64 matrix product of integers: |code - zero| < 2**16, |weight| < 2**7, so a
sum of K products stays below K * 2**23, which float64 holds exactly for every K < 2**30, whatever the order of
summation and with or without fused multiply-add. Where no part of any sum can reach 2**24, it is a float32 product,
which holds that as exactly and takes half the time; a bias that float32 holds, too, is added in float32, which rounds
the sum as it has to be rounded before it is multiplied. Nothing else is ever summed in floating point. Every float32
product is clamped and rounded to an integer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tvmsr.abreast import check_wanted
from tvmsr.graph.model import INPUT, Activation, ConvAttrs, GatherAttrs, PadMode, ShuffleAttrs
from tvmsr.operations.conv import cropped, outside
from tvmsr.quant.held import Held, Values, code_type, scaled, scaled_floats, store
from tvmsr.quant.integer import TERM_LIMIT, Code, IntegerGraph, IntegerNode, Term
from tvmsr.quant.reference_spatial import layer_norm, max_pool, resize, statistic

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
#: Sums of products of a convolution: integers in whichever of the two holds them.
Products = NDArray[Any]

#: Values of the column matrix that exists at a time (1 or 2 MiB): it stays in the cache between copy and product.
_BLOCK_VALUES = 1 << 18
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
    check_wanted()
    if node.op not in INTEGER_REFERENCE:
        raise ValueError(f"{node.name!r}: no integer operation {node.op!r}")
    return Held(INTEGER_REFERENCE[node.op](node, operands), node.output)


# conv ------------------------------------------------------------------------------------------------------------


def conv(node: IntegerNode, operands: tuple[Held, ...]) -> Values:
    """Convolution, bias, requantization with its activation."""
    finish: _Finish | None = None
    blocks = []
    for _, products in _products(node, operands[0]):
        finish = finish or _Finish.of(node, products)
        blocks.append(finish.codes(products))
    return np.concatenate(blocks, axis=0)


def conv_blocks(node: IntegerNode, x: Held) -> Iterator[tuple[int, F64]]:
    """(first row, accumulators (rows, W', OC), integers in float64) of a convolution, from the top down."""
    return ((row, products + node.params["bias"].astype(np.float64)) for row, products in _products(node, x))


def _products(node: IntegerNode, x: Held) -> Iterator[tuple[int, Products]]:
    """(first row, sums of products (rows, W', OC), exact integers) of a convolution, from the top down.

    The caller may write into the sums; they last until the next ones are asked for.
    """
    attrs, weight = cast(ConvAttrs, node.attrs), node.params["weight"]
    kernel_h, kernel_w, ins, outs = weight.shape
    if kernel_h * kernel_w * ins >= 1 << 30:
        raise ValueError(f"{node.name!r}: {weight.shape} is beyond exact float64 sums")
    kind = _exact_type(x, weight, node.params["pad"])
    matrix, codes = weight.astype(kind).reshape(-1, outs), padded(x, attrs, node.params["pad"], kind)
    height = (codes.shape[0] - attrs.dilation * (kernel_h - 1) - 1) // attrs.stride + 1
    width = (codes.shape[1] - attrs.dilation * (kernel_w - 1) - 1) // attrs.stride + 1
    if height < 1 or width < 1:
        raise ValueError(f"{node.name!r}: the picture is smaller than the {kernel_w}x{kernel_h} kernel")
    rows = min(height, max(1, _BLOCK_VALUES // (width * matrix.shape[0])))
    per_group = outs // attrs.groups
    columns = np.empty((rows, width, kernel_h, kernel_w, ins), matrix.dtype)
    sums = np.empty((rows, width, outs), matrix.dtype)
    for row in range(0, height, rows):
        count = min(rows, height - row)
        patches = columns[:count].reshape(count * width, -1)
        for group in range(attrs.groups):
            _fill(columns[:count], codes[:, :, group * ins : (group + 1) * ins], row, attrs)
            if attrs.groups == 1:
                np.matmul(patches, matrix, out=sums[:count].reshape(count * width, outs))
            else:
                chosen = slice(group * per_group, (group + 1) * per_group)
                sums[:count, :, chosen] = (patches @ matrix[:, chosen]).reshape(count, width, per_group)
        yield row, sums[:count]


def _exact_type(x: Held, weight: NDArray[np.int8], pad: NDArray[np.uint16]) -> type[np.float32] | type[np.float64]:
    """What holds every partial sum of products of centred codes, x's and pad's, with weights (..., OC) exactly.

    Partial sums, of whichever products, lie between the sums of all that these can be below 0 and above it.
    """
    ins, outs = weight.shape[2:]
    taps, groups = weight.reshape(-1, ins, outs).astype(np.float32), len(pad) // ins
    positive = np.maximum(taps, 0).sum(axis=0).reshape(ins, groups, -1).astype(np.float64)
    negative = positive - taps.sum(axis=0).reshape(positive.shape)
    zero, codes = float(x.code.zero), x.values.reshape(len(x.values), -1)  # by rows first: channels alone are slower
    furthest = max(zero, (1 << x.code.bits) - 1 - zero, abs(float(pad.max()) - zero))
    if furthest * (positive + negative).sum(axis=0).max() < _FLOAT32_LIMIT:
        return np.float32
    least = np.minimum(pad, codes.min(axis=0).reshape(-1, len(pad)).min(axis=0))
    most = np.maximum(pad, codes.max(axis=0).reshape(-1, len(pad)).max(axis=0))
    below, above = (np.maximum(end, 0).reshape(groups, ins).T[:, :, None] for end in (zero - least, most - zero))
    highest = (above * positive + below * negative).sum(axis=0).max()
    lowest = (above * negative + below * positive).sum(axis=0).max()
    return np.float32 if max(highest, lowest) < _FLOAT32_LIMIT else np.float64


def padded(x: Held, attrs: ConvAttrs, pad: Values, kind: type[np.number[Any]] = np.int32) -> Values:
    """Centred codes with the padding around them: outside lies the pad code of the channel, or a pixel's.

    kind: a type that holds them, and the codes themselves.
    """
    if attrs.mode is not PadMode.CONSTANT:
        return x.centred()[np.ix_(*outside(x.values.shape, attrs))].astype(kind, copy=False)
    codes = cropped(x.values, attrs.padding)
    top, left, bottom, right = (max(amount, 0) for amount in attrs.padding)
    height, width, channels = codes.shape
    values = np.empty((height + top + bottom, width + left + right, channels), kind)
    border = pad.astype(kind)
    values[:top] = values[top + height :] = border
    values[:, :left] = values[:, left + width :] = border
    values[top : top + height, left : left + width] = codes
    if x.code.zero:
        values -= kind(x.code.zero)
    return values


def _fill(columns: Values, x: Values, row: int, attrs: ConvAttrs) -> None:
    """Write the patches under output rows from `row` on into columns (rows, W', KH, KW, IC)."""
    count, width, kernel_h, kernel_w, channels = columns.shape
    step, dilation = attrs.stride, attrs.dilation
    line, pixel, value = x.strides
    if dilation == 1 and pixel == channels * value:  # taps side by side are one run
        shape, strides = (count, width, kernel_h, kernel_w * channels), (line * step, pixel * step, line, value)
        columns.reshape(shape)[:] = as_strided(x[row * step :], shape, strides, writeable=False)
        return
    for i in range(kernel_h):
        first = row * step + i * dilation
        lines = x[first : first + (count - 1) * step + 1 : step]
        for j in range(kernel_w):
            at = j * dilation
            columns[:, :, i, j] = lines[:, at : at + (width - 1) * step + 1 : step]


@dataclass(frozen=True, eq=False)
class _Finish:
    """From sums of products (rows, W', OC) to codes or terms. Numbers per channel are repeated for a row of pixels.

    bias: float32 where the sums are and it is one, else float64.
    """

    node: IntegerNode
    bias: Values
    m: F32
    m_neg: F32 | None
    lo: F32
    hi: F32

    @classmethod
    def of(cls, node: IntegerNode, products: Values) -> _Finish:
        params, width = node.params, products.shape[1]
        leaky = cast(ConvAttrs, node.attrs).activation is Activation.LEAKY
        bias = params["bias"].astype(products.dtype)
        if not np.array_equal(bias, params["bias"]):
            bias = params["bias"].astype(np.float64)
        m, lo, hi, bias = (np.tile(numbers, width) for numbers in (params["m"], params["lo"], params["hi"], bias))
        return cls(node, bias, m, np.tile(params["m_neg"], width) if leaky else None, lo, hi)

    def codes(self, products: Values) -> Values:
        """Writes into the products, too."""
        node, output, shape = self.node, self.node.output, products.shape
        value: Values = products.reshape(len(products), -1)
        value = np.add(value, self.bias, out=value if value.dtype == self.bias.dtype else None)
        value = value.astype(np.float32, copy=False)
        multiplier = self.m if self.m_neg is None else np.where(value < 0, self.m_neg, self.m)
        value = scaled_floats(value, multiplier, self.lo, self.hi).reshape(shape)
        if isinstance(output, Term):
            return value.astype(np.int32)
        if cast(ConvAttrs, node.attrs).activation.is_table:
            return _look_up(node, value.astype(np.int32) + np.int32(node.table_zero))
        value += np.float32(output.zero)
        return value.astype(code_type(output.bits))


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
    np.right_shift(total, node.fraction, out=total)
    np.maximum(total, node.params["lo"].astype(np.int32), out=total)
    np.minimum(total, node.params["hi"].astype(np.int32), out=total)
    return store(node, total)


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
