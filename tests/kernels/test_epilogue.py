"""From sums to memory: which element goes where, for any store, and the bytes at the edges of what a spec allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels import harness, test_conv, test_pointwise
from tests.kernels.emulator import HOST_ISAS, MACHINES, half, isa_of
from tests.kernels.harness import Case, check, operand, store
from tests.kernels.reference import place
from tvmsr.kernels.narrow import Packing
from tvmsr.kernels.spec import Conv, Epilogue, Form, Load, Reads, Residual, Store
from tvmsr.kernels.stores import filled, joined_pieces, runs, segments
from tvmsr.quant.integer import TERM_LIMIT

PACKINGS = [Packing(lanes, size, True) for lanes in (4, 8, 16) for size in (1, 2)]
PACKINGS += [Packing(lanes, size, False, reach) for lanes in (4, 8) for size in (1, 2) for reach in (1, 2)]


@st.composite
def stores(draw, size):
    block = draw(st.sampled_from([1, 1, 2, 3, 4]))
    channels = draw(st.integers(1, 70 if block == 1 else 20))
    form = Form.U8 if size == 1 else Form.S16
    pitch = (channels + draw(st.sampled_from([0, 0, 1, 5]))) * size
    return Store(form, pitch, channels, draw(st.sampled_from([0, 0, 3])), block)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_every_element_reaches_its_place(data):
    """The slots and pieces of tiles side by side, carried out in order, against depth to space in numpy."""
    packing = data.draw(st.sampled_from(PACKINGS))
    kept = data.draw(stores(packing.size))
    outputs = kept.first + kept.channels * kept.block**2 + data.draw(st.integers(0, 5))
    pixels, vectors = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    width, elements = vectors * packing.lanes, kept.pitch // packing.size
    grid = np.arange(1, 1 + pixels * outputs).reshape(1, pixels, outputs)
    memory = np.full((kept.block, pixels * kept.block * elements + packing.slot), -1)
    before = memory.copy()
    for channel in range(0, outputs, width):
        count = min(width, outputs - channel)
        used = -(-count // packing.lanes)
        parts = list(segments(kept, channel, count))
        tile = np.zeros((pixels, used * packing.lanes), int)
        tile[:, :count] = grid[0, :, channel : channel + count]
        found = runs(parts, kept.block * elements, pixels, used, packing.lanes)
        _carry_out(packing, tile.reshape(-1, packing.lanes), filled(found, packing), memory)
    expected = before[:, : pixels * kept.block * elements].reshape(kept.block, -1, elements)
    place(kept, grid, expected)
    assert np.array_equal(memory[:, : expected[0].size], expected.reshape(kept.block, -1))
    assert (memory[:, expected[0].size :] == -1).all()


def _carry_out(packing, vectors, slots, memory):
    """Write what the slots say into memory, and check that a permutation can make each of them."""
    values = {}
    for number, vector in enumerate(vectors):
        values |= {packing.place(number, lane): value for lane, value in enumerate(vector)}
    assert len(values) == vectors.size
    for first in range(0, len(slots), packing.slots):
        chosen = slots[first : first + packing.slots]
        assert all(packing.fits(p for p in f.slot if p is not None) for f in chosen)
        register = [-7 if p is None else values[p] for f in chosen for p in f.slot]
        for piece in joined_pieces(chosen, packing.slot):
            assert piece.count & (piece.count - 1) == 0
            memory[piece.dy, piece.at : piece.at + piece.count] = register[piece.first : piece.first + piece.count]


def test_touching_pixels_share_stores():
    """What touches is stored in whole slots, and these together where they lie side by side in a register."""

    def counts(channels, block, pixels):
        packing, kept = Packing(16, 1, True), Store(Form.U8, channels, channels, block=block)
        total = channels * block**2
        found = runs(list(segments(kept, 0, total)), block * channels, pixels, -(-total // 16), 16)
        slots = filled(found, packing)
        size = packing.slots
        pieces = [joined_pieces(slots[k : k + size], 16) for k in range(0, len(slots), size)]
        return sorted(p.count for group in pieces for p in group)

    assert counts(3, 4, 4) == [16] * 8 + [32] * 2
    assert counts(3, 2, 4) == [4, 4, 8, 8, 16, 16]
    assert counts(3, 3, 2) == [1, 1, 2, 2, 4, 4, 4, 16, 16, 16]
    assert counts(28, 1, 2) == [16, 16, 32]
    assert counts(64, 1, 6) == [64] * 6
    assert counts(48, 1, 8) == [64] * 6


def tame(cases):
    """The same cases, told that their products stay small: they do, but for the steep ones."""
    return [replace(c, epilogue=replace(c.epilogue, tame=True), spec={}) for c in cases if not c.steep]


def conv(inputs, outputs):
    return Conv((1, 1), inputs, outputs, operand(inputs), 8, 8)


WIDE = Epilogue((store(20, Form.U16), store(20, reads=Reads.CODE)), (Residual(operand(20)),), fraction=5)
#: Products as large as a tame epilogue may have, of both signs, against every kind of store.
LIMITS = [
    Case("limit_u8", conv(12, 64), Epilogue((store(64),), tame=True)),
    Case("limit_u8_leaky", conv(12, 21), Epilogue((store(21),), leaky=True, tame=True), zero="high"),
    Case("limit_u16", conv(12, 40), Epilogue((store(40, Form.U16),), tame=True), out_bits=(16,)),
    Case("limit_s16", conv(12, 40), Epilogue((store(40, Form.S16),), tame=True), zero="low", out_bits=(16,)),
    Case("limit_s16_15", conv(12, 9), Epilogue((store(9, Form.S16),), tame=True), zero="high", out_bits=(15,)),
    Case("limit_sum", conv(12, 20), replace(WIDE, tame=True), out_bits=(16, 8)),
    Case(
        "limit_sum_u8",
        Load(20, 20, operand(20)),
        Epilogue((store(5, block=2),), (Residual(operand(20)), Residual(operand(20), True)), fraction=8, tame=True),
    ),
    Case("limit_full_u8", conv(12, 64), Epilogue((store(64, full=True),), tame=True), zero="high"),
    Case("limit_full_u16", conv(12, 21), Epilogue((store(21, Form.U16, full=True),), tame=True), out_bits=(16,)),
    Case("limit_full_s16", conv(12, 21), Epilogue((store(21, Form.S16, full=True),), tame=True), out_bits=(16,)),
    Case(
        "limit_full_sum",
        conv(12, 20),
        replace(WIDE, stores=tuple(replace(s, full=True) for s in WIDE.stores), tame=True),
        out_bits=(16, 8),
    ),
    Case("limit_post_u8", conv(12, 21), Epilogue((store(21),), post=True, tame=True), zero="high"),
    Case("limit_post_sum", conv(12, 20), replace(WIDE, post=True, tame=True), out_bits=(16, 8)),
    Case(
        "limit_full_post",
        conv(12, 20),
        replace(WIDE, stores=(store(20, Form.U16, full=True),), post=True, tame=True),
        out_bits=(16,),
    ),
]
CASES = tame(test_conv.CASES + test_pointwise.CASES)


NAMES = [*HOST_ISAS, *MACHINES]
#: What is built for each: limits first; of the rest, which test_conv.py and test_pointwise.py have untamed, half.
BUILT = {name: LIMITS + half(name, CASES) for name in NAMES}
PARAMS = [
    pytest.param(name, index, id=f"{case.name}-{name}")
    for name, cases in BUILT.items()
    for index, case in enumerate(cases)
    if index >= len(LIMITS)
]


@pytest.mark.parametrize(("name", "index"), PARAMS)
def test_tame(opened, name, index):
    case = BUILT[name][index]
    check(opened(name, BUILT[name]), f"k{index}", case, case.spec_for(isa_of(name)))


def full_bounds(spec, index, zero):
    """The bounds of a store that has all of its type."""
    kept = spec.epilogue.stores[index]
    info = np.iinfo(harness.DTYPES[kept.form])
    names, dtype = ("lo", "hi"), np.float32
    if kept.reads is Reads.CODE:
        names = (f"store{index}_lo", f"store{index}_hi")
    elif spec.epilogue.post:
        names = ("post_lo", "post_hi")
    elif spec.epilogue.residuals:
        names, dtype = ("sum_lo", "sum_hi"), np.int32
    return {
        n: np.full(spec.source.outputs, end - zero, dtype) for n, end in zip(names, (info.min, info.max), strict=True)
    }


def at_the_limit(random):
    """Multipliers that send the largest sources to TERM_LIMIT, of both signs."""

    def params(case, spec, rng):
        found = random(case, spec, rng)
        for name in (n for n in found if harness._is_multiplier(n)):
            largest = 255 * 128 * 12 if isinstance(spec.source, Conv) and name in ("m", "m_neg") else 256
            largest = 65536 if name.startswith(("store", "post")) else largest
            signs = np.resize([1, -1, 1], spec.source.outputs)
            found[name] = (signs * TERM_LIMIT / 2 / largest).astype(np.float32)
        for i, kept in enumerate(spec.epilogue.stores):
            if kept.full:
                found |= full_bounds(spec, i, found[f"store{i}_zero"])
        if "bias" in found:
            found["bias"][:] = 0
        return found

    return params


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("index", range(len(LIMITS)), ids=[c.name for c in LIMITS])
@pytest.mark.parametrize("saturate", [False, True])
def test_limits(opened, name, index, saturate, monkeypatch):
    monkeypatch.setattr(harness, "random_params", at_the_limit(harness.random_params))
    case, kernels = LIMITS[index], opened(name, BUILT[name])
    check(kernels, f"k{index}", replace(case, saturate=saturate), case.spec_for(isa_of(name)))
