"""Windows: how many steps of products may be summed in 16 bits before the sums are widened. Needs no tvm.

A window is part of the loops that a tile runs anyway. A 16-bit lane adds `depth / 2` products a step:

    sum(s * w) over a window lies within [sum(min(low * w, high * w)), sum(max(low * w, high * w))]

for stored codes s in [low, high], whatever they are; where that lies within 16 bits for every window of every channel
and lane, in the order in which weights are packed, the widened sums are exact. Additions of 16 bits wrap, so that only
the whole of a window has to fit, and not what its steps pass through. A pair of products that the CPU itself adds up
(`Primitive.pair_limit`) saturates and has to fit by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tvmsr.kernels.isa import Kind, Primitive
from tvmsr.kernels.layout import row_inputs, run_shape
from tvmsr.kernels.spec import Conv
from tvmsr.kernels.transforms import Transform

_LOW, _HIGH = -32768, 32767
#: Sums in 16 bits that one of 32 bits is made of.
_HALVES = 2
#: The window of a chain: it is written out, and one load has no more steps. Shorter ones save nothing.
_CHAIN = 8

#: The least and the largest sum that one step brings to each 16-bit lane: both (rows, runs, steps, lanes, OC).
StepSums = tuple[NDArray[np.int64], NDArray[np.int64]]


class Level(IntEnum):
    """The loops of a tile, outermost first: kernel rows, runs of a row, steps of a run."""

    ROWS = 0
    RUNS = 1
    STEPS = 2


@dataclass(frozen=True)
class Cut:
    """Windows are `count` turns of a loop, with all loops inside of it; the last one of a loop may have fewer."""

    level: Level
    count: int


def cut(turns: tuple[int, int, int], window: int) -> Cut:
    """The longest windows of at most `window` steps, of loops with so many turns (rows, runs, steps).

    A window that holds a whole run holds whole runs, one that holds a whole kernel row whole rows.
    """
    rows, runs, steps = turns
    if window >= runs * steps:
        return Cut(Level.ROWS, min(rows, window // (runs * steps)))
    if window >= steps:
        return Cut(Level.RUNS, window // steps)
    return Cut(Level.STEPS, window)


def widenings(turns: tuple[int, int, int], window: int) -> int:
    """How often the sums of a tile are widened."""
    where = cut(turns, window)
    around = int(np.prod(turns[: where.level], dtype=np.int64))
    return around * -(-turns[where.level] // where.count)


def legal_windows(conv: Conv, primitive: Primitive, weight: NDArray[np.int8] | None) -> tuple[int, ...]:
    """Windows of a direct convolution worth a try, in steps: exact for every code of `conv` and these weights.

    One that cuts its loop evenly first; () for none. weight: codes (KH, KW, IC / groups, OC); None: any that
    `conv.weight_bits` allows.
    """
    return windows_of(step_sums(conv, primitive, weight), primitive)


def windows_of(sums: StepSums, primitive: Primitive) -> tuple[int, ...]:
    """Exact windows for steps that bring such sums, as `legal_windows`; () where not even two steps fit."""
    if not _pairs_fit(sums, primitive):
        return ()
    if primitive.kind is Kind.CHAIN:
        return (_CHAIN,) if exact(sums, primitive, _CHAIN) else ()
    turns = sums[0].shape
    for level in Level:
        inner = int(np.prod(turns[level + 1 : Level.STEPS + 1], dtype=np.int64))
        counts, running = range(turns[level], 0, -1), _running(sums, level)
        longest = next((n for n in counts if n * inner > 1 and _fits(_between(running, level, n))), 0)
        if longest:
            even = -(-turns[level] // -(-turns[level] // longest))  # as many windows, of about one length
            divisor = max(n for n in range(1, even + 1) if turns[level] % n == 0)
            offered = dict.fromkeys(n * inner for n in (divisor, even, longest) if n * inner > 1)
            return tuple(n for n in offered if _fits(_between(running, level, n // inner)))
    return ()


def exact(sums: StepSums, primitive: Primitive, window: int) -> bool:
    """Whether windows of so many steps, as a kernel cuts them, lose nothing."""
    if primitive.kind is Kind.CHAIN:
        return _fits(_chain_sums(sums, window, primitive.span))
    rows, runs, steps = sums[0].shape[: len(Level)]
    where = cut((rows, runs, steps), window)
    windows = _between(_running(sums, where.level), where.level, where.count)
    return _pairs_fit(sums, primitive) and _fits(windows)


def step_sums(conv: Conv, primitive: Primitive, weight: NDArray[np.int8] | None) -> StepSums:
    """What the steps of a direct convolution bring; of weights that are not known, one channel of each sign."""
    if weight is None:
        limit = 2 ** (conv.weight_bits - 1) - 1
        shape = (*conv.kernel, conv.inputs // conv.groups, 1)
        weight = np.concatenate([np.full(shape, limit, np.int8), np.full(shape, -limit, np.int8)], 3)
    flat = weight.reshape(conv.kernel[0], -1, weight.shape[3]).astype(np.int64)
    with_none = np.pad(flat, ((0, 0), (0, 1), (0, 0)))  # -1, no weight, finds the zero at the end
    _, runs, steps = run_shape(conv, primitive.group)
    packed = with_none[:, row_inputs(conv, primitive)]
    low = -conv.x.form.offset(conv.max_bits)
    return lane_sums(packed.reshape(conv.kernel[0], runs, steps, primitive.group, -1), low, low + 2**conv.max_bits - 1)


def transformed_windows(
    conv: Conv, primitive: Primitive, weight: NDArray[np.int8] | None, transform: Transform
) -> tuple[int, ...]:
    """As `legal_windows`, of a transform on bytes."""
    return windows_of(transformed_sums(conv, primitive, weight, transform), primitive)


def transformed_sums(
    conv: Conv, primitive: Primitive, weight: NDArray[np.int8] | None, transform: Transform
) -> StepSums:
    """What the steps of one position bring, as one run over the input channels: positions stand among the outputs."""
    if weight is None:
        rows = np.abs(np.array(transform.weights, np.int64)).sum(1)
        largest = np.multiply.outer(rows, rows)[:, :, None, None] * (2 ** (conv.weight_bits - 1) - 1)
        u = np.repeat(np.concatenate([largest, -largest], 3), conv.inputs, 2)
    else:
        u = transform.transformed(weight)
    u = np.pad(u, ((0, 0), (0, 0), (0, -conv.inputs % primitive.group), (0, 0)))
    packed = np.moveaxis(u, 2, 0).reshape(1, 1, -1, primitive.group, u[:, :, 0].size)
    low, high = (np.repeat(end, u.shape[3]) for end in transform.stored_range(conv.x.form, conv.max_bits))
    return lane_sums(packed, low, high)


def lane_sums(packed: NDArray[np.int64], low: int | NDArray[np.int64], high: int | NDArray[np.int64]) -> StepSums:
    """What steps bring, of weights (rows, runs, steps, depth, OC) in packed order and stored inputs in [low, high]."""
    lanes = packed.reshape(*packed.shape[:3], _HALVES, -1, packed.shape[4])
    ends = lanes * low, lanes * high
    return np.minimum(*ends).sum(4), np.maximum(*ends).sum(4)


def _pairs_fit(sums: StepSums, primitive: Primitive) -> bool:
    return not primitive.pair_limit or _fits(sums)


def _running(sums: StepSums, level: Level) -> StepSums:
    """Sums of the first 0, 1, 2 ... turns of a loop."""
    inner = tuple(range(level + 1, Level.STEPS + 1))
    low, high = (s.sum(inner).cumsum(level) for s in sums)
    front = [(int(axis == level), 0) for axis in range(low.ndim)]
    return np.pad(low, front), np.pad(high, front)


def _between(running: StepSums, level: Level, count: int) -> StepSums:
    """Sums of windows of `count` turns each, and a last one of what is left."""
    turns = running[0].shape[level] - 1
    low, high = (np.diff(r.take([*range(0, turns, count), turns], level), axis=level) for r in running)
    return low, high


def _chain_sums(sums: StepSums, count: int, span: int) -> StepSums:
    """Sums of chains of `count` steps, which do not go on from one load to the next."""
    steps = sums[0].shape[Level.STEPS]
    starts = [n for load in range(0, steps, span) for n in range(load, min(load + span, steps), count)]
    low, high = (np.add.reduceat(s, starts, axis=Level.STEPS) for s in sums)
    return low, high


def _fits(sums: StepSums) -> bool:
    return bool(sums[0].min() >= _LOW and sums[1].max() <= _HIGH)
