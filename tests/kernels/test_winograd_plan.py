"""Where transforms keep things: areas that do not overlap, strides that share no cache set, strips that fit."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.harness import operand
from tvmsr.kernels.algorithms import ALGORITHMS
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.spec import Conv, Tile
from tvmsr.kernels.transforms import TRANSFORMS
from tvmsr.kernels.winograd_plan import plan, strips

NAMES = dict(zip(TRANSFORMS, ("winograd2", "winograd2_words", "winograd4"), strict=True))
LINE = 64


def conv(inputs, outputs=64):
    return Conv((3, 3), inputs, outputs, operand(inputs), 6, 4)


@given(
    st.integers(1, 300), st.sampled_from(sorted(ISAS)), st.sampled_from(TRANSFORMS), st.integers(1, 14),
    st.integers(1, 6), st.integers(1, 99), st.booleans(),
)  # fmt: skip
def test_areas(inputs, isa, m, pixels, vectors, strip, rows):
    p = plan(conv(inputs), ISAS[isa], Tile(pixels, vectors, strip=strip, positions=m.points if rows else 1), m)
    width, positions, e = vectors * ISAS[isa].lanes, m.points**2, p.element
    assert p.tiles >= strip
    assert p.tiles % pixels == 0
    whole, rest = p.chunks
    assert inputs <= p.pitch == whole * p.vector + rest
    assert p.pitch * e % 16 == 0
    assert p.pitch - inputs < max(p.vector, 16 // e)
    assert p.v_position >= p.tiles * p.pitch
    assert p.p_tile >= width * (m.points * m.outputs if rows else positions)
    ends = [0, p.p * 4, p.half_inputs * e, p.half_results * 4, p.narrow * 4, p.bytes]
    sizes = [
        positions * p.v_position * e, p.tiles * p.p_tile * 4, positions * p.vector * e,
        4 * m.outputs * m.points * width, 4 * m.outputs * width,
    ]  # fmt: skip
    assert all(end % LINE == 0 for end in ends)
    assert all(first + size <= end for (first, end), size in zip(pairwise(ends), sizes, strict=True))
    assert p.v_position * e // LINE % 2 == p.p_tile * 4 // LINE % 2 == 1


@pytest.mark.parametrize("m", TRANSFORMS, ids=lambda m: f"{m.name}{m.bytes}")
@pytest.mark.parametrize("isa", ["avx512vnni", "avx2", "dotprod", "neon32"])
def test_strips(isa, m):
    """One group of tiles at least; where more fit half a megabyte, more."""
    row, primitive = ISAS[isa], ALGORITHMS[NAMES[m]].primitive(conv(64), ISAS[isa])
    primitive = primitive or row.primitives[0]
    found = strips(conv(64), row, primitive, m)
    assert {t[:2] for t in found if t.positions == 1} == set(primitive.tiles or row.tiles)
    rows = {t[:2] for t in found if t.positions == m.points}
    assert rows == (set(row.row_tiles) if m.outputs == 2 else set())
    assert len(set(found)) == len(found)
    assert all(t.strip % t.pixels == 0 for t in found)
    assert all(plan(conv(64), row, t, m).bytes < 500_000 for t in found)
    assert any(t.strip > t.pixels for t in found)
    assert all(t.strip >= 4 for t in found if t.positions > 1)  # of fewer, weights pass too often
    huge = strips(conv(4000), row, primitive, m)
    assert all(t.strip == t.pixels if t.positions == 1 else 4 <= t.strip <= 6 for t in huge)
    assert len(huge) == len({(*t[:2], t.positions) for t in huge})
