"""How threads share a step: every pixel once, at granules, the last pieces small; kernels with granules."""

from __future__ import annotations

import ctypes
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.artifact import fake_reference
from tests.artifact.fake_reference import FAKE
from tvmsr.artifact.link import DRIVER, INCLUDE, PACK
from tvmsr.artifact.toolchain import compile_flags, compiler
from tvmsr.runtime import load

MOST = 4096
SIZES = ((1, 1), (2, 3), (3, 5), (1, 300), (300, 1), (4, 8), (33, 47), (61, 330), (97, 400))


@pytest.fixture(scope="module")
def share(tmp_path_factory, triple):
    """(rows, width, granule rows, granule columns, multiplications a pixel, threads) -> pieces, (N, 4)."""
    path = tmp_path_factory.mktemp("share") / "share.so"
    flags = compile_flags(triple, None, "tvmsr", (INCLUDE, DRIVER, PACK.parent))
    sources = [str(DRIVER / "rows.c"), str(FAKE.parent / "share_shim.c")]
    subprocess.run([*compiler(triple, None), *flags, "-shared", *sources, "-o", str(path)], check=True)
    function = ctypes.CDLL(str(path)).share_all
    function.restype = ctypes.c_int64
    function.argtypes = [ctypes.c_int64, ctypes.c_int64, *[ctypes.c_int] * 4, ctypes.c_void_p, ctypes.c_int64]

    def call(*numbers: int) -> np.ndarray:
        pieces = np.zeros((MOST, 4), np.int64)
        count = function(*numbers, pieces.ctypes.data, MOST)
        assert count > 0
        return pieces[:count]

    return call


GRID = {
    "rows": st.integers(1, 90),
    "width": st.integers(1, 900),
    "granule": st.sampled_from([(1, 1), (1, 6), (1, 14), (2, 32), (4, 64), (4, 48)]),
    "macs": st.sampled_from([0, 27, 432, 9216, 36864]),
    "threads": st.sampled_from([1, 2, 3, 8, 64]),
}


@settings(max_examples=300, deadline=None)
@given(**GRID)
def test_every_pixel_once_at_granules(share, rows, width, granule, macs, threads):
    pieces = share(rows, width, *granule, macs, threads)
    computed = np.zeros((rows, width), np.int64)
    for row0, row1, col0, col1 in pieces:
        assert 0 <= row0 < row1 <= rows and 0 <= col0 < col1 <= width
        assert row0 % granule[0] == 0 and col0 % granule[1] == 0
        assert row1 % granule[0] == 0 or row1 == rows
        assert col1 % granule[1] == 0 or col1 == width
        assert col1 - col0 >= min(width, 24), "a sliver"
        computed[row0:row1, col0:col1] += 1
    assert computed.min() == computed.max() == 1
    assert threads > 1 or len(pieces) == 1


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize(("rows", "granule"), [(9, (1, 6)), (8, (4, 64)), (4, (4, 48)), (40, (1, 6)), (3, (1, 14))])
def test_the_last_pieces_are_small(share, threads, rows, granule):
    """A thread that comes last waits for no more than a small part of the others' work."""
    width = 640
    pieces = share(rows, width, *granule, 36864, threads)
    sizes = (pieces[:, 1] - pieces[:, 0]) * (pieces[:, 3] - pieces[:, 2])
    assert sizes[-threads:].max() * threads <= 0.45 * rows * width
    assert len(sizes) <= 20 * threads


@pytest.mark.parametrize("level", ["direct", "copied"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_kernels_with_granules(fake_granules, level, threads):
    with load(fake_granules, threads=threads, level=level) as session:
        for size in SIZES:
            image = np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)
            np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))


@pytest.mark.parametrize("threads", [1, 3])
def test_granules_in_any_strips(fake_granules, threads):
    image = np.random.default_rng(1).integers(0, 256, (97, 400, 3), np.uint8)
    want, seen = fake_reference.upscale(image), set()
    with load(fake_granules, threads=threads) as session:
        whole = session.workspace(400, 97) / 2**20
    for part in (1.0, 0.7, 0.5, 0.4, 0.33):
        with load(fake_granules, threads=threads, memory=whole * part) as session:
            np.testing.assert_array_equal(session.upscale(image), want)
            seen.add(session.last().strips)
    assert len(seen) >= 3
