"""Plain parameters in the short form: the driver unfolds what lowering folded, and says where they are damaged."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tvmsr.lower.short import short_form

SHORT = 1
SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ANY = np.arange(1 << 16).astype("<u4") * np.uint32(65521)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Words as parameters are: repeated, small, of one size, anything."""
    parts = [np.zeros(3, "<u4")]
    for _ in range(draw(st.integers(0, 5))):
        count, seed = draw(st.sampled_from([1, 2, 3, 4, 5, 29, 30, 31, 32, 70])), draw(st.integers(0, 99))
        rng = np.random.default_rng(seed)
        parts.append(
            draw(st.sampled_from([np.full(count, rng.integers(1 << 32)), rng.integers(-(1 << 23), 1 << 23, count)]))
            if draw(st.booleans())
            else draw(
                st.sampled_from([rng.integers(1 << 24, size=count) + (61 << 24), rng.integers(1 << 32, size=count)])
            )
        )
    return np.concatenate([np.asarray(part, np.int64).astype("<u4") for part in parts])


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    """Entries of a table: a curve, a line that wraps, steps, anything; none."""
    count, rng = (
        draw(st.sampled_from([0, 1, 2, 3, 16, 255, 256, 4096])),
        np.random.default_rng(draw(st.integers(0, 99))),
    )
    x = np.arange(count)
    entries = draw(
        st.sampled_from(
            [65535 / (1 + np.exp(-(x - count / 2) / 50)), x * 40, x // 9 * 300, rng.integers(65536, size=count)]
        )
    )
    return np.asarray(entries).astype(np.int64).astype("<u2")


def unfolded(library, data: bytes, offset: int, words: int, table: int):
    """The words, or the driver's complaint."""
    to = np.zeros(words + table, "<u4")
    wrong = library.plain_run(
        ctypes.create_string_buffer(data, len(data)),
        *(ctypes.c_uint64(len(data)), ctypes.c_uint64(offset), words, table, to.ctypes.data_as(ctypes.c_void_p)),
    )
    return wrong or to


def plain_of(words: np.ndarray, entries: np.ndarray) -> bytes:
    """As the file has them: the second word is the table's length."""
    given = words.copy()
    given[1] = len(entries)
    return given.tobytes() + np.pad(entries, (0, len(entries) % 2)).tobytes()


@SETTINGS
@given(words=arrays(), entries=tables(), before=st.sampled_from([0, 4, 64]))
def test_every_form(steps_library, words, entries, before):
    plain, table = plain_of(words, entries), (len(entries) + 1) // 2
    for form, data in ((0, plain), (SHORT, short_form(plain, table))):
        got = unfolded(steps_library, b"x" * before + data, before + form, len(words), table)
        np.testing.assert_array_equal(got, np.frombuffer(plain, "<u4"))


@SETTINGS
@given(words=arrays(), entries=tables(), data=st.data())
def test_damage(steps_library, words, entries, data):
    """What is cut off is found; what is otherwise stays within its bytes."""
    table = (len(entries) + 1) // 2
    short = bytearray(short_form(plain_of(words, entries), table))
    cut = data.draw(st.integers(0, len(short) - 1))
    assert isinstance(unfolded(steps_library, bytes(short[:cut]), SHORT, len(words), table), bytes)
    if table == 0:
        short[data.draw(st.integers(0, len(short) - 1))] = data.draw(st.integers(0, 255))
        unfolded(steps_library, bytes(short), SHORT, len(words), table)


@pytest.mark.parametrize("count", [65534, 65535, 65536, 65537, 200_000])
def test_long_runs(steps_library, count):
    for words in (np.full(count, 7, "<u4"), np.arange(count, dtype="<u4"), np.resize(ANY, count)):
        given = np.concatenate([np.zeros(3, "<u4"), words])
        got = unfolded(steps_library, short_form(given.tobytes()), SHORT, len(given), 0)
        np.testing.assert_array_equal(got, given)


def test_few_bytes():
    """A sigmoid of 12 bits takes two bits an entry; bounds that all channels share take seven bytes."""
    x = np.arange(4096)
    sigmoid = (65535 / (1 + np.exp(-(x - 2048) / 300))).astype("<u2")
    assert len(short_form(sigmoid.tobytes(), 2048)) < 1100
    assert len(short_form(np.full(64, -128, "<f4").tobytes())) == 1 + 2 + 4
    assert len(short_form(np.arange(-32, 32, dtype="<i4").tobytes())) == 1 + 2 + 3 * 64


def test_wrong_numbers(steps_library):
    assert unfolded(steps_library, bytes(64), 2, 5, 0) == b"a step's parameters lie outside of the data"
    assert unfolded(steps_library, bytes(64), 68 + SHORT, 5, 0) == b"a step's parameters lie outside of the data"
    assert unfolded(steps_library, b"\x0d" + bytes(60), SHORT, 5, 0) == b"a step's parameters lie outside of the data"
    no_table = np.zeros(5, "<u4")
    assert unfolded(steps_library, short_form(no_table.tobytes()), SHORT, 5, 1) == b"the length of a table"
    cut = short_form(plain_of(no_table, np.arange(64, dtype="<u2") ** 2), 32)[:-1]
    assert unfolded(steps_library, cut, SHORT, 5, 32) == b"a table lies outside of the data"
