"""`tvmsr upscale`: names, scales, formats, kinds of pictures, and what is there already."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tvmsr
from tests.imaging.pictures import noise, profile
from tvmsr.cli.main import main
from tvmsr.errors import InputFileError, UsageError, WorkError
from tvmsr.imaging.bicubic import imresize
from tvmsr.imaging.colour import gray_of_rgb, resize_bytes
from tvmsr.imaging.picture import demo_picture

from .conftest import Made

PIXELS = np.ascontiguousarray(demo_picture()[100:131, 200:247])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    Image.fromarray(PIXELS).save(path)
    return path


def of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def whole(made: Made, pixels: np.ndarray) -> np.ndarray:
    with tvmsr.load(made.artifact) as session:
        return session.upscale(pixels)


def test_names(made: Made, picture: Path, tmp_path: Path) -> None:
    assert tvmsr.upscale(made.artifact, picture).files[0][0] == tmp_path / "in-x2.png"
    assert tvmsr.upscale(made.artifact, picture, format="webp", scale=1.5).files[0][0] == tmp_path / "in-x1.5.webp"
    assert tvmsr.upscale(made.artifact, picture, tmp_path / "b.tif").files[0][0] == tmp_path / "b.tif"
    folder = tmp_path / "some.pictures"
    folder.mkdir()
    picture.rename(folder / "a.b.png")
    assert tvmsr.upscale(made.artifact, folder).files[0][0] == tmp_path / "some.pictures-x2" / "a.b.png"
    assert tvmsr.upscale(made.artifact, folder, folder, format="jpg").files[0][0] == folder / "a.b.jpg"
    with pytest.raises(UsageError, match="would replace"):
        tvmsr.upscale(made.artifact, folder / "a.b.png", folder / "a.b.png", overwrite=True)
    with pytest.raises(UsageError, match="is a folder"):
        tvmsr.upscale(made.artifact, folder, tmp_path / "out.png")
    with pytest.raises(UsageError, match="called 'gif'"):
        tvmsr.upscale(made.artifact, folder, tmp_path / "out", format="gif")
    with pytest.raises(InputFileError, match="no such file or folder"):
        tvmsr.upscale(made.artifact, tmp_path / "none", tmp_path / "out")


def test_gray_stays_gray_and_alpha_is_smooth(made: Made, tmp_path: Path) -> None:
    alpha = noise(31, 47)
    kinds = {"L": PIXELS[..., 1], "LA": np.dstack([PIXELS[..., 1], alpha]), "RGBA": np.dstack([PIXELS, alpha])}
    for mode, pixels in kinds.items():
        path = tmp_path / f"{mode}.png"
        Image.fromarray(np.ascontiguousarray(pixels)).save(path)
        tvmsr.upscale(made.artifact, path, tmp_path / "out.png", overwrite=True)
        result = of(tmp_path / "out.png")
        assert Image.open(tmp_path / "out.png").mode == mode
        if mode == "L":
            assert np.array_equal(result, whole(made, pixels))
            continue
        assert np.array_equal(result[..., -1], resize_bytes(alpha, 2))
        colour = whole(made, pixels[..., :-1] if mode == "RGBA" else np.repeat(pixels[..., :1], 3, axis=2))
        assert np.array_equal(result[..., :-1].squeeze(), colour if mode == "RGBA" else gray_of_rgb(colour))


def test_palette_with_transparency(made: Made, tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS).quantize(8)
    image.save(tmp_path / "p.png", transparency=3)
    tvmsr.upscale(made.artifact, tmp_path / "p.png", tmp_path / "out.png")
    wanted = whole(made, np.asarray(Image.open(tmp_path / "p.png").convert("RGBA")))
    assert Image.open(tmp_path / "out.png").mode == "RGBA" and np.array_equal(of(tmp_path / "out.png"), wanted)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_profile_and_exif_travel(suffix: str, made: Made, picture: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 8
    Image.fromarray(PIXELS).save(picture, icc_profile=profile("RGB"), exif=exif)
    tvmsr.upscale(made.artifact, picture, tmp_path / f"out.{suffix}")
    with Image.open(tmp_path / f"out.{suffix}") as result:
        result.load()
        assert result.size == (62, 94) and result.info["icc_profile"] == profile("RGB")
        assert result.getexif()[0x010F] == "Maker" and result.getexif()[0x0112] == 1
        near = np.abs(np.asarray(result, np.int16) - whole(made, np.rot90(PIXELS)))
    assert near.max() == 0 if suffix in ("png", "tif") else near.mean() < 4


def test_what_is_lost_is_said(made: Made, tmp_path: Path, capfd) -> None:
    Image.fromarray(PIXELS).convert("CMYK").save(tmp_path / "c.jpg")
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) << 9).save(tmp_path / "deep.png")
    assert main(["upscale", str(made.artifact), str(tmp_path), str(tmp_path / "out")]) == 0
    notes = [line for line in capfd.readouterr().err.splitlines() if line.startswith("note: ")]
    assert any("c.jpg: its CMYK colours" in note for note in notes)
    assert any("deep.png: its 16 bits" in note for note in notes)


@pytest.mark.parametrize("scale", [1, 1.5, 0.25, 2])
def test_smaller_scales(scale: float, made: Made, picture: Path, tmp_path: Path) -> None:
    tvmsr.upscale(made.artifact, picture, tmp_path / "out.png", scale=scale, tile=16)
    result, full = of(tmp_path / "out.png"), whole(made, PIXELS)
    assert result.shape == (int(31 * scale + 0.5), int(47 * scale + 0.5), 3)
    if scale == 1:
        assert np.array_equal(result, imresize(full, 0.5))
    if scale == 2:
        assert np.array_equal(result, full)


@pytest.mark.parametrize("scale", [3, 0, -1, 2.01, float("nan"), float("inf"), -float("inf")])
def test_scales_that_the_network_does_not_have(scale: float, made: Made, picture: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the network's is 2, that of results is above 0"):
        tvmsr.upscale(made.artifact, picture, tmp_path / "out.png", scale=scale)


def test_one_pixel(made: Made, tmp_path: Path) -> None:
    for mode in ("RGB", "L", "LA", "RGBA"):
        Image.new(mode, (1, 1), 77 if mode == "L" else (77,) * len(mode)).save(tmp_path / "one.png")
        tvmsr.upscale(made.artifact, tmp_path / "one.png", tmp_path / "out.png", overwrite=True)
        assert Image.open(tmp_path / "out.png").size == (2, 2)
    tvmsr.upscale(made.artifact, tmp_path / "one.png", tmp_path / "out.png", scale=0.2, overwrite=True)
    assert Image.open(tmp_path / "out.png").size == (1, 1)


def test_formats_that_cannot_hold_it(made: Made, tmp_path: Path, capfd) -> None:
    Image.new("RGBA", (3, 3)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 8200)).save(tmp_path / "b.png")
    for arguments, words in ((["a.png", "o.jpg"], "transparency"), (["b.png", "o.webp"], "at most 16383")):
        assert main(["upscale", str(made.artifact), *(str(tmp_path / name) for name in arguments)]) == 3
        assert words in capfd.readouterr().err
    assert not any(tmp_path.glob("o.*")) and not any(tmp_path.glob(".tvmsr*"))


def test_animated_files_are_refused_by_name(made: Made, tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(8, 8, 3, seed=n)) for n in range(2)]
    frames[0].save(tmp_path / "moves.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(InputFileError, match=r"moves\.webp: holds 2 frames \(animated\)"):
        tvmsr.upscale(made.artifact, tmp_path / "moves.webp", tmp_path / "out.png")


def test_a_run_goes_on_where_one_ended(made: Made, tmp_path: Path, capfd) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(noise(8, 8, 3, seed=number)).save(folder / f"{number}.png")
    arguments = ["upscale", str(made.artifact), str(folder), str(out)]
    first = tvmsr.upscale(made.artifact, folder, out)
    assert len(first.files) == 4 and not first.there
    kept = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "2.png").unlink()
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert main(arguments) == 0
    assert "3 of 4 were there already" in capfd.readouterr().out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == kept
    assert all((out / name).stat().st_mtime_ns == time for name, time in times.items())
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["files"] == [] and len(found["there"]) == 4
    # What is there is of another scale, of another picture, or of nobody.
    for change in (["--scale", "1"], None, None):
        if change is None:
            Image.fromarray(noise(8, 8, 3, seed=99)).save(folder / "3.png")
        assert main([*arguments, *(change or [])]) == 2
        assert "--overwrite" in capfd.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    assert main(arguments) == 0
    (out / "0.png").write_bytes(b"mine")
    assert main(arguments) == 2 and (out / "0.png").read_bytes() == b"mine"


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_every_format_says_what_it_is_of(suffix: str, made: Made, picture: Path) -> None:
    assert not tvmsr.upscale(made.artifact, picture, format=suffix).there
    assert len(tvmsr.upscale(made.artifact, picture, format=suffix).there) == 1


def test_names_that_are_no_text(made: Made, picture: Path, tmp_path: Path, capfd) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        picture.rename(tmp_path / f"{name}.png")
    except OSError:
        pytest.skip("this disk takes text only")
    source, out = tmp_path / f"{name}.png", tmp_path / f"{name}-out.png"
    assert main(["upscale", str(made.artifact), str(source), str(out)]) == 0
    assert "caf\\xe9-out.png  94x62" in capfd.readouterr().out
    assert main(["upscale", str(made.artifact), str(source), str(out), "--json", "--overwrite"]) == 0
    assert json.loads(capfd.readouterr().out)["files"][0]["file"].endswith("caf\\xe9-out.png")
    source.write_bytes(b"")
    assert main(["upscale", str(made.artifact), str(source), str(out), "--overwrite"]) == 3
    capfd.readouterr()
    assert out.exists()


def test_a_result_that_appears_meanwhile_is_left_alone(made: Made, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"

    def progress(_stage: str, done: int, _total: int) -> None:
        if not done and not out.exists():
            out.write_bytes(b"of somebody")

    with pytest.raises(WorkError, match="somebody else wrote it"):
        tvmsr.upscale(made.artifact, picture, out, progress=progress)
    assert out.read_bytes() == b"of somebody"
    assert not any(tmp_path.glob(".tvmsr*"))
