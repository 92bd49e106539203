"""Direct convolution: products of stored codes summed in int32, tile by tile.

With stored codes s (code minus the form's offset), zero point z of stored values and weights w,

    acc = bias + sum((s - z) * w) = (bias - z * sum(w)) + sum(s * w) = start + sum(s * w):

the packer computes `start`, the kernel only sums products. A tile is `pixels` neighbouring pixels by `vectors` vectors
of output channels, all in registers; each step takes one group of inputs (4 bytes) of each pixel, broadcasts it, and
adds its products with `vectors` vectors of weights: pixels + vectors loads for pixels * vectors issues.

Loops: rows, blocks of output channels, tiles along the row, kernel rows, runs, steps. One block's weights stay in L1
while a row passes. Where the taps of a kernel row lie side by side in memory, the row is one run (WeightLayout).

The last tile of a row is moved left so that it ends at col1: its first pixels are computed twice, to the same bytes.
Ranges narrower than a tile go pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from tvm import tirx
from tvm.tirx.script import builder as T

from tvmsr.kernels.algorithms import primitive_of, weight_layout
from tvmsr.kernels.emit import Expr, Frame, Tensor, add_products, broadcast_inputs, build_function, ramp
from tvmsr.kernels.epilogue import Block, Pixels, finish, shared_blocks
from tvmsr.kernels.isa import Primitive
from tvmsr.kernels.layout import WeightLayout
from tvmsr.kernels.spec import Conv, KernelSpec


@dataclass(frozen=True)
class _Direct:
    """What the parts of the generator share."""

    frame: Frame
    conv: Conv
    layout: WeightLayout
    primitive: Primitive
    x: Tensor  # channels of one group, from the group's first on


def direct(spec: KernelSpec, name: str) -> tirx.PrimFunc:
    """The kernel of a convolution by the direct algorithm."""
    return build_function(spec, name, lambda frame: _body(frame, cast(Conv, spec.source)))


def _body(frame: Frame, conv: Conv) -> None:
    layout = weight_layout(frame.spec)
    assert layout is not None
    d = _Direct(frame, conv, layout, primitive_of(frame.spec), frame.x)
    width = layout.vectors * layout.lanes
    with T.serial(*frame.rows) as row:
        shared = shared_blocks(frame, width) if conv.groups == 1 else 0
        if shared > 1:
            with T.serial(0, shared) as b:
                _tiles(d, 0, b, Block(b * width, b * width, (layout.lanes,) * layout.vectors), row)
        for group in range(conv.groups):
            for number in range(shared if shared > 1 else 0, layout.blocks):
                _tiles(d, group, number, _static_block(d, group, number), row)


def _static_block(d: _Direct, group: int, number: int) -> Block:
    layout, outputs = d.layout, d.conv.outputs // d.conv.groups
    first = number * layout.vectors * layout.lanes
    valid = [max(0, min(layout.lanes, outputs - first - n * layout.lanes)) for n in range(layout.vectors)]
    return Block(group * layout.positions + first, group * outputs + first, tuple(v for v in valid if v))


def _tiles(d: _Direct, group: int, number: Expr, block: Block, row: Expr) -> None:
    """One block of channels of one row."""
    base = (group * d.layout.blocks + number) * (d.layout.kernel_h * d.layout.row_elements)
    for_columns(d.frame, d.frame.spec.tile[0], lambda c, n: _tile(d, group, base, block, Pixels(row, c, n)))


def for_columns(frame: Frame, pixels: int, tile: Callable[[Expr, int], None]) -> None:
    """Call tile(column, count) so that [col0, col1) is covered; see the module's text."""
    first, last = frame.columns
    wide = T.bind(T.Select(last - first >= pixels, T.int32(1), T.int32(0)))
    if pixels > 1:
        with T.serial(0, wide * T.truncdiv(last - first + (pixels - 1), T.int32(pixels))) as s:
            tile(T.bind(T.min(first + s * pixels, last - pixels)), pixels)
        with T.serial(0, (1 - wide) * (last - first)) as c:
            tile(T.bind(first + c), 1)
    else:
        with T.serial(first, last) as c:
            tile(c, 1)


def _tile(d: _Direct, group: int, base: Expr, block: Block, pixels: Pixels) -> None:
    lanes, layout = d.frame.lanes, d.layout
    vectors = len(block.valid)
    acc = [[T.alloc_buffer((lanes,), "int32", scope="global") for _ in range(vectors)] for _ in range(pixels.count)]
    for n in range(vectors):
        start = T.bind(d.frame.params.ints("bias", block.position + n * lanes))
        for p in range(pixels.count):
            T.buffer_store(acc[p][n], start, [ramp(0, lanes)])
    conv, pitch = d.conv, d.x.pitch
    column = pixels.column * (conv.stride * pitch) + group * conv.inputs // conv.groups
    issue = layout.vectors * lanes * layout.depth
    with T.serial(0, layout.kernel_h) as i:
        line = T.bind(d.x.row(pixels.row * conv.stride + i * conv.dilation) + column)
        with T.serial(0, layout.runs) as run, T.serial(0, layout.steps) as step:
            x_index = line + run * (conv.dilation * pitch) + step * d.primitive.group
            w_index = base + ((i * layout.runs + run) * layout.steps + step) * (layout.halves * issue)
            _step(d, acc, x_index, w_index)
    values = [[a[ramp(0, lanes)] for a in line] for line in acc]
    finish(d.frame, block, pixels, values)


def _step(d: _Direct, acc: list[list[Expr]], x_index: Expr, w_index: Expr) -> None:
    """All products of one group of inputs with one block's weights."""
    lanes, layout = d.frame.lanes, d.layout
    size = lanes * layout.depth
    for p, line in enumerate(acc):
        inputs = broadcast_inputs(d.primitive, lanes, d.x, x_index + p * d.conv.stride * d.x.pitch)
        for half, x in enumerate(inputs):
            for n, a in enumerate(line):
                weights = d.frame.weights[ramp(w_index + (half * layout.vectors + n) * size, size)]
                T.buffer_store(a, add_products(d.primitive, lanes, a[ramp(0, lanes)], x, weights), [ramp(0, lanes)])
