"""Results in the making: every format, rows in any numbers, and what travels with the pixels."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.imaging.pictures import noise, profile
from tvmsr.errors import InputFileError
from tvmsr.imaging import formats, pieces, tiff_writer
from tvmsr.imaging.holding import Channels, Holding
from tvmsr.imaging.png_writer import _combined
from tvmsr.imaging.sink import check_fits, exif_kept, open_sink


def written(what: formats.Format, holding: Holding, pixels: np.ndarray, count: int, stamp: str = "") -> bytes:
    file = io.BytesIO()
    with open_sink(file, what, holding, stamp) as sink:
        for top in range(0, len(pixels), count):
            sink.write(pixels[top : top + count])
        sink.finish()
    return file.getvalue()


@pytest.mark.parametrize("what", [formats.PNG, formats.TIFF], ids=lambda what: what.name)
@pytest.mark.parametrize("channels", list(Channels))
@settings(deadline=None, max_examples=25)
@given(height=st.integers(1, 40), width=st.integers(1, 30), count=st.integers(1, 40), piece=st.integers(1, 3000))
def test_bytes_do_not_depend_on_the_bands(
    what: formats.Format, channels: Channels, height: int, width: int, count: int, piece: int
) -> None:
    before, pieces.SIZE = pieces.SIZE, piece
    try:
        pixels, holding = noise(*channels.shape(height, width)), Holding(width, height, channels)
        data = written(what, holding, pixels, count)
        assert data == written(what, holding, pixels, height)
    finally:
        pieces.SIZE = before
    image = Image.open(io.BytesIO(data))
    assert image.mode == channels.value and np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("what", formats.ALL, ids=lambda what: what.name)
@pytest.mark.parametrize("channels", list(Channels))
def test_what_travels(what: formats.Format, channels: Channels) -> None:
    if channels.alpha and not what.alpha:
        with pytest.raises(InputFileError, match="transparency"):
            check_fits("a.png", what, Holding(4, 4, channels))
        return
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 1
    exif.get_ifd(0x8769)[0x9003] = "2020:02:02 02:02:02"
    icc = profile("GRAY" if channels.gray else "RGB")
    holding = Holding(20, 13, channels, icc, exif.tobytes())
    data = written(what, holding, noise(*channels.shape(13, 20)), 5, "tvmsr:12345")
    assert b"tvmsr:12345" in data
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.format == what.name and image.size == (20, 13) and image.info["icc_profile"] == icc
    assert image.getexif()[0x010F] == "Maker" and image.getexif()[0x0112] == 1
    assert image.getexif().get_ifd(0x8769)[0x9003] == "2020:02:02 02:02:02"


def test_a_big_tiff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_writer, "_BIG", 100)
    monkeypatch.setattr(pieces, "SIZE", 200)
    holding, pixels = Holding(20, 30, Channels.RGB, profile("RGB")), noise(30, 20, 3)
    data = written(formats.TIFF, holding, pixels, 7, "tvmsr:1")
    assert data[:4] == b"II+\0"
    image = Image.open(io.BytesIO(data))
    assert np.array_equal(np.asarray(image), pixels) and image.info["icc_profile"] == profile("RGB")
    assert not exif_kept(formats.TIFF, Holding(20, 30, Channels.RGB, exif=b"Exif"))


def test_what_a_png_says_of_its_colours() -> None:
    tone = ((b"gAMA", struct.pack(">I", 45455)), (b"sRGB", b"\0"))
    for icc, wanted in ((None, True), (profile("RGB"), False)):
        data = written(formats.PNG, Holding(2, 2, Channels.RGB, icc, tone=tone), noise(2, 2, 3), 1)
        info = Image.open(io.BytesIO(data)).info
        assert info["gamma"] == pytest.approx(0.45455) and ("srgb" in info) is wanted


@pytest.mark.parametrize(("what", "side"), [(formats.JPEG, 65_600), (formats.WEBP, 16_384)], ids=["jpeg", "webp"])
def test_limits_of_formats(what: formats.Format, side: int) -> None:
    with pytest.raises(InputFileError, match=rf"a\.png: the result has 3x{side} pixels, {what.name} holds at most"):
        check_fits("a.png", what, Holding(3, side, Channels.RGB))


def test_exif_too_large_for_a_jpeg() -> None:
    holding = Holding(4, 4, Channels.RGB, exif=b"Exif\0\0" + bytes(70_000))
    assert not exif_kept(formats.JPEG, holding) and exif_kept(formats.PNG, holding)
    assert "exif" not in Image.open(io.BytesIO(written(formats.JPEG, holding, noise(4, 4, 3), 4))).info


@given(first=st.binary(max_size=300), second=st.binary(max_size=300))
def test_checksums_of_parts(first: bytes, second: bytes) -> None:
    assert _combined(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)


@pytest.mark.parametrize("what", formats.ALL, ids=lambda what: what.name)
def test_a_disk_that_is_full(what: formats.Format) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    holding = Holding(40, 40, Channels.RGB)
    with pytest.raises(OSError, match="No space"), open_sink(Full(), what, holding) as sink:
        sink.write(noise(40, 40, 3))
        sink.finish()
