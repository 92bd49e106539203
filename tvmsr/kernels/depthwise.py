"""Depthwise convolution: every lane is a channel of its own, so inputs are loaded, not broadcast.

acc[c] = start[c] + sum over taps of s[c] * w[c]; `start` as in conv.py. Products of 16-bit numbers, summed in int32.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from tvm import tirx
from tvm.tirx.script import builder as T

from tvmsr.kernels.algorithms import weight_layout
from tvmsr.kernels.conv import for_columns
from tvmsr.kernels.emit import Expr, Frame, build_function, load_vectors, ramp
from tvmsr.kernels.epilogue import Block, Pixels, finish
from tvmsr.kernels.pointwise import blocks_of
from tvmsr.kernels.spec import Conv, KernelSpec


def depthwise(spec: KernelSpec, name: str) -> tirx.PrimFunc:
    """The kernel of a depthwise convolution."""
    return build_function(spec, name, lambda frame: _body(frame, cast(Conv, spec.source)))


def _body(frame: Frame, conv: Conv) -> None:
    with T.serial(*frame.rows) as row:
        for block, number in blocks_of(frame):
            for_columns(frame, frame.spec.tile.pixels, partial(_tile, frame, conv, block, number, row))


def _tile(frame: Frame, conv: Conv, block: Block, number: Expr, row: Expr, column: Expr, count: int) -> None:
    pixels = Pixels(row, column, count)
    lanes, pitch = frame.lanes, frame.x.pitch
    layout = weight_layout(frame.spec)
    assert layout is not None
    vectors = len(block.valid)
    acc = [[T.alloc_buffer((lanes,), "int32", scope="global") for _ in range(vectors)] for _ in range(pixels.count)]
    for n in range(vectors):
        start = T.bind(frame.params.ints("bias", block.position + n * lanes))
        for p in range(pixels.count):
            T.buffer_store(acc[p][n], start, [ramp(0, lanes)])
    width, i32 = layout.vectors * lanes, f"int32x{lanes}"
    narrow = "int32" if frame.x.dtype == "uint16" else "int16"
    with T.serial(0, layout.kernel_h) as i:
        line = T.bind(frame.x.row(pixels.row * conv.stride + i * conv.dilation) + pixels.column * (conv.stride * pitch))
        with T.serial(0, layout.kernel_w) as j:
            at = line + j * (conv.dilation * pitch) + block.channel
            base = ((number * layout.kernel_h + i) * layout.kernel_w + j) * width
            weights = load_vectors(frame.packed_weights, base, vectors, lanes)
            for p in range(pixels.count):
                codes = load_vectors(frame.x, at + p * conv.stride * pitch, vectors, lanes)
                for a, code, weight in zip(acc[p], codes, weights, strict=True):
                    product = T.cast(T.cast(code, f"{narrow}x{lanes}"), i32) * T.cast(weight, i32)
                    T.buffer_store(a, a[ramp(0, lanes)] + product, [ramp(0, lanes)])
    finish(frame, block, pixels, [[a[ramp(0, lanes)] for a in line] for line in acc])
