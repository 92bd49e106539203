"""Convolution with pixels in the lanes: for few output channels, which fill vectors of channels badly.

What is summed is what a direct convolution sums (conv.py), start values included; only where sums are held differs.
A tile is `pixels` neighbouring pixels, whole vectors of them, by `tile.vectors` output channels. A step loads the next
word of every pixel, four inputs of a byte or two of 16 bits, and adds its products with one word of weights for each
channel, copied to all lanes: no lane is idle, however few channels there are.

For that inputs lie as words side by side, pixel by pixel, so that a tap to the right is a load one word further on. A
strip of `tile.strip` pixels is worked through row by row; each row of x is transposed once, to scratch, where the rows
that a kernel's height needs take turns (planar_plan.py). What is transposed at a time is four words of as many pixels
as there are lanes: 128 bits of each pixel make up four vectors, which then unpack within 128 bits alone. The last four
words of a pixel are moved left to end with it, the last pixels of a row to end with those.

Sums are transposed back, four channels at a time, to pixels of channels, and go through the epilogue of every source.

The last tile of a strip and the last strip are moved left too. A range narrower than a tile is one tile, whose lanes
beyond the range repeat its last inputs: what they compute is in its ranges, and is not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from tvm import tirx
from tvm.tirx.script import builder as T

from tvmsr.kernels.algorithms import primitive_of, weight_layout
from tvmsr.kernels.conv import NEVER, unknown_zero
from tvmsr.kernels.emit import Expr, Frame, build_function, concat, ramp
from tvmsr.kernels.epilogue import Block, Pixels, finish, prepare
from tvmsr.kernels.isa import Primitive
from tvmsr.kernels.layout import WeightLayout
from tvmsr.kernels.planar_plan import QUAD, Plan, plan
from tvmsr.kernels.products import Broadcast, halves_of, in_windows, inputs_of, open_sums, repeated
from tvmsr.kernels.spec import Conv, KernelSpec
from tvmsr.kernels.windows import Level, cut

_WORD = 4  # bytes
#: Pixels that go through the epilogue together.
_FINISHED = 8


@dataclass(frozen=True)
class _Planar:
    """What the parts of the generator share; words: scratch."""

    frame: Frame
    scheme: Plan
    layout: WeightLayout
    primitive: Primitive
    words: Expr

    def load(self, index: Expr) -> Expr:
        return T.bind(self.words[ramp(index, self.frame.lanes)])


@dataclass(frozen=True)
class _Strip:
    """`count` pixels of a row from `column` on; fewer than a tile has where the whole range is narrower."""

    column: Expr
    count: Expr


def planar(spec: KernelSpec, name: str) -> tirx.PrimFunc:
    """The kernel of a convolution with pixels in the lanes."""
    return build_function(spec, name, lambda frame: _body(frame, cast(Conv, spec.source)))


def _body(frame: Frame, conv: Conv) -> None:
    layout, primitive = weight_layout(frame.spec), primitive_of(frame.spec)
    assert layout is not None
    scheme = plan(conv, frame.isa, primitive, frame.spec.tile)
    k = _Planar(frame, scheme, layout, primitive, T.decl_buffer((1,), "int32", data=frame.scratch))
    (row0, row1), (col0, col1), before = frame.rows, frame.columns, conv.kernel[0] - 1
    width = T.bind(col1 - col0)
    turns = T.bind(T.Select(row1 > row0, row1 - row0 + before, T.int32(0)))
    with T.serial(0, T.truncdiv(width + (scheme.strip - 1), T.int32(scheme.strip))) as s:
        first = T.bind(T.max(T.min(s * scheme.strip, width - scheme.pixels), 0))
        strip = _Strip(T.bind(col0 + first), T.bind(T.min(width - first, scheme.strip)))
        with T.serial(0, turns) as turn:
            _inputs(k, strip, turn)
            with T.If(turn >= before), T.Then():
                _row(k, strip, turn)


def _inputs(k: _Planar, strip: _Strip, turn: Expr) -> None:
    """Transpose a strip of row number `turn` of the rows of x that are needed."""
    x, lanes, beside = k.frame.x, k.frame.lanes, k.scheme.kernel[1] - 1
    line = T.bind(x.row(k.frame.rows[0] + turn) + strip.column * x.pitch)
    slot = T.bind(T.truncmod(turn, T.int32(k.scheme.kernel[0])) * k.scheme.slot)

    def pixels(count: Expr, column: Callable[[Expr], Expr]) -> None:
        with T.serial(0, T.truncdiv(count + (lanes - 1), T.int32(lanes))) as b:
            at = T.bind(T.min(b * lanes, count - lanes))
            places = [line + column(at + p) * x.pitch for p in range(lanes)]
            _transpose(k, places, slot + at)

    with T.If(strip.count >= k.scheme.pixels):
        with T.Then():
            pixels(T.bind(strip.count + beside), lambda p: p)
        with T.Else():
            last = T.bind(strip.count + (beside - 1))
            pixels(k.scheme.pixels + beside, lambda p: T.bind(T.min(p, last)))


def _transpose(k: _Planar, places: Sequence[Expr], to: Expr) -> None:
    """All words of a vector of pixels that begin at `places`; to: where the first word's vector is put."""
    lanes, words, per = k.frame.lanes, k.scheme.words, _WORD // k.frame.x.bytes

    def four(first: Expr) -> None:
        def quad(pixel: int) -> Expr:
            elements = k.frame.x.load(places[pixel] + first * per, QUAD * per)
            return T.reinterpret(f"int32x{QUAD}", elements)

        rows = [T.bind(concat([quad(q + row) for q in range(0, lanes, QUAD)], QUAD, lanes)) for row in range(QUAD)]
        for n, vector in enumerate(_transposed(rows, lanes)[: min(words, QUAD)]):
            for half, unit in enumerate(halves_of(k.primitive, lanes, vector)):
                at = to + ((first + n) * k.scheme.halves + half) * k.scheme.line
                T.buffer_store(k.words, T.reinterpret(f"int32x{lanes}", unit), [ramp(at, lanes)])

    if words <= QUAD:
        four(0)
    else:
        with T.serial(0, -(-words // QUAD)) as c:
            four(T.bind(T.min(c * QUAD, words - QUAD)))


def _transposed(rows: Sequence[Expr], lanes: int) -> list[Expr]:
    """Four vectors, each 128 bits of them by itself: lane r of quarter q of vector n was lane n of it in vector r."""

    def unpacked(a: Expr, b: Expr, picks: Sequence[tuple[int, int]]) -> Expr:
        where = [side * lanes + q + lane for q in range(0, lanes, QUAD) for side, lane in picks]
        return T.bind(tirx.Shuffle([a, b], where))

    def words(a: Expr, b: Expr) -> tuple[Expr, Expr]:
        low, high = (unpacked(a, b, [(0, n), (1, n), (0, n + 1), (1, n + 1)]) for n in (0, 2))
        return low, high

    def pairs(a: Expr, b: Expr) -> tuple[Expr, Expr]:
        low, high = (unpacked(a, b, [(0, n), (0, n + 1), (1, n), (1, n + 1)]) for n in (0, 2))
        return low, high

    upper, lower = words(rows[0], rows[1]), words(rows[2], rows[3])
    return [vector for a, b in zip(upper, lower, strict=True) for vector in pairs(a, b)]


def _row(k: _Planar, strip: _Strip, turn: Expr) -> None:
    """The tiles of a row of the grid, whose last row of inputs was transposed in this turn."""
    pixels, height = k.scheme.pixels, k.scheme.kernel[0]
    row = T.bind(k.frame.rows[0] + turn - (height - 1))
    with T.serial(0, T.truncdiv(strip.count + (pixels - 1), T.int32(pixels))) as t:
        first = T.bind(T.max(T.min(t * pixels, strip.count - pixels), 0))
        with T.serial(0, k.layout.blocks) as block:
            _products(k, turn, first, block)
        _finish(k, strip, row, first)


def _products(k: _Planar, turn: Expr, first: Expr, block: Expr) -> None:
    """Sums of a tile's pixels, from number `first` of the strip on, and a block of channels -> scratch."""
    lanes, scheme, outputs, (height, width) = k.frame.lanes, k.scheme, k.scheme.outputs, k.scheme.kernel
    vectors = scheme.pixels // lanes
    sums = open_sums(k.frame.isa, k.primitive, outputs, vectors, vectors, k.frame.spec.tile.window)
    assert isinstance(sums, Broadcast)
    channel = T.bind(block * outputs)
    sums.start_each([T.broadcast(k.frame.params.one("bias", channel + o), lanes) for o in range(outputs)])
    tap = outputs * k.primitive.depth * scheme.units
    zero = unknown_zero(k.frame.columns[0] + first)
    base = T.bind(block * (height * width * tap) + zero)

    def step(i: Expr, j: Expr, unit: Expr) -> None:
        slot = T.truncmod(turn + (1 + i), T.int32(height)) * scheme.slot
        at = slot + unit * scheme.line + first + j
        inputs = [inputs_of(k.primitive, lanes, k.load(at + n * lanes)) for n in range(vectors)]
        weights = base + (i * width + j) * tap + unit * (outputs * k.primitive.depth)
        for o in range(outputs):
            w = _copied(k, weights + o * k.primitive.depth)
            for n, x in enumerate(inputs):
                sums.issue(o, n, x, w)

    _steps(k, sums, step, zero)
    _put_sums(k, sums.values(), channel)


def _steps(k: _Planar, sums: Broadcast, step: Callable[[Expr, Expr, Expr], None], zero: Expr) -> None:
    """The loops over kernel rows, taps and units; one of them is cut into windows, where the primitive has any."""
    turns, window = (*k.scheme.kernel, k.scheme.units), k.frame.spec.tile.window
    where = cut(turns, window) if window else None

    def repeat(level: Level, turn: Callable[[Expr], None]) -> None:
        if where is not None and level is where.level:
            in_windows(sums, turns[level], where.count, turn)
        elif level is Level.STEPS and turns[level] > 1:
            with T.serial(0, turns[level] - zero * NEVER) as at:  # unrolled, it has more inputs than registers
                turn(at)
        else:
            repeated(turns[level], turn)

    def taps(i: Expr) -> None:
        repeat(Level.RUNS, lambda j: repeat(Level.STEPS, lambda unit: step(i, j, unit)))

    repeat(Level.ROWS, taps)


def _copied(k: _Planar, index: Expr) -> Expr:
    """A word of weights in all lanes."""
    kind, size = ("int8", 4) if k.primitive.weight_bytes == 1 else ("int16", 2)
    word = T.reinterpret("int32", k.frame.weights[ramp(index, size)])
    return T.bind(T.reinterpret(f"{kind}x{size * k.frame.lanes}", T.broadcast(word, k.frame.lanes)))


def _put_sums(k: _Planar, values: Sequence[Sequence[Expr]], channel: Expr) -> None:
    """Sums [channel][vector] -> [pixel][channel]. What is written beside a block's own comes later or is room."""
    lanes, scheme = k.frame.lanes, k.scheme
    for o in range(0, len(values), QUAD):
        rows = [values[min(o + row, len(values) - 1)] for row in range(QUAD)]
        for n in range(scheme.pixels // lanes):
            for m, vector in enumerate(_transposed([row[n] for row in rows], lanes)):
                for q in range(0, lanes, QUAD):
                    at = scheme.sums + (n * lanes + q + m) * scheme.pitch + channel + o
                    T.buffer_store(k.words, concat([vector], lanes, QUAD, q), [ramp(at, QUAD)])


def _finish(k: _Planar, strip: _Strip, row: Expr, first: Expr) -> None:
    """Send the sums of a tile through the epilogue; of a range narrower than a tile its own pixels, one by one."""
    lanes, outputs, pixels = k.frame.lanes, k.layout.outputs, k.scheme.pixels
    valid = tuple(min(lanes, outputs - n) for n in range(0, outputs, lanes))
    block, count = Block(0, 0, valid), min(_FINISHED, pixels & -pixels)
    prepared = prepare(k.frame, block, (count, 1))

    def some(pixel: Expr, count: int) -> None:
        at = T.bind(k.scheme.sums + pixel * k.scheme.pitch)
        values = [[k.load(at + p * k.scheme.pitch + n * lanes) for n in range(len(valid))] for p in range(count)]
        finish(k.frame, block, Pixels(row, T.bind(strip.column + first + pixel), count), values, prepared)

    with T.If(strip.count >= pixels):
        with T.Then():
            repeated(pixels // count, lambda g: some(g * count, count))
        with T.Else(), T.serial(0, strip.count) as p:
            some(p, 1)
