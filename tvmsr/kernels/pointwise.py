"""Pointwise passes: requantize, piecewise linear activation, table, add, mul, gather, depth to space, or several.

The value is the stored code minus its zero point, or the product of two of them; the epilogue does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import cast

from tvm import tirx
from tvm.tirx.script import builder as T

from tvmsr.kernels.conv import for_columns
from tvmsr.kernels.emit import Expr, Frame, Tensor, build_function, gather, load_vectors
from tvmsr.kernels.epilogue import Block, Pixels, finish, shared_blocks
from tvmsr.kernels.spec import KernelSpec, Load


def pointwise(spec: KernelSpec, name: str) -> tirx.PrimFunc:
    """The kernel of a pointwise pass."""
    return build_function(spec, name, lambda frame: _body(frame, cast(Load, spec.source)))


def _body(frame: Frame, load: Load) -> None:
    with T.serial(*frame.rows) as row:
        for block, _ in blocks_of(frame, can_loop=not load.channels):
            for_columns(frame, frame.spec.tile.pixels, partial(_tile, frame, load, block, row))


def blocks_of(frame: Frame, can_loop: bool = True) -> Iterator[tuple[Block, Expr]]:
    """Blocks of output channels with their numbers: one in a loop for those that can share code, then the others."""
    lanes, outputs = frame.lanes, frame.spec.source.outputs
    width = frame.spec.tile.vectors * lanes
    count = -(-outputs // width)
    shared = shared_blocks(frame, width) if can_loop else 0
    if shared > 1:
        with T.serial(0, shared) as b:
            yield Block(b * width, b * width, (lanes,) * frame.spec.tile.vectors), b
    for number in range(shared if shared > 1 else 0, count):
        first = number * width
        valid = [min(lanes, outputs - c) for c in range(first, min(outputs, first + width), lanes)]
        yield Block(first, first, tuple(valid)), number


def _tile(frame: Frame, load: Load, block: Block, row: Expr, column: Expr, count: int) -> None:
    pixels = Pixels(row, column, count)
    line = T.bind(frame.x.row(pixels.row) + pixels.column * frame.x.pitch)
    values = [
        [_centred(frame, "x", codes) for codes in _codes(frame, load, block, line + p * frame.x.pitch)]
        for p in range(pixels.count)
    ]
    if frame.times is not None:
        values = _multiplied(frame, frame.times, block, pixels, values)
    finish(frame, block, pixels, values)


def _centred(frame: Frame, name: str, codes: Expr) -> Expr:
    return T.cast(codes, f"int32x{frame.lanes}") - frame.params.scalar_vector(f"{name}_zero")


def _multiplied(
    frame: Frame, times: Tensor, block: Block, pixels: Pixels, values: list[list[Expr]]
) -> list[list[Expr]]:
    """The values times the centred codes of the second factor, as int32."""
    line = T.bind(times.row(pixels.row) + pixels.column * times.pitch + block.channel)
    result = []
    for p, vectors in enumerate(values):
        factors = load_vectors(times, line + p * times.pitch, len(vectors), frame.lanes)
        result.append([v * _centred(frame, "times", codes) for v, codes in zip(vectors, factors, strict=True)])
    return result


def _codes(frame: Frame, load: Load, block: Block, pixel: Expr) -> list[Expr]:
    """One vector of stored codes for each of the block."""
    lanes, count = frame.lanes, len(block.valid)
    if not load.channels:
        return load_vectors(frame.x, pixel + block.channel, count, lanes)
    firsts = [block.channel + n * lanes for n in range(count)]
    wanted = [load.channels[first : first + valid] for first, valid in zip(firsts, block.valid, strict=True)]
    return [gather(frame.x, pixel, channels, lanes) for channels in wanted]
