"""From int32 values to stored codes, in registers.

The formulas are those of tvmsr/quant/integer.py; `value` is an accumulator, a centred code or a product:

    r = rne(clamp(float32(value) * m, lo, hi))                       m_neg for m where value < 0 and LEAKY
    with residuals, r is a term:
        t_i = (q_i - zero_i) << fraction                             identity: m_i = 2**fraction, the same integer
        t_i = rne(clamp(float32(q_i - zero_i) * m_i, +-TERM_LIMIT))  else
        r = clamp((r + t_0 + ... + half) >> fraction, sum_lo, sum_hi)
    with a table: r = table[r + table_zero], already less its own zero point
    a store of VALUE keeps r + zero_k; one of CODE keeps rne(clamp(float32(r) * m_k, lo_k, hi_k)) + zero_k

All bounds are relative to zero points, and zero points are those of stored values: the form of a tensor shows in its
element type only. A float product is always clamped and rounded at once, so nothing can be contracted to an FMA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, Frame, clamp, clamp_floats, gather, load_vectors, round_to_int
from tvmsr.kernels.spec import Reads
from tvmsr.kernels.stores import Place, store_channels
from tvmsr.quant.integer import TERM_LIMIT


@dataclass(frozen=True)
class Block:
    """Neighbouring output channels: vector n holds `valid[n]` channels.

    position: of the first lane in parameter arrays; channel: of the first lane in tensors. An int where it is known
    while generating; an expression in a loop over blocks, in which all vectors are full.
    """

    position: Expr
    channel: Expr
    valid: tuple[int, ...]


@dataclass(frozen=True)
class Pixels:
    """Neighbouring pixels of one row of the grid."""

    row: Expr
    column: Expr
    count: int


def finish(frame: Frame, block: Block, pixels: Pixels, values: Sequence[Sequence[Expr]]) -> None:
    """Send values[pixel][vector] through the epilogue and store them."""
    bases = [T.bind(r.row(pixels.row) + pixels.column * r.pitch) for r in frame.residuals]
    for p in range(pixels.count):
        codes = [_residual_codes(frame, block, i, base + p * frame.residuals[i].pitch) for i, base in enumerate(bases)]
        results = [T.bind(_result(frame, block, n, value, [c[n] for c in codes])) for n, value in enumerate(values[p])]
        for index, store in enumerate(frame.spec.epilogue.stores):
            stored = [_stored(frame, block, n, index, store.reads, r) for n, r in enumerate(results)]
            place = Place(pixels.row, pixels.column + p, pixels.count - 1 - p)
            store_channels(frame, index, block.channel, sum(block.valid), place, stored)


def _result(frame: Frame, block: Block, n: int, value: Expr, residuals: Sequence[Expr]) -> Expr:
    params, epilogue, position = frame.params, frame.spec.epilogue, block.position + n * frame.lanes
    m = params.floats("m", position)
    value = T.bind(value)
    if epilogue.leaky:
        m = T.Select(value < T.broadcast(T.int32(0), frame.lanes), params.floats("m_neg", position), m)
    result = _scaled(frame, value, m, params.floats("lo", position), params.floats("hi", position))
    if epilogue.residuals:
        for index, codes in enumerate(residuals):
            result = result + _term(frame, block, n, index, codes)
        result = _add_shift(frame, result)
        result = clamp(T.bind(result), params.ints("sum_lo", position), params.ints("sum_hi", position))
    if epilogue.table:
        index = T.bind(result + params.scalar_vector("table_zero") + T.broadcast(T.int32(params.table), frame.lanes))
        result = params.words[index]
    return result


def _scaled(frame: Frame, value: Expr, m: Expr, low: Expr, high: Expr) -> Expr:
    """rne(clamp(float32(value) * m, low, high))."""
    product = T.bind(T.cast(value, f"float32x{frame.lanes}") * m)
    return T.bind(round_to_int(frame.isa, clamp_floats(frame.isa, product, low, high)))


def _add_shift(frame: Frame, total: Expr) -> Expr:
    fraction, lanes = frame.spec.epilogue.fraction, frame.lanes
    if not fraction:
        return total
    half = T.broadcast(T.int32(1 << fraction >> 1), lanes)
    return T.shift_right(total + half, T.broadcast(T.int32(fraction), lanes))


def _residual_codes(frame: Frame, block: Block, index: int, base: Expr) -> list[Expr]:
    """Stored codes of a residual, one vector for each of the block; `base` is the element at which its pixel starts."""
    modulo, tensor, lanes = frame.spec.epilogue.residuals[index].modulo, frame.residuals[index], frame.lanes
    channel = block.channel
    if modulo and isinstance(channel, int):
        firsts = [channel + n * lanes for n in range(len(block.valid))]
        wanted = [[c % modulo for c in range(f, f + v)] for f, v in zip(firsts, block.valid, strict=True)]
        return [gather(tensor, base, channels, lanes) for channels in wanted]
    if modulo:  # blocks divide the modulo: see `shared_blocks`
        channel = T.truncmod(channel, T.int32(modulo))
    return load_vectors(tensor, base + channel, len(block.valid), lanes)


def _term(frame: Frame, block: Block, n: int, index: int, codes: Expr) -> Expr:
    """Term of a residual from its stored codes."""
    residual, lanes = frame.spec.epilogue.residuals[index], frame.lanes
    centred = T.bind(T.cast(codes, f"int32x{lanes}") - frame.params.scalar_vector(f"residual{index}_zero"))
    if residual.identity:
        fraction = frame.spec.epilogue.fraction
        return T.shift_left(centred, T.broadcast(T.int32(fraction), lanes)) if fraction else centred
    limit = T.broadcast(T.float32(TERM_LIMIT), lanes)
    m = frame.params.floats(f"residual{index}_m", block.position + n * lanes)
    return _scaled(frame, centred, m, T.broadcast(T.float32(-TERM_LIMIT), lanes), limit)


def _stored(frame: Frame, block: Block, n: int, index: int, reads: Reads, result: Expr) -> Expr:
    params, position = frame.params, block.position + n * frame.lanes
    if reads is Reads.CODE:
        m, low, high = (params.floats(f"store{index}_{name}", position) for name in ("m", "lo", "hi"))
        result = _scaled(frame, result, m, low, high)
    return result + params.scalar_vector(f"store{index}_zero")


def shared_blocks(frame: Frame, width: int) -> int:
    """How many blocks of `width` channels, from the first on, can share code: full ones, at addresses affine in b.

    A block in depth to space has to lie within one (dy, dx).
    """
    spec = frame.spec
    stores = all(
        s.first == 0 and s.channels * s.block**2 == spec.source.outputs and (s.block == 1 or s.channels % width == 0)
        for s in spec.epilogue.stores
    )
    residuals = all(r.modulo % width == 0 for r in spec.epilogue.residuals)
    return spec.source.outputs // width if stores and residuals else 0
