"""Pictures in bands and tiles: the bytes of the whole, in the memory that was allowed."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import tvmsr
from tests.imaging.pictures import noise
from tvmsr.cli.main import main
from tvmsr.commands.upscaling.cut import Cut, Work, cut_for
from tvmsr.commands.upscaling.pictures import enlarged
from tvmsr.errors import InputFileError, StatusError
from tvmsr.imaging.holding import Channels, Holding, from_artifact, to_artifact
from tvmsr.imaging.opening import open_picture
from tvmsr.runtime import ArtifactInfo, Session, abi

from .conftest import Made

INFO = ArtifactInfo(
    scale=2, colour="rgb", minimum_size=(1, 1), receptive_radius=8, levels=("neon",), choices=("default",)
)


@pytest.fixture(scope="module")
def rgb_network(made: Made) -> Session:
    return tvmsr.load(made.artifact)


@pytest.fixture(scope="module")
def y_network(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    out = tmp_path_factory.mktemp("espcn") / "espcn.so"
    tvmsr.compile(shared_data / "weights" / "espcn_x3.safetensors", out=out)
    return tvmsr.load(out)


@pytest.mark.parametrize("network", ["rgb_network", "y_network"])
@pytest.mark.parametrize("channels", list(Channels))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)), rows=st.integers(1, 64), columns=st.integers(1, 64),
    multiple=st.sampled_from([1, 2, 4]),
)  # fmt: skip
def test_bytes_of_the_whole(
    network: str, channels: Channels, tmp_path: Path, request: pytest.FixtureRequest, size: tuple[int, int], rows: int,
    columns: int, multiple: int,
) -> None:  # fmt: skip
    session: Session = request.getfixturevalue(network)
    pixels = noise(*channels.shape(*size))
    wanted = from_artifact(session.upscale(to_artifact(pixels, channels)), channels)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    cut = Cut(rows * multiple, columns * multiple, session.info.receptive_radius, multiple, (3, 3))
    with open_picture(path) as source:
        assert np.array_equal(np.concatenate(list(enlarged(source, cut, session.upscale))), wanted)


@settings(deadline=None)
@given(
    size=st.integers(1, 300), step=st.integers(1, 40), margin=st.integers(0, 30), multiple=st.integers(1, 5),
    least=st.integers(1, 20),
)  # fmt: skip
def test_spans(size: int, step: int, margin: int, multiple: int, least: int) -> None:
    step *= multiple
    spans = Cut(step, step, margin, multiple, (least, least)).bands(size)
    assert [place for span in spans for place in range(span.start, span.stop)] == list(range(size))
    for span in spans:
        assert 0 <= span.low <= max(0, span.start - margin) and min(size, span.stop + margin) <= span.high <= size
        assert span.low % multiple == 0
        assert span.high - span.low >= min(size, least)
    assert [s.low for s in spans] == sorted(s.low for s in spans) and [s.high for s in spans] == sorted(
        s.high for s in spans
    )


def work(width: int, height: int, room: int | None, info: ArtifactInfo = INFO, limit: int | None = None) -> Work:
    def workspace(wide: int, high: int) -> int:
        needed = 1000 * wide + 10 * high
        if limit is not None and needed > limit:
            raise StatusError(abi.MEMORY_LIMIT, f"takes {needed}")
        return needed

    return Work("a.png", Holding(width, height, Channels.RGB), info, workspace, 1 << 20, room)


def test_what_fits_is_one_piece() -> None:
    cut = cut_for(work(640, 360, None), None)
    assert (cut.rows, cut.columns) == (360, 640)


def test_bands_then_tiles_as_memory_gets_short() -> None:
    big, small, tiny = (cut_for(work(20_000, 20_000, room), None) for room in (None, 60 << 20, 18 << 20))
    assert big.columns == small.columns == 20_000 and big.rows > small.rows
    assert tiny.columns < 20_000
    assert small.memory <= 60 << 20 and tiny.memory <= 18 << 20
    with pytest.raises(InputFileError, match=r"a\.png: needs [\d,]+ bytes of memory, 2,097,152 are there") as error:
        cut_for(work(20_000, 20_000, 2 << 20), None)
    assert "--memory" in str(error.value)


def test_an_artifact_with_a_limit_of_its_own() -> None:
    assert cut_for(work(20_000, 20_000, None, limit=5 << 20), None).columns <= 5_000
    with pytest.raises(StatusError, match="takes"):
        cut_for(work(20_000, 20_000, None, limit=100), None)


def test_a_limit_that_the_user_gave_is_said(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    """The network runs whole, and the driver refuses; a limit that is not the user's is left to other devices."""
    info = property(lambda self: dataclasses.replace(INFO, whole_because=("gap averages all pixels",)))
    monkeypatch.setattr("tvmsr.devices.here.HereRunner.info", info)
    Image.new("RGB", (200_000, 4)).save(tmp_path / "a.png")
    arguments = ["upscale", str(made.artifact), str(tmp_path / "a.png"), str(tmp_path / "o.png"), "--memory"]
    monkeypatch.setattr("tvmsr.commands.upscaling.cut.check_memory", lambda *_: None)
    monkeypatch.setattr("tvmsr.commands.upscaling.pictures.check_memory", lambda *_: None)
    assert main([*arguments, "1"]) == 3
    said = capfd.readouterr().err
    found = re.search(
        r"a\.png: needs ([\d,]+) bytes of memory inside of the artifact, which has half of --memory 1; it", said
    )
    assert found and "cannot be cut, because gap averages all pixels; --tile N" in said
    enough = re.search(r"--memory (\d+) is enough", said)
    assert enough and int(enough[1]) << 19 >= int(found[1].replace(",", "")) > 1 << 19
    assert main([*arguments, enough[1]]) == 0

    def workspace(*_: int) -> int:
        raise StatusError(abi.MEMORY_LIMIT, "a picture of 9 x 9 takes 700000 bytes, the limit is 300000")

    theirs = dataclasses.replace(work(9, 9, None, dataclasses.replace(INFO, whole_because=("gap",))), limit=1)
    with pytest.raises(StatusError, match="300000"):
        cut_for(dataclasses.replace(theirs, workspace=workspace), None)


def test_what_cannot_be_cut() -> None:
    info = dataclasses.replace(INFO, whole_because=("pool averages all pixels",))
    cut = cut_for(work(5000, 5000, None, info), None)
    assert (cut.rows, cut.columns) == (5000, 5000)
    with pytest.raises(InputFileError, match=r"cannot be cut, because pool averages all pixels; --tile"):
        cut_for(work(5000, 5000, 100 << 20, info), None)
    assert cut_for(work(5000, 5000, 100 << 20, info), 256).rows == 256


class Choosing:
    """A runner whose busiest choice takes ten times as much as the one that the picture gets."""

    def __init__(self, limit: int | None) -> None:
        self.limit, self.chosen = limit, 0

    def workspace(self, wide: int, high: int) -> int:
        needed = (100 if self.chosen else 1000) * wide + 10 * high
        if self.limit is not None and needed > self.limit:
            raise StatusError(abi.MEMORY_LIMIT, f"takes {needed}")
        return needed

    def choose(self) -> None:
        self.chosen += 1

    def work(self, room: int | None, **change: tuple[str, ...]) -> Work:
        given = work(640, 360, room, dataclasses.replace(INFO, **change))
        return dataclasses.replace(given, workspace=self.workspace, choose=self.choose)


def test_what_fits_is_whole_without_being_looked_at() -> None:
    runner = Choosing(None)
    cut = cut_for(runner.work(None), None)
    assert (cut.rows, cut.columns, cut.margin, runner.chosen) == (360, 640, 0, 0)
    large = Choosing(None)
    cut = cut_for(dataclasses.replace(large.work(None), holding=Holding(9000, 9000, Channels.RGB)), None)
    assert (cut.rows, cut.columns, large.chosen) == (9000, 9000, 0)


@pytest.mark.parametrize("change", [{}, {"whole_because": ("pool averages all pixels",)}])
def test_a_choice_that_the_picture_does_not_get_refuses_nothing(change: dict[str, tuple[str, ...]]) -> None:
    """Of the limit of the artifact, and of the memory that is there; also where it cannot be cut."""
    runner = Choosing(600_000)
    cut = cut_for(runner.work(None, **change), None)
    assert (cut.rows, cut.columns, runner.chosen) == (360, 640, 1)
    room = cut_for(Choosing(None).work(None, **change), None).memory - 1
    runner = Choosing(None)
    cut = cut_for(runner.work(room, **change), None)
    assert (cut.rows, cut.columns, runner.chosen) == (360, 640, 1) and cut.memory <= room


@pytest.mark.parametrize(("tile", "rows"), [(None, 1024), (200, 256)])
def test_tiles_that_choose_for_themselves_are_never_cut(tile: int | None, rows: int) -> None:
    """A piece's outermost tiles, which do not see what is beyond it, touch nothing that it gives."""
    large = dataclasses.replace(work(5000, 5000, None), grid=128)
    fits = cut_for(large, None)
    assert (fits.rows, fits.columns, fits.margin) == (5000, 5000, 0)
    cut = cut_for(dataclasses.replace(large, room=fits.memory - 1), tile)
    assert cut.rows == rows and cut.multiple == 128
    for span in cut.bands(5000):
        assert span.low == 0 or span.start - span.low >= 128 + 16
        assert span.high == 5000 or span.high - span.stop >= 128 + 16
        assert span.low % 128 == 0 and (span.high % 128 == 0 or span.high == 5000)


def test_tiles_of_a_network_that_looks_at_the_whole_say_so(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = property(lambda self: dataclasses.replace(INFO, whole_because=("gap averages all pixels",)))
    monkeypatch.setattr("tvmsr.devices.here.HereRunner.info", info)
    Image.fromarray(noise(40, 40, 3)).save(tmp_path / "a.png")
    (notice,) = tvmsr.upscale(made.artifact, tmp_path / "a.png", tmp_path / "o.png", tile=16).notices
    assert "a.png: was cut into tiles of 16 although gap averages all pixels" in notice and "seams" in notice
    assert not tvmsr.upscale(made.artifact, tmp_path / "a.png", tmp_path / "whole.png").notices


def _usage(arguments: list[str]) -> tuple[int, int]:
    """Exit code, and peak memory of a command in bytes."""
    script = "import resource, sys; from tvmsr.cli.main import main; code = main(sys.argv[1:])\n"
    script += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, int(done.stdout.split()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="kilobytes in ru_maxrss")
def test_a_large_picture_in_little_memory(made: Made, tmp_path: Path, capfd) -> None:
    """3000x3000 to 6000x6000, 108 MB of result: in bands it takes a fraction of that."""
    row = np.repeat(noise(1, 300, 3), 10, axis=1)
    Image.fromarray(np.repeat(row, 3000, axis=0)).save(tmp_path / "large.png", compress_level=1)
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "small.png")
    art, out = str(made.artifact), tmp_path / "out.png"
    _, idle = _usage(["upscale", art, str(tmp_path / "small.png"), str(out)])
    code, peak = _usage(["upscale", art, str(tmp_path / "large.png"), str(out), "--overwrite", "--memory", "48"])
    assert code == 0 and Image.open(out).size == (6000, 6000)
    assert peak - idle < 80 << 20
    top = np.asarray(Image.open(out).crop((0, 0, 6000, 8)))
    with tvmsr.load(made.artifact) as session:
        assert np.array_equal(top, session.upscale(np.repeat(row, 20, axis=0))[:8])


def test_too_little_memory_is_said_at_once(made: Made, tmp_path: Path) -> None:
    Image.new("RGB", (3000, 3000)).save(tmp_path / "a.jpg")
    with pytest.raises(InputFileError, match=r"a\.jpg: needs [\d,]+ bytes of memory, 8,388,608 are there"):
        tvmsr.upscale(made.artifact, tmp_path / "a.jpg", tmp_path / "out.png", memory=8)


def test_a_disk_that_is_too_small_is_said_at_once(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("tvmsr.commands.upscaling.room.shutil.disk_usage", lambda _: usage)
    monkeypatch.setattr("tvmsr.commands.upscaling.room._LARGE", 1000)
    Image.new("RGB", (30, 30)).save(tmp_path / "a.png")
    with pytest.raises(tvmsr.errors.WorkError, match=r"may take 10,800 bytes of disk, 1,000 are free"):
        tvmsr.upscale(made.artifact, tmp_path / "a.png", tmp_path / "out.png")
