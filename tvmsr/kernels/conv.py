"""Direct convolution: products of stored codes summed in int32, tile by tile.

With stored codes s (code minus the form's offset), zero point z of stored values and weights w,

    acc = bias + sum((s - z) * w) = (bias - z * sum(w)) + sum(s * w) = start + sum(s * w):

the packer computes `start`, the kernel only sums products. A tile is `pixels` neighbouring pixels by `vectors` vectors
of output channels, all in registers; each step takes one group of inputs of each pixel and adds its products with
`vectors` vectors of weights: pixels + vectors loads for pixels * vectors issues. How is up to products.py.

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
from tvmsr.kernels.emit import Expr, Frame, Tensor, build_function
from tvmsr.kernels.epilogue import Block, Pixels, finish, shared_blocks
from tvmsr.kernels.isa import Kind, Primitive
from tvmsr.kernels.layout import WeightLayout
from tvmsr.kernels.products import Inputs, Sums, Weights, in_windows, open_sums, repeated
from tvmsr.kernels.spec import Conv, KernelSpec
from tvmsr.kernels.windows import Level, cut

#: More kernel rows than LLVM unrolls: what it has to reckon with where a column might be negative.
NEVER = 64


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
    for_columns(d.frame, d.frame.spec.tile.pixels, lambda c, n: _tile(d, group, base, block, Pixels(row, c, n)))


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
    lanes, layout, conv, pitch = d.frame.lanes, d.layout, d.conv, d.x.pitch
    vectors = len(block.valid)
    window = d.frame.spec.tile.window
    sums = open_sums(d.frame.isa, d.primitive, pixels.count, vectors, layout.vectors, window)
    sums.start([T.bind(d.frame.params.ints("bias", block.position + n * lanes)) for n in range(vectors)])
    column = pixels.column * (conv.stride * pitch) + group * conv.inputs // conv.groups
    zero = unknown_zero(pixels.column)
    base = base + zero

    def line(i: Expr) -> Expr:
        return T.bind(d.x.row(pixels.row * conv.stride + i * conv.dilation) + column)

    def run(i: Expr, line: Expr, j: Expr) -> tuple[Expr, Expr]:
        """Elements of x and of the weights at which run j of kernel row i begins."""
        w_index = base + (i * layout.runs + j) * (layout.steps * sums.step_size)
        return line + j * (conv.dilation * pitch), w_index

    if d.primitive.kind is Kind.WINDOW:
        _windows(d, sums, line, run)
    else:
        with T.serial(0, layout.kernel_h - zero * NEVER if d.frame.isa.loops_over_rows else layout.kernel_h) as i:
            at = line(i)
            with T.serial(0, layout.runs) as j:
                _run(d, sums, *run(i, at, j))
    finish(d.frame, block, pixels, sums.values())


def _windows(
    d: _Direct, sums: Sums, line: Callable[[Expr], Expr], run: Callable[[Expr, Expr, Expr], tuple[Expr, Expr]]
) -> None:
    """The loops over kernel rows, runs and steps, one of them cut into windows; a load brings one step."""
    layout, group = d.layout, d.primitive.group
    turns = (layout.kernel_h, layout.runs, layout.steps)
    where = cut(turns, d.frame.spec.tile.window)

    def repeat(level: Level, turn: Callable[[Expr], None]) -> None:
        if level is where.level:
            in_windows(sums, turns[level], where.count, turn)
        else:
            repeated(turns[level], turn)

    def add(x_index: Expr, w_index: Expr, at: Expr) -> None:
        inputs = Inputs(d.x, x_index + at * group, d.conv.stride * d.x.pitch)
        sums.add(inputs, Weights(d.frame.weights, w_index + at * sums.step_size), 1)

    def one_run(i: Expr, at: Expr, j: Expr) -> None:
        begins = run(i, at, j)
        repeat(Level.STEPS, lambda step: add(*begins, step))

    def row(i: Expr) -> None:
        at = line(i)
        repeat(Level.RUNS, lambda j: one_run(i, at, j))

    repeat(Level.ROWS, row)


def unknown_zero(column: Expr) -> Expr:
    """Zero, which LLVM cannot know: the sign of a column, and columns are not negative.

    Added to the address of weights, it keeps their loads inside of the loop over tiles; in the number of kernel rows
    (`Isa.loops_over_rows`), it keeps that loop from being unrolled. Of short rows (few input channels) LLVM would else
    load all weights and inputs first, more than there are registers, and most would wait on the stack.
    """
    return T.bind(T.shift_right(column, T.int32(31)))


def _run(d: _Direct, sums: Sums, x_index: Expr, w_index: Expr) -> None:
    """All steps of a run: a loop over those that fill a load of every pixel, `unroll` loads a turn, then the others."""
    whole, rest = divmod(d.layout.steps, sums.span)
    turns, left = divmod(whole, d.frame.spec.tile.unroll)
    advance = sums.span * d.primitive.group

    def add(at: Expr, steps: int) -> None:
        inputs = Inputs(d.x, x_index + at * advance, d.conv.stride * d.x.pitch)
        sums.add(inputs, Weights(d.frame.weights, w_index + at * (sums.span * sums.step_size)), steps)

    if turns:
        with T.serial(0, turns) as turn:
            for n in range(d.frame.spec.tile.unroll):
                add(turn * d.frame.spec.tile.unroll + n, sums.span)
    for n in range(left):
        add(whole - left + n, sums.span)
    if rest:
        add(whole, rest)
