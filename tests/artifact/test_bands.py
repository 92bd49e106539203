"""The planner of bands on its own, against all ways to cut; and the same bytes whatever it says."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.artifact import fake_reference
from tests.artifact.fake_reference import layer_by_layer
from tvmsr.artifact.link import DRIVER, link_shared
from tvmsr.artifact.toolchain import compile_flags, compiler
from tvmsr.runtime import load

#: As bands.c says: a byte that is stored and read, and multiplications in whose 1/16 one is moved.
TRANSFERS, WORTH = 3, 20 * 16
KIB = 1024


@dataclass(frozen=True)
class Step:
    weights: int
    working: int


@dataclass(frozen=True)
class Map:
    """Made from step `first` on and read by `last`; whole: bytes, kept: from strip to strip."""

    first: int
    last: int
    whole: int
    kept: int


@dataclass(frozen=True)
class Bands:
    steps: tuple[Step, ...]
    maps: tuple[Map, ...]
    strips: int
    cache: int
    macs: int


class _Bands(ctypes.Structure):
    _fields_ = (
        ("steps", ctypes.c_void_p),
        ("maps", ctypes.c_void_p),
        ("step_count", ctypes.c_uint32),
        ("map_count", ctypes.c_uint32),
        ("strips", ctypes.c_uint64),
        ("cache", ctypes.c_uint64),
        ("macs", ctypes.c_uint64),
    )


_MAP = np.dtype([("first", "<u4"), ("last", "<u4"), ("whole", "<u8"), ("kept", "<u8")])


@pytest.fixture(scope="module")
def library(tmp_path_factory, triple):
    path = tmp_path_factory.mktemp("bands") / "bands.so"
    flags = [flag for flag in compile_flags(triple, None, "tvmsr", ()) if flag != "-fvisibility=hidden"]
    command = [*compiler(triple, None), *flags, "-shared", str(DRIVER / "bands.c"), "-o", str(path)]
    subprocess.run(command, check=True)
    found = ctypes.CDLL(str(path))
    found.sr_bands_plan.restype = ctypes.c_uint32
    for name in ("sr_strip_rows", "sr_band_cache"):
        getattr(found, name).restype = ctypes.c_int64
        getattr(found, name).argtypes = [ctypes.c_uint64] * (4 if name == "sr_strip_rows" else 3)
    return found


def plan(library, bands: Bands) -> list[int]:
    """The group of each step."""
    steps = np.array([(s.weights, s.working) for s in bands.steps], "<u8")
    maps = np.array([(m.first, m.last, m.whole, m.kept) for m in bands.maps], _MAP)
    groups = np.full(len(bands.steps), 77, np.uint32)
    numbers = (len(bands.steps), len(bands.maps), bands.strips, bands.cache, bands.macs)
    told = _Bands(steps.ctypes.data, maps.ctypes.data, *numbers)
    count = library.sr_bands_plan(ctypes.byref(told), ctypes.c_void_p(groups.ctypes.data))
    assert sorted(set(groups.tolist())) == list(range(count)) and sorted(groups) == list(groups)
    return groups.tolist()


def moved(bands: Bands, groups: list[int]) -> int:
    """Bytes that go to and from memory."""
    total = 0
    for group in range(groups[-1] + 1):
        inside = [i for i, found in enumerate(groups) if found == group]
        first, last = inside[0], inside[-1]
        alive = [m for m in bands.maps if m.first <= last and m.last >= first]
        steps = [bands.steps[i] for i in inside]
        weights = sum(s.weights for s in steps)
        total += TRANSFERS * sum(m.whole for m in alive if m.first >= first and m.last > last)
        if weights + sum(m.kept for m in alive) + max(s.working for s in steps) > bands.cache:
            rows = sum(min(m.kept * bands.strips, m.whole or m.kept * bands.strips) for m in alive)
            total += bands.strips * weights + TRANSFERS * rows
    return total


def every_way(count: int):
    for cuts in product((0, 1), repeat=count - 1):
        yield [0, *np.cumsum(cuts).tolist()]


@st.composite
def networks(draw):
    count = draw(st.integers(1, 8))
    size = st.sampled_from([0, 1, 10, 300, 5000])
    steps = tuple(Step(draw(size), draw(size)) for _ in range(count))
    maps = []
    for _ in range(draw(st.integers(0, 10))):
        first = draw(st.integers(0, count - 1))
        maps.append(Map(first, draw(st.integers(first, count - 1)), draw(size), draw(size)))
    cache = draw(st.sampled_from([0, 1, 20, 700, 9000, 10**6]))
    macs = draw(st.sampled_from([0, 10**4, 10**6, 10**9]))
    return Bands(steps, tuple(maps), draw(st.integers(1, 30)), cache, macs)


@settings(max_examples=400, deadline=None)
@given(bands=networks())
def test_the_least_bytes_of_all_ways_to_cut(library, bands):
    groups = plan(library, bands)
    together = moved(bands, [0] * len(groups))
    least = min(moved(bands, way) for way in every_way(len(groups)))
    if bands.cache == 0 or together - least <= bands.macs // WORTH:
        assert groups[-1] == 0
    else:
        assert moved(bands, groups) == least


def chain(layers: int, row: int, weights: int, macs: int, **more) -> Bands:
    """3x3 layers one after another at 640x360, strips of 9 rows; row: bytes of one of each map."""
    steps = (Step(weights, 18 * row),) * layers
    maps = tuple(Map(i, i + 1, 360 * row, 2 * row) for i in range(layers - 1))
    return Bands(steps, maps, 40, more["cache"], layers * macs * 640 * 360)


def test_convolutions_stay_together(library):
    """SRVGGNetCompact: what memory brings comes while products are made."""
    for cache in (0, 400 * KIB, 768 * KIB, 3072 * KIB, 24576 * KIB):
        assert plan(library, chain(34, 640 * 64, 36 * KIB, 9 * 64 * 64, cache=cache))[-1] == 0


def test_weights_of_a_little_work_are_cut(library):
    """Weights that no cache holds, read in every strip of a narrow map for few products: groups that fit are better."""
    bands = chain(12, 640 * 4, 400 * KIB, 27 * 4, cache=1024 * KIB)
    groups = plan(library, bands)
    assert groups[-1] == 5 and groups.count(0) == 2
    assert plan(library, chain(12, 640 * 4, 400 * KIB, 27 * 4, cache=8 * 1024 * KIB))[-1] == 0


def test_cut_where_the_map_is_small(library):
    """Of two places that make both halves fit, the one with fewer bytes between."""
    steps = (Step(400, 10),) * 4
    small = {1: 50, 2: 4000}
    for at in (1, 2):
        maps = tuple(Map(i, i + 1, small[1] if i + 1 == at else small[2], 1) for i in range(3))
        groups = plan(library, Bands(steps, maps, 100, 1300, 0))
        assert [i for i, (a, b) in enumerate(pairwise(groups), 1) if a != b] == [at]


def test_strips_and_cache(library):
    """Rows of a strip: enough for each thread, no more than a core's cache takes, 192 KiB of the widest at most."""
    rows = library.sr_strip_rows
    assert rows(640 * 64, 2, 0, 0) == rows(640 * 64, 2, 1 << 20, 0) == 9
    assert rows(640 * 64, 4, 0, 512 * KIB) == 8 and rows(640 * 16, 4, 0, 512 * KIB) == 19
    assert rows(640 * 16, 4, 512 * KIB, 8192 * KIB) == 76
    assert rows(10**9, 1, 0, 0) == 4 and rows(10**9, 3, 0, 0) == 6
    assert library.sr_band_cache(2, 1024, 4096) == 6 * KIB // 4 * 3
    assert library.sr_band_cache(8, 0, 0) == 0


SIZES = ((1, 1), (2, 3), (1, 70), (70, 1), (33, 47), (97, 130))


def linked(tmp_path, triple, define: str = "", cc: str | None = None):
    path = tmp_path / "bands.so"
    link_shared(fake_reference.parts(define=define), path, link_triple=triple, cc=cc)
    return path


def progress(session, image: np.ndarray) -> list[int]:
    """What is reported of one picture, phase after phase."""
    calls: list[int] = []
    session.upscale(image, progress=lambda done, total: calls.append(done))
    return calls


@pytest.mark.parametrize("granule", [1, 4])
def test_layer_by_layer_gives_the_same_bytes(tmp_path, triple, granule):
    path = linked(tmp_path, triple, f"#define GRANULE {granule}\n", layer_by_layer(triple))
    for threads, level in product((1, 3), ("direct", "copied")):
        with load(path, threads=threads, level=level) as session:
            for size in SIZES:
                image = np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)
                np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))
            calls = progress(session, image)
            assert len(calls) == 5 * session.last().strips and calls == sorted(calls) and calls[-1] == 2 * 97


def test_layer_by_layer_takes_the_memory_that_there_is(tmp_path, triple):
    """Where whole maps do not fit the limit, bands do."""
    path = linked(tmp_path, triple, cc=layer_by_layer(triple))
    image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    with load(path, threads=2) as session:
        whole = session.workspace(400, 300)
    seen = set()
    for part in (1.0, 0.9, 0.5, 0.2, 0.1):
        with load(path, threads=2, memory=whole * part / 2**20) as session:
            np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))
            assert session.last().workspace <= whole * part
            seen.add(len(progress(session, image)) // session.last().strips)
    assert seen == {1, 5}


@pytest.mark.parametrize("caches", ["4096, 0", "0, 32768", "65536, 1 << 20"])
def test_cache_sizes_do_not_change_bytes(tmp_path, triple, caches):
    path = linked(tmp_path, triple, f"#define CACHES {caches}\n")
    for threads in (1, 2):
        with load(path, threads=threads) as session:
            for size in SIZES:
                image = np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)
                np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))
