"""Winograd's F(m x m, 3x3), m = 2 or 4, in whole numbers: m * m outputs from (m + 2)**2 multiplies instead of 9 m * m.

The matrices, and what makes the result exact, are in transforms.py and legality.py: with t = m + 2, V = B' x B of a
t x t window of stored codes and packed weights U = G w G', the sums over channels M = sum(U * V), position by position,
give A' M A = scale * y exactly, y = sum(s * w). What a direct convolution sums up is y plus the start value `bias -
z * sum(w)`, so that parameters are the same ones.

A row of tiles is worked through in strips of `tile.strip` tiles. Inputs of a strip are transformed for all channels
(winograd_inputs.py). Then for each block of output channels, for each position: a matrix product of the strip's V and
the position's weights, to P, by the register tiles of a direct convolution (products.py): `tile.pixels` transformed
tiles by `tile.vectors` vectors of channels. A position's weights stay in L1 while the strip passes. Where registers
hold a row of positions (`tile.positions` is t), with the weights of all of them in L1, the pass along that row, M A, is
made there: P takes m values in place of t. Then the results (winograd_outputs.py). V and P lie in scratch
(winograd_plan.py). Groups of tiles are always whole: what they compute of tiles that a short strip does not have is not
looked at.

The last tile of a row of tiles is moved left so that it ends at col1. Ranges narrower than m are one tile, of which
single pixels are stored; of the last rows, fewer than m where row1 asks for no more. Nothing is read but rows and
columns of x that a direct convolution reads too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from tvm import tirx
from tvm.tirx.script import builder as T

from tvmsr.kernels.algorithms import primitive_of, weight_layout
from tvmsr.kernels.conv import NEVER, unknown_zero
from tvmsr.kernels.emit import Expr, Frame, Tensor, build_function, ramp
from tvmsr.kernels.epilogue import Block, prepare, shared_blocks
from tvmsr.kernels.isa import Kind, Primitive
from tvmsr.kernels.layout import WeightLayout
from tvmsr.kernels.products import Inputs, Sums, Weights, in_windows, open_sums
from tvmsr.kernels.spec import Conv, KernelSpec
from tvmsr.kernels.transforms import transform_of
from tvmsr.kernels.winograd_inputs import Window, transform_inputs
from tvmsr.kernels.winograd_outputs import Results, combined, finish_tile
from tvmsr.kernels.winograd_plan import Plan, plan


@dataclass(frozen=True)
class _Winograd:
    """What the parts of the generator share; v, words: scratch, as transformed inputs and as int32."""

    frame: Frame
    scheme: Plan
    layout: WeightLayout
    primitive: Primitive
    v: Tensor
    words: Expr

    @property
    def position_size(self) -> int:
        """Elements from position to position in the weights of a block."""
        return self.layout.row_elements + self.layout.starts * 4 // self.layout.element_bytes

    def column(self, tile: Expr) -> Expr:
        """First column of a tile of the row."""
        (first, last), m = self.frame.columns, self.scheme.transform.outputs
        return T.bind(T.max(T.min(first + tile * m, last - m), first))


@dataclass(frozen=True)
class _Strip:
    """`count` tiles from number `first` of the row of tiles at `row`."""

    row: Expr
    first: Expr
    count: Expr


def winograd(spec: KernelSpec, name: str) -> tirx.PrimFunc:
    """The kernel of a 3x3 convolution by a transform."""
    return build_function(spec, name, lambda frame: _body(frame, cast(Conv, spec.source)))


def _body(frame: Frame, conv: Conv) -> None:
    layout = weight_layout(frame.spec)
    assert layout is not None
    scheme = plan(conv, frame.isa, frame.spec.tile, transform_of(layout.transform, layout.element_bytes))
    dtype = frame.x.dtype if scheme.element == 1 else "int16"
    v = Tensor(T.decl_buffer((1,), dtype, data=frame.scratch), None, dtype, scheme.pitch)
    words = T.decl_buffer((1,), "int32", data=frame.scratch)
    w = _Winograd(frame, scheme, layout, primitive_of(frame.spec), v, words)
    (row0, row1), (col0, col1), m = frame.rows, frame.columns, scheme.transform.outputs
    tiles = T.bind(T.truncdiv(col1 - col0 + (m - 1), T.int32(m)))
    with T.serial(0, T.truncdiv(row1 - row0 + (m - 1), T.int32(m))) as g:
        row = T.bind(row0 + g * m)
        with T.serial(0, T.truncdiv(tiles + (scheme.tiles - 1), T.int32(scheme.tiles))) as s:
            first = T.bind(s * scheme.tiles)
            _strip(w, _Strip(row, first, T.bind(T.min(tiles - first, scheme.tiles))))


def _strip(w: _Winograd, strip: _Strip) -> None:
    _inputs(w, strip)
    layout, width = w.layout, w.layout.vectors * w.layout.lanes
    shared = shared_blocks(w.frame, width)
    if shared > 1:
        with T.serial(0, shared) as b:
            _block(w, strip, b, Block(b * width, b * width, (layout.lanes,) * layout.vectors))
    for number in range(shared if shared > 1 else 0, layout.blocks):
        first = number * width
        valid = [max(0, min(layout.lanes, layout.outputs - first - n * layout.lanes)) for n in range(layout.vectors)]
        _block(w, strip, number, Block(first, first, tuple(v for v in valid if v)))


def _inputs(w: _Winograd, strip: _Strip) -> None:
    points, x = w.scheme.transform.points, w.frame.x
    last, beyond = w.frame.rows[1] + 1, w.frame.columns[1] - w.frame.columns[0] + 1

    def to_column(j: Expr) -> Expr:
        """Only a range narrower than a tile has less than what its one tile reads; three columns are always there."""
        return j * x.pitch if isinstance(j, int) and j < 3 else T.min(j, beyond) * x.pitch

    lines = tuple(T.bind(x.row(T.min(strip.row + i, last))) for i in range(points))
    with T.serial(0, strip.count) as tile:
        column = T.bind(w.column(strip.first + tile) * x.pitch)
        turns = points - unknown_zero(strip.row + tile) * NEVER
        pixels = Window(tuple(T.bind(line + column) for line in lines), to_column, turns)
        transform_inputs(x, w.v, w.scheme, w.layout, pixels, tile * w.scheme.pitch)


def _block(w: _Winograd, strip: _Strip, number: Expr, block: Block) -> None:
    """Products and results of a strip for one block of output channels."""
    tile, layout = w.frame.spec.tile, w.layout
    with T.serial(0, layout.points // tile.positions) as turn:
        weights = T.bind((number * layout.points + turn * tile.positions) * w.position_size)
        with T.serial(0, T.truncdiv(strip.count + (tile.pixels - 1), T.int32(tile.pixels))) as g:
            zero = unknown_zero(strip.row + g)
            _products(w, turn, g * tile.pixels, T.bind(weights + zero), len(block.valid), zero)
    prepared = prepare(w.frame, block, (w.scheme.transform.outputs, 1))
    results = Results(w.frame, w.scheme, block, w.words, prepared)
    with T.serial(0, strip.count) as tile:
        finish_tile(results, tile, strip.row, w.column(strip.first + tile))


def _products(w: _Winograd, turn: Expr, tile: Expr, weights: Expr, vectors: int, zero: Expr) -> None:
    """Sums of `tile.pixels` tiles from `tile` on at `tile.positions` positions -> P. zero: see `unknown_zero`."""
    (pixels, _, window, *_), count = w.frame.spec.tile, w.frame.spec.tile.positions
    lanes, scheme = w.layout.lanes, w.scheme
    row = [open_sums(w.frame.isa, w.primitive, pixels, vectors, w.layout.vectors, window) for _ in range(count)]
    for j, sums in enumerate(row):
        sums.start([_start(w, weights + j * w.position_size + 4 * n * lanes) for n in range(vectors)])
    x_index = T.bind(turn * (count * scheme.v_position) + tile * scheme.pitch)
    _steps(w, row, x_index, weights + 4 * w.layout.starts, zero)
    kept = scheme.transform.outputs if scheme.rowwise else 1
    at = T.bind(scheme.p + tile * scheme.p_tile + turn * (kept * vectors * lanes))
    for p, pixel in enumerate(zip(*(sums.values() for sums in row), strict=True)):
        for n, values in enumerate(zip(*pixel, strict=True)):
            for k, value in enumerate(combined(scheme.transform, values, lanes) if scheme.rowwise else values):
                T.buffer_store(w.words, value, [ramp(at + p * scheme.p_tile + (k * vectors + n) * lanes, lanes)])


def _start(w: _Winograd, index: Expr) -> Expr:
    lanes = w.layout.lanes
    if not w.layout.starts:
        return T.broadcast(T.int32(0), lanes)
    return T.bind(T.reinterpret(f"int32x{lanes}", w.frame.weights[ramp(index, 4 * lanes)]))


def _steps(w: _Winograd, row: Sequence[Sums], x_index: Expr, w_index: Expr, zero: Expr) -> None:
    """All steps over input channels: a loop over those that fill a load of every tile, then the others."""
    first = row[0]
    whole, rest = divmod(w.layout.steps, first.span)
    advance = first.span * w.primitive.group

    def add(at: Expr, steps: int) -> None:
        for j, sums in enumerate(row):
            inputs = Inputs(w.v, x_index + j * w.scheme.v_position + at * advance, w.scheme.pitch)
            index = w_index + j * w.position_size + at * (first.span * first.step_size)
            sums.add(inputs, Weights(w.frame.weights, index), steps)

    if w.primitive.kind is Kind.WINDOW:
        assert len(row) == 1  # sums of 16 bits take all registers
        in_windows(first, whole, w.frame.spec.tile.window, lambda at: add(at, first.span))
    elif whole:
        # Loads of all steps before the first product would be more than there are registers.
        rolled = w.frame.isa.loops_over_rows and whole > 1
        with T.serial(0, whole - zero * NEVER if rolled else whole) as at:
            add(at, first.span)
    if rest:
        add(whole, rest)
