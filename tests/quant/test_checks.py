"""Checksums and check pictures: Python and the driver's C give the same, and small changes show."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmsr.artifact.link import DRIVER
from tvmsr.artifact.zig import run_tool, zig_command
from tvmsr.quant.checks import CHECK_MACS, check_picture, check_size, code_checksum, data_checksum, mix


class Codes(ctypes.Structure):
    """sr_codes of driver/checksum.h"""

    _fields_ = [
        ("pitch", ctypes.c_uint32),
        ("channels", ctypes.c_uint32),
        ("bytes", ctypes.c_int32),
        ("offset", ctypes.c_uint32),
        ("width", ctypes.c_int64),
    ]


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    path = tmp_path_factory.mktemp("checks") / "checksum.so"
    run_tool([*zig_command("cc"), "-O2", "-shared", "-fPIC", DRIVER / "checksum.c", "-o", path], "test")
    library = ctypes.CDLL(str(path))
    library.sr_row_checksum.restype = library.sr_data_checksum.restype = ctypes.c_uint64
    return library


def native_checksum(native, stored: np.ndarray, pitch: int, offset: int) -> int:
    height, width, channels = stored.shape
    size = stored.itemsize
    rows = np.zeros((height, width, pitch), np.uint8)
    rows[:, :, : channels * size] = np.ascontiguousarray(stored).view(np.uint8).reshape(height, width, -1)
    codes, total = Codes(pitch, channels, size, offset, width), 0
    for row in range(height):
        total += native.sr_row_checksum(
            ctypes.byref(codes), ctypes.c_void_p(rows[row].ctypes.data), ctypes.c_uint64(row)
        )
    return total % 2**64


def test_mix_is_splitmix64():
    # The second number of the generator with seed 0, as published with it.
    assert [int(n) for n in mix(np.array([0, 0x9E3779B97F4A7C15], np.uint64))] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
    ]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_codes(native, data):
    height, width, channels = (data.draw(st.integers(1, 9)) for _ in range(3))
    wide = data.draw(st.booleans())
    kind = np.uint16 if wide else np.uint8
    codes = np.random.default_rng(data.draw(st.integers(0, 99))).integers(
        0, np.iinfo(kind).max + 1, (height, width, channels)
    )
    codes = codes.astype(kind)
    offset = data.draw(st.sampled_from([0, 32768 if wide else 128]))
    stored = (codes - kind(offset)).astype(kind)
    pitch = channels * codes.itemsize + data.draw(st.integers(0, 5))
    assert native_checksum(native, stored, pitch, offset) == code_checksum(codes)


def test_codes_far_from_the_corner(monkeypatch):
    codes = np.random.default_rng(0).integers(0, 256, (70, 30, 3), np.uint8)
    whole = code_checksum(codes)
    monkeypatch.setattr("tvmsr.quant.checks._BLOCK", 100)
    assert code_checksum(codes) == whole
    one = codes.copy()
    one[69, 29, 2] ^= 1
    assert code_checksum(one) != whole
    assert code_checksum(codes[::-1]) != whole and code_checksum(codes[:, ::-1]) != whole


def test_zero_codes_count():
    assert code_checksum(np.zeros((2, 2, 1), np.uint8)) != code_checksum(np.zeros((2, 1, 1), np.uint8))


@pytest.mark.parametrize("codes", [np.zeros((2, 2, 1), np.int8), np.zeros((2, 2), np.uint8)])
def test_what_is_no_codes(codes):
    with pytest.raises(ValueError, match="codes are"):
        code_checksum(codes)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=70), st.integers(0, 69), st.integers(1, 255))
def test_data(native, data, at, change):
    whole = data_checksum(data)
    assert native.sr_data_checksum(data, ctypes.c_uint64(len(data))) == whole
    if at < len(data):
        changed = bytearray(data)
        changed[at] ^= change
        assert data_checksum(bytes(changed)) != whole


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 20))
def test_pictures(native, seed, width, height):
    picture = np.empty((height, width, 3), np.uint8)
    native.sr_seeded_picture(
        ctypes.c_uint32(seed), ctypes.c_int64(width), ctypes.c_int64(height), ctypes.c_void_p(picture.ctypes.data)
    )
    assert np.array_equal(picture, check_picture(seed, width, height))


def test_what_pictures_look_like():
    noise, blocks, extremes = (check_picture(seed, 32, 24) for seed in (0, 1, 2))
    assert len(np.unique(noise)) > 200
    assert (
        np.array_equal(blocks[8:16, 16:24], np.broadcast_to(blocks[8, 16], (8, 8, 3))) and len(np.unique(blocks)) > 20
    )
    assert set(np.unique(extremes)) == {0, 255}


@pytest.mark.parametrize("macs", [10.0, 5e4, 1.4e6])
def test_sizes(macs):
    width, height = check_size(macs)
    assert width >= 12 and height >= 9 and width * height <= 64 * 48
    assert width * height * macs <= 1.1 * CHECK_MACS or (width, height) == (12, 9)
