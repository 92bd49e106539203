"""Picture files, opened: every kind of pixel, in bands as in one go, and what a damaged one says."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tests.imaging.pictures import encoded, noise, profile, read_by, rgb
from tvmsr.errors import InputFileError
from tvmsr.imaging.holding import Channels
from tvmsr.imaging.opening import open_picture
from tvmsr.imaging.png_chunks import SIGNATURE, chunk

TMP = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _png(bits: int, kind: int, width: int, rows: list[bytes], *more: tuple[bytes, bytes], interlace: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", header), *more, (b"IDAT", data), (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(*one) for one in chunks)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "1", "P", "CMYK", "YCbCr"])
@pytest.mark.parametrize("name", ["png", "jpg", "webp", "tif"])
def test_modes(mode: str, name: str, tmp_path: Path) -> None:
    path, image = tmp_path / f"a.{name}", rgb().quantize(7) if mode == "P" else rgb().convert(mode)
    try:
        image.save(path)
    except (OSError, KeyError):
        pytest.skip(f"{name} does not hold {mode}")
    with Image.open(path) as again:
        channels = Channels("L" if again.mode == "1" else again.mode if again.mode in ("L", "LA", "RGBA") else "RGB")
        wanted = np.asarray(again.convert(channels.value))
    for count in (1, 4, 13):
        assert np.array_equal(read_by(path, count), wanted)
    with open_picture(path) as source:
        assert source.holding.channels is channels and (source.holding.width, source.holding.height) == (17, 13)


@pytest.mark.parametrize("filter_", range(5))
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@TMP
@given(count=st.integers(1, 9))
def test_every_filter_in_bands(filter_: int, channels: int, tmp_path: Path, count: int) -> None:
    """Rows of random filtered bytes: what Pillow makes of them as a whole is wanted."""
    kind, width = {1: 0, 2: 4, 3: 2, 4: 6}[channels], 7
    data = zlib.compress(b"".join(bytes([filter_]) + noise(width * channels, seed=row).tobytes() for row in range(9)))
    header = struct.pack(">IIBBBBB", width, 9, 8, kind, 0, 0, 0)
    cut = len(data) // 2  # several IDAT chunks
    parts = [(b"IHDR", header), (b"IDAT", data[:cut]), (b"IDAT", b""), (b"IDAT", data[cut:]), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(SIGNATURE + b"".join(chunk(*one) for one in parts))
    assert np.array_equal(read_by(path, count), np.asarray(Image.open(path)))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_gray_with_a_transparent_value(bits: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (5, 16))
    key = int(values[2, 3])
    if bits == 16:
        values[0, 0] = key ^ 1  # the same upper byte, and not transparent
        rows = [row.astype(">u2").tobytes() for row in values]
    else:
        digits = (values[:, :, None] >> np.arange(bits)[::-1]) & 1
        rows = [np.packbits(row.reshape(-1)).tobytes() for row in digits.astype(np.uint8)]
    path = tmp_path / "a.png"
    path.write_bytes(_png(bits, 0, 16, rows, (b"tRNS", struct.pack(">H", key))))
    found = read_by(path, 2)
    shown = values >> 8 if bits == 16 else values * (255 // (2**bits - 1))
    assert np.array_equal(found[..., 0], shown)
    assert np.array_equal(found[..., 1] == 0, values == key)
    with open_picture(path) as source:
        assert source.holding.channels is Channels.GRAY_ALPHA
        assert bool(source.holding.notices) == (bits == 16)


def test_rgb_with_a_transparent_colour(tmp_path: Path) -> None:
    pixels = noise(6, 5, 3, most=2)
    path = tmp_path / "a.png"
    path.write_bytes(_png(8, 2, 5, [row.tobytes() for row in pixels], (b"tRNS", struct.pack(">HHH", 1, 0, 1))))
    found = read_by(path, 4)
    assert np.array_equal(found[..., :3], pixels)
    assert np.array_equal(found[..., 3] == 0, (pixels == [1, 0, 1]).all(axis=-1))


def test_palette(tmp_path: Path) -> None:
    image, path = rgb().quantize(3), tmp_path / "a.png"
    image.save(path, transparency=bytes([0, 100, 255]))
    found = read_by(path, 3)
    assert np.array_equal(found[..., 3], np.array([0, 100, 255])[np.asarray(image)])
    gray = Image.fromarray(noise(9, 9, most=4), "P")
    gray.putpalette([0, 0, 0, 90, 90, 90, 200, 200, 200, 255, 255, 255])
    gray.save(path)
    with open_picture(path) as source:
        assert source.holding.channels is Channels.GRAY
        assert np.array_equal(source.read(9), np.array([0, 90, 200, 255])[np.asarray(gray)])


@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_16_bits_keep_their_upper_byte_and_say_so(kind: int, tmp_path: Path) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    values = np.random.default_rng(0).integers(0, 65536, (6, 5, channels))
    path = tmp_path / "a.png"
    path.write_bytes(_png(16, kind, 5, [row.astype(">u2").tobytes() for row in values]))
    assert np.array_equal(read_by(path, 2).reshape(6, 5, channels), values >> 8)
    with open_picture(path) as source:
        (notice,) = source.holding.notices
    assert "16 bits" in notice and "upper byte" in notice


def test_tiff_of_more_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.array([[0, 256 * 200 + 7, 65535]], np.uint16)).save(path)
    assert read_by(path, 1).tolist() == [[0, 200, 255]]
    Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    with pytest.raises(InputFileError, match=r"a\.tif: holds 32 bits a channel"):
        open_picture(path)


def test_cmyk(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    rgb().convert("CMYK").save(path)
    with open_picture(path) as source:
        assert source.holding.channels is Channels.RGB and "without a profile" in source.holding.notices[0]
    rgb().convert("CMYK").save(path, icc_profile=profile("CMYK"))  # not one that can be used
    with open_picture(path) as source:
        assert source.holding.icc is None and "cannot be used" in source.holding.notices[0]


@pytest.mark.parametrize(("mode", "space", "kept"), [("RGB", "RGB", True), ("L", "GRAY", True), ("L", "RGB", False)])
def test_a_profile_is_kept_where_it_fits(mode: str, space: str, kept: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rgb().convert(mode).save(path, icc_profile=profile(space))
    with open_picture(path) as source:
        assert (source.holding.icc == profile(space)) is kept
        assert bool(source.holding.notices) is not kept


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_orientation(orientation: int, name: str, tmp_path: Path) -> None:
    tags = {0x0112: orientation, 0x010F: "Maker", 0x8769: {0x9003: "2020:02:02 02:02:02", 0xA002: 17}}
    exif: Image.Exif | ImageFileDirectory_v2 = ImageFileDirectory_v2() if name == "a.tif" else Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    path, image = tmp_path / name, rgb()
    image.save(path, lossless=True, **{"tiffinfo" if name == "a.tif" else "exif": exif})
    with Image.open(path) as again:
        wanted = np.asarray(ImageOps.exif_transpose(again))
    assert np.array_equal(read_by(path, 5), wanted)
    with open_picture(path) as source:
        assert (source.holding.height, source.holding.width) == wanted.shape[:2]
        told = Image.Exif()
        told.load(source.holding.exif)
    assert told[0x0112] == 1 and told[0x010F] == "Maker"
    assert told.get_ifd(0x8769).get(0x9003) == "2020:02:02 02:02:02" and 0xA002 not in told.get_ifd(0x8769)


def test_damaged_exif_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    rgb().save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense")
    with open_picture(path) as source:
        assert source.holding.exif is None
        assert source.read(13).shape == (13, 17, 3)


def test_several_pictures_in_a_file(tmp_path: Path) -> None:
    for name, words in (("a.png", "animated"), ("a.webp", "animated"), ("a.tif", "3 pages")):
        path = tmp_path / name
        first, *more = (Image.fromarray(noise(8, 8, 3, seed=n)) for n in range(3))
        first.save(path, save_all=True, append_images=more)
        with pytest.raises(InputFileError, match=rf"{name}: holds .*{words}"):
            open_picture(path)


def test_interlaced(tmp_path: Path) -> None:
    """Adam7 of a picture of one pixel is that pixel."""
    path = tmp_path / "a.png"
    path.write_bytes(_png(8, 2, 1, [b"\1\2\3"], interlace=1))
    assert read_by(path, 1).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "0 bytes"), (b"GIF89a", "not a PNG"), (b"\x89PNG\r\n\x1a\n", "truncated"), (b"RIFF\0\0\0\0WEBP", "cannot")],
)
def test_starts(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputFileError, match=rf"a\.png: .*{words}"):
        open_picture(tmp_path / "a.png")


def test_headers_that_lie_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(60_001))
    path.write_bytes(SIGNATURE + b"".join(chunk(*c) for c in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))))
    with pytest.raises(InputFileError, match="claims 20000x20000"):
        open_picture(path)
    jpeg = bytearray(encoded(rgb(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    path.write_bytes(jpeg)
    with pytest.raises(InputFileError, match="claims 60000x60000"):
        open_picture(path)


def test_data_that_end_early(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    header = struct.pack(">IIBBBBB", 10, 10, 8, 0, 0, 0, 0)
    for data, words in (
        (zlib.compress(bytes(60)), "end in row 5 of 10"),
        (zlib.compress(noise(110).tobytes())[:60], "damaged"),
    ):
        path.write_bytes(SIGNATURE + b"".join(chunk(*c) for c in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))))
        with pytest.raises(InputFileError, match=words):
            read_by(path, 3)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF"])
@TMP
@given(share=st.floats(0, 0.97), count=st.integers(1, 40))
def test_truncated(name: str, tmp_path: Path, share: float, count: int) -> None:
    data = encoded(Image.fromarray(noise(40, 40, 3)), name)
    path = tmp_path / "cut"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputFileError) as error:
        read_by(path, count)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF"])
@TMP
@given(position=st.floats(0, 0.999), byte=st.integers(0, 255), count=st.integers(1, 12))
def test_a_changed_byte_never_escapes_as_another_error(
    name: str, tmp_path: Path, position: float, byte: int, count: int
) -> None:
    data = bytearray(encoded(Image.fromarray(noise(12, 12, 3)), name))
    data[int(position * len(data))] = byte
    path = tmp_path / "changed"
    path.write_bytes(data)
    try:
        with open_picture(path) as source:
            if source.holding.width * source.holding.height > 1 << 20:
                return
            for _ in range(0, source.holding.height - count + 1, count):
                source.read(count)
    except InputFileError as error:
        assert "\n" not in str(error)
