"""Transformed inputs: V = B' x B for every tile of a strip, a vector of channels at a time.

F(2x2) stays in registers. On bytes 8-bit arithmetic wraps, so all 16 positions are computed as they come, and only what
is stored, V plus its position's offset, has to fit a byte. On words codes are widened as they are loaded, and nothing
of the convolution's own channels wraps; what lies beside them meets zero weights. F(4x4), words: what was transformed
along columns waits in scratch for the pass along rows.

A tile that reaches past the rows or columns that are asked for reads the last ones that those need instead: their codes
keep every V in its range, and nothing that is stored depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, Tensor, ramp
from tvmsr.kernels.layout import WeightLayout
from tvmsr.kernels.winograd_plan import Plan


@dataclass(frozen=True)
class Window:
    """The pixels of x that a tile reads: elements at which its rows start, and from there to its column j.

    turns: how many rows and columns, as something that LLVM does not know. Loops over them stay loops: unrolled they
    are several times the code, on ARMv7 most of it spills, and nowhere faster.
    """

    lines: tuple[Expr, ...]
    column: Callable[[Expr], Expr]
    turns: Expr


def transform_inputs(x: Tensor, v: Tensor, scheme: Plan, layout: WeightLayout, pixels: Window, at: Expr) -> None:
    """Write V of one tile; at: element of V at which its channels of position 0 begin."""
    whole, rest = scheme.chunks
    one = _small if scheme.transform.outputs == 2 else _large

    if whole == 1:
        one(x, v, scheme, layout, pixels, at, 0, scheme.vector)
    elif whole:
        with T.serial(0, whole) as chunk:
            one(x, v, scheme, layout, pixels, at, T.bind(chunk * scheme.vector), scheme.vector)
    if rest:
        one(x, v, scheme, layout, pixels, at, whole * scheme.vector, rest)


def _small(
    x: Tensor, v: Tensor, scheme: Plan, layout: WeightLayout, pixels: Window, at: Expr, channel: Expr, count: int
) -> None:
    points = scheme.transform.points
    columns, lines = [], [T.bind(line + channel) for line in pixels.lines]
    for j in range(points):
        place = pixels.column(j)
        columns.append(before_2([_element(x, v, line + place, count) for line in lines]))
    at = T.bind(at + channel)
    for i in range(points):
        for j, value in enumerate(before_2([column[i] for column in columns])):
            added = layout.centre if (i, j) == (1, 1) else layout.offset
            index = ramp(at + (i * points + j) * scheme.v_position, count)
            T.buffer_store(v.data, value + _constant(added, v.dtype, count) if added else value, [index])


def _large(
    x: Tensor, v: Tensor, scheme: Plan, layout: WeightLayout, pixels: Window, at: Expr, channel: Expr, count: int
) -> None:
    del layout
    points, half = scheme.transform.points, scheme.half_inputs
    with T.serial(0, pixels.turns) as j:
        place = T.bind(pixels.column(j) + channel)
        for i, value in enumerate(before_4([_widened(x, line + place, count) for line in pixels.lines], count)):
            T.buffer_store(v.data, value, [ramp(half + (i * points + j) * count, count)])
    at = T.bind(at + channel)
    with T.serial(0, pixels.turns) as i:
        line = half + i * points * count
        for j, value in enumerate(before_4([T.bind(v.load(line + j * count, count)) for j in range(points)], count)):
            T.buffer_store(v.data, value, [ramp(at + (i * points + j) * scheme.v_position, count)])


def _element(x: Tensor, v: Tensor, index: Expr, count: int) -> Expr:
    """Codes as v holds what becomes of them."""
    return T.bind(x.load(index, count)) if v.bytes == 1 else _widened(x, index, count)


def _widened(x: Tensor, index: Expr, count: int) -> Expr:
    codes, kind = x.load(index, count), f"int16x{count}"
    return T.bind(T.reinterpret(kind, codes) if x.bytes == 2 else T.cast(codes, kind))


def _constant(value: int, dtype: str, count: int) -> Expr:
    """A byte, modulo 256."""
    return T.broadcast(T.uint8(value % 256) if dtype == "uint8" else T.int8((value + 128) % 256 - 128), count)


def before_2(d: Sequence[Expr]) -> list[Expr]:
    """The rows of B' of F(2x2) times four vectors."""
    return [T.bind(v) for v in (d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3])]


def before_4(d: Sequence[Expr], count: int) -> list[Expr]:
    """The rows of B' of F(4x4) times six vectors of int16x`count`."""
    d0, d1, d2, d3, d4, d5 = d
    four, two = T.broadcast(T.int16(4), count), T.broadcast(T.int16(2), count)
    a, b = T.bind(d4 - d2 * four), T.bind(d3 - d1 * four)
    e, f = T.bind(d4 - d2), T.bind((d3 - d1) * two)
    ends = (d0 - d2) * four + e, d5 - d3 - f * two
    return [T.bind(v) for v in (ends[0], a + b, a - b, e + f, e - f, ends[1])]
