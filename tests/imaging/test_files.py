"""Picture files: what is read, what is written, and what a broken one says."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tvmsr.errors import InputFileError, TvmsrError, UsageError, WorkError
from tvmsr.imaging import files
from tvmsr.imaging.png_writer import PngWriter


def noise(*shape):
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def one_line(error) -> None:
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_png_keeps_every_byte(tmp_path, shape) -> None:
    path, pixels = tmp_path / "a.PNG", noise(*shape)
    files.write_picture(path, pixels)
    picture = files.read_picture(path)
    assert np.array_equal(picture.for_artifact(), pixels)
    assert picture.gray == (len(shape) == 2)
    assert (picture.alpha is not None) == (shape[-1] == 4)
    assert picture.pixels.shape == (5, 7, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg(tmp_path, suffix) -> None:
    path = tmp_path / f"a{suffix}"
    files.write_picture(path, np.full((16, 16, 3), 77, np.uint8))
    assert np.abs(files.read_picture(path).pixels.astype(int) - 77).max() <= 1


def test_jpeg_is_turned_upright(tmp_path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (8, 4)).save(path, exif=exif)
    picture = files.read_picture(path)
    assert picture.pixels.shape == (8, 4, 3) and picture.gray


def test_unusual_pngs(tmp_path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 256 * 200 + 7, 65535]], np.uint16)).save(path)
    assert files.read_picture(path).pixels[0, :, 0].tolist() == [0, 200, 255]
    Image.fromarray(np.array([[True, False]])).save(path)
    assert files.read_picture(path).pixels[0, :, 1].tolist() == [255, 0]
    Image.fromarray(noise(4, 4, 3)).quantize(4).save(path, transparency=0)
    assert files.read_picture(path).alpha is not None
    Image.fromarray(noise(4, 4, 2), "LA").save(path)
    picture = files.read_picture(path)
    assert picture.gray and picture.alpha is not None and picture.for_artifact().shape == (4, 4, 4)


def test_content_decides_not_the_name(tmp_path) -> None:
    path = tmp_path / "really-a-jpeg.png"
    Image.new("RGB", (3, 2)).save(path, format="JPEG")
    assert files.read_picture(path).pixels.shape == (2, 3, 3)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_damaged_starts(tmp_path, content) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"a\.png") as error:
        files.read_picture(path)
    one_line(error)


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.95))
def test_truncated(tmp_path, name, share) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(40, 40, 3)).save(stream, format=name)
    path = tmp_path / "cut.png"
    path.write_bytes(stream.getvalue()[: int(share * len(stream.getvalue()))])
    with pytest.raises(InputFileError) as error:
        files.read_picture(path)
    one_line(error)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 0.999), byte=st.integers(0, 255))
def test_a_changed_byte_never_escapes_as_another_error(tmp_path, position, byte) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(12, 12, 3)).save(stream, format="PNG")
    data = bytearray(stream.getvalue())
    data[int(position * len(data))] = byte
    path = tmp_path / "changed.png"
    path.write_bytes(data)
    try:
        files.read_picture(path)
    except TvmsrError as error:
        assert error.exit_code == 3


def test_missing_and_folder(tmp_path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        files.read_picture(tmp_path / "none.png")
    with pytest.raises(InputFileError):
        files.read_picture(tmp_path)


def test_huge_picture_is_refused_before_it_is_decoded(tmp_path) -> None:
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    data = bytes(100_000) * 400  # as many as that many pixels of one colour compress to
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    with pytest.raises(InputFileError, match="million pixels"):
        files.read_picture(path)


@pytest.mark.parametrize("name", ["a.gif", "a", "a.so"])
def test_other_formats_are_named(tmp_path, name) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.jpg"):
        files.write_picture(tmp_path / name, noise(2, 2, 3))


def test_jpeg_has_no_alpha(tmp_path) -> None:
    with pytest.raises(UsageError, match="transparency"):
        files.write_picture(tmp_path / "a.jpg", noise(2, 2, 4))


@pytest.mark.parametrize("pixels", [np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.float32)])
def test_wrong_pixels(tmp_path, pixels) -> None:
    with pytest.raises(UsageError, match="uint8"):
        files.write_picture(tmp_path / "a.png", pixels)


def test_failed_write_leaves_everything_as_it_was(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def broken(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PngWriter, "finish", broken)
    with pytest.raises(WorkError, match="No space left"):
        files.write_picture(path, noise(2, 2, 3))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"] and path.read_bytes() == b"old"


def test_missing_folder(tmp_path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        files.write_picture(tmp_path / "none" / "a.png", noise(2, 2, 3))


def test_write_text(tmp_path) -> None:
    files.write_text(tmp_path / "plan.json", "{é}\n")
    assert (tmp_path / "plan.json").read_bytes() == "{é}\n".encode()


def test_list_pictures(tmp_path) -> None:
    for name in ("b.PNG", "a.jpeg", "d.webp", "e.TIFF", "c.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in files.list_pictures(tmp_path)] == ["a.jpeg", "b.PNG", "d.webp", "e.TIFF"]


@pytest.mark.parametrize("name", ["empty", "none", "file"])
def test_list_pictures_of_nothing(tmp_path, name) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputFileError, match=name):
        files.list_pictures(tmp_path / name)
