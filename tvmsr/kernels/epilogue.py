"""From int32 values to stored codes, in registers.

The formulas are those of tvmsr/quant/integer.py; `value` is an accumulator, a centred code or a product:

    r = rne(clamp(float32(value) * m, lo, hi))                       m_neg for m where value < 0 and LEAKY
    with residuals, r is a term:
        t_i = (q_i - zero_i) << fraction                             identity: m_i = 2**fraction, the same integer
        t_i = rne(clamp(float32(q_i - zero_i) * m_i, +-TERM_LIMIT))  else
        r = clamp((r + t_0 + ... + half) >> fraction, sum_lo, sum_hi)
    with an activation behind that: r = rne(clamp(float32(r) * post_m, post_lo, post_hi))      post_m_neg where r < 0
    with a table: r = table[r + table_zero], already less its own zero point
    a store of VALUE keeps r + zero_k; one of CODE keeps rne(clamp(float32(r) * m_k, lo_k, hi_k)) + zero_k

All bounds are relative to zero points, and zero points are those of stored values: the form of a tensor shows in its
element type only. A float product is always clamped and rounded at once, so nothing can be contracted to an FMA.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import (
    Expr,
    Frame,
    clamp,
    clamp_floats,
    floats_at_most,
    gather,
    load_vectors,
    lookup,
    round_to_int,
)
from tvmsr.kernels.isa import Rounding
from tvmsr.kernels.narrow import pack, packing_of
from tvmsr.kernels.spec import Reads
from tvmsr.kernels.stores import Limits, Place, TileStore
from tvmsr.quant.integer import TERM_LIMIT

#: More terms than this might reach the end of int32 before their sum has its bounds.
_FEW = 100


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


#: Bounds of stores as registers of elements, by store and by the vectors of a block that a register is made of.
Prepared = dict[tuple[int, tuple[int, ...]], Limits]


def prepare(frame: Frame, block: Block, counts: Iterable[int]) -> Prepared:
    """What `finish` needs of a block's parameters for tiles of `counts` pixels, computed here and now.

    For callers whose loops LLVM takes nothing out of, because they might not run: to be called before them.
    """
    found: Prepared = {}
    for index, store in enumerate(frame.spec.epilogue.stores):
        if not _waits(frame, index) or store.full:
            continue
        size, vectors = packing_of(frame.isa, frame.stores[index].bytes).vectors, len(block.valid)
        for total in (count * vectors for count in counts):
            for first in range(0, total, size):
                numbers = tuple(k % vectors for k in range(first, min(first + size, total)))
                if (index, numbers) not in found:
                    found[index, numbers] = _limits(frame, block, index, numbers)
    return found


def finish(
    frame: Frame,
    block: Block,
    pixels: Pixels,
    values: Sequence[Sequence[Expr]],
    prepared: Prepared | None = None,
) -> None:
    """Send values[pixel][vector] through the epilogue and store them. prepared: by `prepare`, for this block."""
    tile = _Tile(frame, block, pixels, values, prepared)
    place = Place(pixels.row, pixels.column, pixels.count, block.channel, sum(block.valid), len(block.valid))
    stores = [TileStore(frame, index, place) for index in range(len(frame.spec.epilogue.stores))]
    total, step = pixels.count * len(block.valid), max(store.packing.vectors for store in stores)
    for first in range(0, total, step):  # the vectors of a register at a time: results wait in few registers
        results = [tile.result(k) for k in range(first, min(total, first + step))]
        for index, store in enumerate(stores):
            for register, limits in tile.packed(index, first, results):
                store.add(register, limits)


class _Tile:
    """The vectors of a tile, numbered pixel by pixel."""

    def __init__(
        self,
        frame: Frame,
        block: Block,
        pixels: Pixels,
        values: Sequence[Sequence[Expr]],
        prepared: Prepared | None,
    ) -> None:
        self._frame, self._block, self._values = frame, block, values
        self._bases = [T.bind(r.row(pixels.row) + pixels.column * r.pitch) for r in frame.residuals]
        self._codes: dict[int, list[list[Expr]]] = {}
        self._prepared = dict(prepared or {})

    def result(self, k: int) -> Expr:
        """Result k, less its zero point; still without its bounds where they wait (`_waits`)."""
        pixel, n = divmod(k, len(self._block.valid))
        if pixel not in self._codes:
            places = [base + pixel * r.pitch for base, r in zip(self._bases, self._frame.residuals, strict=True)]
            self._codes[pixel] = [_residual_codes(self._frame, self._block, i, at) for i, at in enumerate(places)]
        codes = [found[n] for found in self._codes[pixel]]
        return T.bind(_result(self._frame, self._block, n, self._values[pixel][n], codes))

    def packed(self, index: int, first: int, results: Sequence[Expr]) -> list[tuple[Expr, Limits | None]]:
        """Registers of a store, made of the results from number `first` on, and the bounds that they still need."""
        size = packing_of(self._frame.isa, self._frame.stores[index].bytes).vectors
        return [self._register(index, first + k, results[k : k + size]) for k in range(0, len(results), size)]

    def _register(self, index: int, first: int, results: Sequence[Expr]) -> tuple[Expr, Limits | None]:
        frame, store = self._frame, self._frame.spec.epilogue.stores[index]
        numbers = tuple((first + k) % len(self._block.valid) for k in range(len(results)))
        if store.reads is Reads.CODE:
            results = [_requantized(frame, self._block, n, index, r) for n, r in zip(numbers, results, strict=True)]
        register = _packed(frame, index, results)
        if not _waits(frame, index) or store.full:
            return register, None
        if (index, numbers) not in self._prepared:
            self._prepared[index, numbers] = _limits(frame, self._block, index, numbers)
        return register, self._prepared[index, numbers]


def _packed(frame: Frame, index: int, vectors: Sequence[Expr]) -> Expr:
    """A register of a store, zero point included."""
    return pack(frame.isa, frame.stores[index].dtype, vectors, frame.params.scalar(f"store{index}_zero"))


def _limits(frame: Frame, block: Block, index: int, numbers: tuple[int, ...]) -> Limits:
    """The bounds of a store as a register of the vectors with these numbers."""
    vectors = [_bounds(frame, block, n, index) for n in numbers]
    low, high = (_packed(frame, index, [v[side] for v in vectors]) for side in range(2))
    return low, high


def _waits(frame: Frame, index: int) -> bool:
    """Whether a store's bounds wait for its elements, which saturate: they take fewer instructions there."""
    epilogue = frame.spec.epilogue
    if frame.isa.packs is None:
        return False
    if epilogue.stores[index].reads is Reads.CODE:
        return epilogue.tame
    whole_numbers = bool(epilogue.residuals) and not epilogue.post
    return _loose(frame) and (whole_numbers or epilogue.tame)


def _loose(frame: Frame) -> bool:
    """Whether nothing but stores reads the results: what they hold beyond their bounds does not matter."""
    epilogue = frame.spec.epilogue
    value_only = not epilogue.table and all(s.reads is Reads.VALUE for s in epilogue.stores)
    return frame.isa.packs is not None and value_only and len(epilogue.residuals) <= _FEW


def _bounds(frame: Frame, block: Block, n: int, index: int) -> tuple[Expr, Expr]:
    """(low, high) of a store as int32, less its zero point."""
    params, position, lanes = frame.params, block.position + n * frame.lanes, frame.lanes
    if frame.spec.epilogue.stores[index].reads is Reads.CODE:
        names = (f"store{index}_lo", f"store{index}_hi")
    elif frame.spec.epilogue.post:
        names = ("post_lo", "post_hi")
    elif frame.spec.epilogue.residuals:
        return params.ints("sum_lo", position), params.ints("sum_hi", position)
    else:
        names = ("lo", "hi")
    low, high = (T.cast(params.floats(name, position), f"int32x{lanes}") for name in names)
    return low, high


def _result(frame: Frame, block: Block, n: int, value: Expr, residuals: Sequence[Expr]) -> Expr:
    params, epilogue, position = frame.params, frame.spec.epilogue, block.position + n * frame.lanes
    value = T.bind(value)
    m = _by_sign(frame, value, position) if epilogue.leaky else params.floats("m", position)
    bounds = (params.floats("lo", position), params.floats("hi", position))
    bounds_wait = _loose(frame) and not epilogue.post
    if epilogue.residuals:
        result = _scaled(frame, value, m, None if epilogue.tame else bounds)
        for index, codes in enumerate(residuals):
            result = result + _term(frame, block, n, index, codes)
        result = _add_shift(frame, result)
        if not bounds_wait:
            result = clamp(T.bind(result), params.ints("sum_lo", position), params.ints("sum_hi", position))
    else:
        result = _scaled(frame, value, m, None if bounds_wait and epilogue.tame else bounds)
    if epilogue.post:
        result = _activated(frame, T.bind(result), position)
    if epilogue.table:
        index = T.bind(result + params.scalar_vector("table_zero") + T.broadcast(T.int32(params.table), frame.lanes))
        result = lookup(frame.isa, params.words, index)
    return result


def _activated(frame: Frame, code: Expr, position: Expr) -> Expr:
    """The activation behind a sum, of its code less its zero point."""
    params = frame.params
    bounds = (params.floats("post_lo", position), params.floats("post_hi", position))
    waits = _loose(frame) and frame.spec.epilogue.tame
    return _scaled(frame, code, _by_sign(frame, code, position, "post_"), None if waits else bounds)


def _by_sign(frame: Frame, value: Expr, position: Expr, which: str = "") -> Expr:
    """The multiplier of a leaky requantization."""
    m, m_neg = (frame.params.floats(f"{which}{name}", position) for name in ("m", "m_neg"))
    return T.Select(value < T.broadcast(T.int32(0), frame.lanes), m_neg, m)


def _scaled(frame: Frame, value: Expr, m: Expr, bounds: tuple[Expr, Expr] | None) -> Expr:
    """rne(clamp(float32(value) * m, *bounds)). A tame product needs no bounds.

    What rounding adds to a product makes an FMA of both: where it adds, a bound that does nothing stands between.
    """
    product = T.bind(T.cast(value, f"float32x{frame.lanes}") * m)
    if bounds is not None:
        product = clamp_floats(frame.isa, product, *bounds)
    elif frame.isa.rounding is Rounding.MAGIC:
        product = floats_at_most(frame.isa, product, T.broadcast(T.float32(TERM_LIMIT), frame.lanes))
    return T.bind(round_to_int(frame.isa, product))


def _term_bounds(frame: Frame) -> tuple[Expr, Expr]:
    low, high = (T.broadcast(T.float32(limit), frame.lanes) for limit in (-TERM_LIMIT, TERM_LIMIT))
    return low, high


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
    m = frame.params.floats(f"residual{index}_m", block.position + n * lanes)
    return _scaled(frame, centred, m, None if frame.spec.epilogue.tame else _term_bounds(frame))


def _requantized(frame: Frame, block: Block, n: int, index: int, result: Expr) -> Expr:
    """The code of a store with a multiplier of its own, less its zero point."""
    params, position = frame.params, block.position + n * frame.lanes
    m, low, high = (params.floats(f"store{index}_{name}", position) for name in ("m", "lo", "hi"))
    return _scaled(frame, result, m, None if _waits(frame, index) else (low, high))


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
