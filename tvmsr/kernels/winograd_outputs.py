"""Results: A' M A of a tile's sums M, divided by the scale, through the epilogue.

The pass along columns leaves m lines of t values in scratch; then one row of m pixels at a time is finished, as many
rows as are asked for. Where the products held a row of positions, the pass along rows was done there (`combined`), and
what is left goes along columns. Bytes: nothing wraps (tvmsr/kernels/legality.py), and scale * y = 4 y is shifted.
Words: sums and what they become are taken modulo 2**32, with operations that may wrap; that scale * y fits int32 is
proven, so once it is computed it is itself: 4 y >> 2 = y, (576 y >> 6) * (1 / 9 modulo 2**32) = y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, Frame, modular, ramp
from tvmsr.kernels.epilogue import Block, Pixels, Prepared, finish
from tvmsr.kernels.transforms import Transform
from tvmsr.kernels.winograd_plan import Plan

_NINTH = pow(9, -1, 2**32)  # fits int32


@dataclass(frozen=True)
class Results:
    """What the results of a block of channels need: P and the areas behind it as words."""

    frame: Frame
    scheme: Plan
    block: Block
    words: Expr
    prepared: Prepared

    @property
    def width(self) -> int:
        """Words of a position: vectors of padding are not computed."""
        return len(self.block.valid) * self.frame.lanes

    def vector(self, index: Expr) -> Expr:
        return T.bind(self.words[ramp(index, self.frame.lanes)])


def finish_tile(r: Results, tile: Expr, row: Expr, column: Expr) -> None:
    """The tile'th tile of the strip, whose first pixel is (row, column)."""
    m = r.scheme.transform.outputs
    if r.scheme.rowwise:
        _finish_combined(r, tile, row, column)
        return
    _columns(r, tile)
    with T.serial(0, T.min(r.frame.rows[1] - row, m)) as i:
        values = [_line(r, i, n) for n in range(len(r.block.valid))]
        _finish_line(r, Pixels(T.bind(row + i), column, m), [list(pixel) for pixel in zip(*values, strict=True)])


def _finish_combined(r: Results, tile: Expr, row: Expr, column: Expr) -> None:
    """The same of rows that are combined already. Each line has its own code: they differ in signs."""
    start, m = T.bind(r.scheme.p + tile * r.scheme.p_tile), r.scheme.transform.outputs

    def line(i: int) -> None:
        values = [_combined_line(r, start, i, n) for n in range(len(r.block.valid))]
        _finish_line(r, Pixels(T.bind(row + i), column, m), [list(pixel) for pixel in zip(*values, strict=True)])

    line(0)
    for i in range(1, m):
        with T.If(r.frame.rows[1] - row > i), T.Then():
            line(i)


def _finish_line(r: Results, pixels: Pixels, values: Sequence[Sequence[Expr]]) -> None:
    """Store m pixels; of a range of fewer columns its own, one by one."""
    first, last = r.frame.columns
    with T.If(last - first >= pixels.count):
        with T.Then():
            finish(r.frame, r.block, pixels, values, r.prepared)
        with T.Else():
            for p, pixel in enumerate(values):
                for n, value in enumerate(pixel):
                    _store(r, r.scheme.narrow + p * r.width + n * r.frame.lanes, value)
            with T.serial(0, last - first) as p:
                start = r.scheme.narrow + p * r.width
                pixel = [r.vector(start + n * r.frame.lanes) for n in range(len(r.block.valid))]
                finish(r.frame, r.block, Pixels(pixels.row, first + p, 1), [pixel], r.prepared)


def _columns(r: Results, tile: Expr) -> None:
    """P of one tile -> half transformed results. Columns and vectors lie side by side: one loop over both."""
    points, lanes = r.scheme.transform.points, r.frame.lanes
    line = points * r.width
    with T.serial(0, line // lanes) as k:
        start = T.bind(r.scheme.p + tile * r.scheme.p_tile + k * lanes)
        for i, value in enumerate(_after(r, [r.vector(start + i * line) for i in range(points)])):
            _store(r, r.scheme.half_results + i * line + k * lanes, value)


def _line(r: Results, i: Expr, n: int) -> list[Expr]:
    """Row i of a tile, vector n of its channels: the source's values of m pixels."""
    points, lanes = r.scheme.transform.points, r.frame.lanes
    start = r.scheme.half_results + i * (points * r.width) + n * lanes
    return _with_bias(r, n, _after(r, [r.vector(start + j * r.width) for j in range(points)]))


def _combined_line(r: Results, start: Expr, i: int, n: int) -> list[Expr]:
    """Row i of a tile as well: the rest of A' M A. What makes the other rows is not used, and LLVM drops it."""
    transform, at = r.scheme.transform, start + n * r.frame.lanes
    columns = [
        [r.vector(at + (k * transform.outputs + j) * r.width) for k in range(transform.points)]
        for j in range(transform.outputs)
    ]
    return _with_bias(r, n, [_after(r, column)[i] for column in columns])


def _with_bias(r: Results, n: int, scaled: Sequence[Expr]) -> list[Expr]:
    bias = T.bind(r.frame.params.ints("bias", r.block.position + n * r.frame.lanes))
    return [T.bind(_divided(r, value) + bias) for value in scaled]


def _divided(r: Results, value: Expr) -> Expr:
    scale, lanes = r.scheme.transform.scale, r.frame.lanes
    odd = scale // (scale & -scale)
    shifted = T.shift_right(value, T.broadcast(T.int32((scale & -scale).bit_length() - 1), lanes))
    if odd == 1:
        return shifted
    return modular("mul", shifted, T.broadcast(T.int32(_NINTH), lanes), lanes)


def _store(r: Results, index: Expr, value: Expr) -> None:
    T.buffer_store(r.words, value, [ramp(index, r.frame.lanes)])


def _after(r: Results, m: Sequence[Expr]) -> list[Expr]:
    return combined(r.scheme.transform, m, r.frame.lanes)


def combined(transform: Transform, m: Sequence[Expr], lanes: int) -> list[Expr]:
    """The rows of A' times t vectors of sums: along a row of positions or a column."""
    if transform.bytes:
        return [T.bind(m[0] + m[1] + m[2]), T.bind(m[1] - m[2] - m[3])]
    return (after_2 if transform.outputs == 2 else after_4)(m, lanes)


def after_2(m: Sequence[Expr], lanes: int) -> list[Expr]:
    """The rows of A' of F(2x2) times four vectors of int32, modulo 2**32."""
    m0, m1, m2, m3 = m
    sums = [modular("add", m1, m2, lanes), modular("sub", m1, m2, lanes)]
    return [T.bind(modular("add", m0, sums[0], lanes)), T.bind(modular("sub", sums[1], m3, lanes))]


def after_4(m: Sequence[Expr], lanes: int) -> list[Expr]:
    """The rows of A' of F(4x4) times six vectors of int32, modulo 2**32."""

    def add(a: Expr, b: Expr) -> Expr:
        return T.bind(modular("add", a, b, lanes))

    def sub(a: Expr, b: Expr) -> Expr:
        return T.bind(modular("sub", a, b, lanes))

    def times(a: Expr, shift: int) -> Expr:
        return T.bind(modular("shl", a, T.broadcast(T.int32(shift), lanes), lanes))

    m0, m1, m2, m3, m4, m5 = m
    p, q, r, s = add(m1, m2), sub(m1, m2), add(m3, m4), times(sub(m3, m4), 1)
    return [add(add(m0, p), r), add(q, s), add(p, times(r, 2)), add(add(q, times(s, 2)), times(m5, 1))]
