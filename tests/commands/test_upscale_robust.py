"""`tvmsr upscale` where things go wrong: one line, another exit code than 0, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tvmsr
from tests.imaging.pictures import encoded, noise
from tvmsr.cli.main import main
from tvmsr.commands.upscale import UnreadableError
from tvmsr.commands.upscaling import pictures
from tvmsr.commands.upscaling.room import memory_here
from tvmsr.errors import InputFileError, WorkError

from .conftest import Made

COMMAND = [sys.executable, "-m", "tvmsr.cli.main", "upscale"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    for number in range(3):
        Image.fromarray(noise(30, 40, 3, seed=number)).save(made / f"{number}.png")
    return made


def many(folder: Path, count: int) -> None:
    """More pictures, each a link."""
    for number in range(count):
        (folder / f"more-{number:04}.png").hardlink_to(folder / f"{number % 3}.png")


def whole(out: Path) -> bool:
    """Whether there are pictures only, each readable to its end."""
    for path in out.iterdir():
        with Image.open(path) as image:
            image.load()
    return True


def test_broken_pictures_beside_good_ones(made: Made, folder: Path, tmp_path: Path, capfd) -> None:
    good = encoded(Image.fromarray(noise(30, 40, 3)), "PNG")
    for name, data in {"empty": b"", "cut": good[:700], "no": b"no picture", "late": good[:-30]}.items():
        (folder / f"{name}.png").write_bytes(data)
    assert main(["upscale", str(made.artifact), str(folder), str(tmp_path / "out")]) == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert "4 of 7 pictures cannot be read" in line and all(
        f"{n}.png: " in line for n in ("empty", "cut", "no", "late")
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]


def test_what_was_done_is_shown_before_the_error(made: Made, folder: Path, tmp_path: Path, capfd) -> None:
    (folder / "3.png").write_bytes(b"no picture")
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) << 9).save(folder / "deep.png")
    arguments = ["upscale", str(made.artifact), str(folder), str(tmp_path / "out")]
    assert main(arguments) == 3
    said = capfd.readouterr()
    assert [line.split("  ")[1] for line in said.out.splitlines()[:4]] == ["80x60"] * 3 + ["16x16"]
    assert "s in the artifact" in said.out
    note, error = said.err.splitlines()
    assert note.startswith("note: deep.png: its 16 bits") and error.startswith("error: 1 of 5 pictures cannot be read")
    assert main(arguments) == 3
    said = capfd.readouterr()
    assert said.out == "4 of 5 were there already, of an earlier run\n"
    assert said.err.startswith("error: 1 of 5 pictures cannot be read, the others are done: ")
    assert main([*arguments, "--json"]) == 3
    found = json.loads(capfd.readouterr().out)
    assert len(found["there"]) == 4 and len(found["failed"]) == 1 and "3.png: " in found["failed"][0]
    with pytest.raises(UnreadableError) as caught:
        tvmsr.upscale(made.artifact, folder, tmp_path / "out")
    assert len(caught.value.done.there) == 4
    with pytest.raises(InputFileError, match=r"3\.png: ") as one:
        tvmsr.upscale(made.artifact, folder / "3.png", tmp_path / "o.png")
    assert "1 of" not in str(one.value)


def test_a_folder_that_cannot_be_written(
    made: Made, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    def refused(*_: object, **__: object) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    assert main(["upscale", str(made.artifact), str(folder), str(tmp_path / "out")]) == 1
    assert capfd.readouterr().err == f"error: {tmp_path / 'out'}: nothing can be written there: Read-only file system\n"


def test_a_disk_that_becomes_full(
    made: Made, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    """The second picture finds no room; the first stays."""
    fsync, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(pictures.os, "fsync", full)
    assert main(["upscale", str(made.artifact), str(folder), str(tmp_path / "out")]) == 1
    assert "1.png: cannot be written: No space left on device" in capfd.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.png"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    words = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if mount is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk here; needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_small_disk(made: Made, folder: Path, small_disk: Path, capfd) -> None:
    Image.fromarray(noise(400, 400, 3)).save(folder / "3.png")
    assert main(["upscale", str(made.artifact), str(folder), str(small_disk / "out")]) == 1
    assert "3.png: cannot be written: No space left on device" in capfd.readouterr().err
    assert sorted(path.name for path in (small_disk / "out").iterdir()) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_ended_in_the_middle_and_gone_on_with(number: signal.Signals, made: Made, folder: Path, tmp_path: Path) -> None:
    many(folder, 400)
    out = tmp_path / "out"
    words = [*COMMAND, str(made.artifact), str(folder), str(out), "--threads", "1"]
    client = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while len(list(out.glob("*.png"))) < 20:
        assert time.monotonic() < until and client.poll() is None
        time.sleep(0.01)
    client.send_signal(number)
    said = client.communicate(timeout=30)[1]
    killed = number is signal.SIGKILL
    assert client.returncode == (-9 if killed else 130) and said == ("" if killed else "error: interrupted\n")
    names = sorted(path.name for path in out.glob("[!.]*"))
    assert 20 <= len(names) < 403 and bool(list(out.glob(".tvmsr-*"))) is killed
    done = tvmsr.upscale(made.artifact, folder, out)
    assert len(done.there) == len(names) and len(done.files) == 403 - len(names)
    assert len(list(out.iterdir())) == 403 and whole(out)


def test_two_runs_on_one_folder(made: Made, folder: Path, tmp_path: Path) -> None:
    many(folder, 60)
    out = tmp_path / "out"
    words = [*COMMAND, str(made.artifact), str(folder), str(out), "--threads", "1"]
    clients = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [client.communicate(timeout=120)[1] for client in clients]
    assert [client.returncode for client in clients] == [0, 0], said
    assert len(list(out.iterdir())) == 63 and whole(out)


@pytest.mark.skipif(sys.platform != "linux", reason="needs files in memory")
@pytest.mark.parametrize("how", ["cut", "overwritten", "replaced"])
def test_an_artifact_that_changes_while_it_runs(how: str, made: Made, folder: Path, tmp_path: Path) -> None:
    artifact = tmp_path / "sr.so"
    shutil.copy(made.artifact, artifact)
    other = tmp_path / "other.so"
    other.write_bytes(bytes(artifact.stat().st_size))

    def progress(_stage: str, done: int, _total: int) -> None:
        if done == 1 and how == "cut":
            os.truncate(artifact, 0)
        elif done == 1 and how == "overwritten":
            with artifact.open("r+b") as file:
                file.write(other.read_bytes())
        elif done == 1 and other.exists():
            other.replace(artifact)

    done = tvmsr.upscale(artifact, folder, tmp_path / "out", progress=progress)
    assert len(done.files) == 3
    with tvmsr.load(made.artifact) as session:
        wanted = session.upscale(np.asarray(Image.open(folder / "2.png")))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "2.png")), wanted)


def test_an_artifact_replaced_before_it_is_opened(
    made: Made, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = property(lambda self: {**self._session.manifest, "plan_checksum": "of another"})
    monkeypatch.setattr("tvmsr.devices.here.HereRunner.manifest", other)
    with pytest.raises(WorkError, match=r"sr\.so: was replaced by another"):
        tvmsr.upscale(made.artifact, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_memory_that_is_here() -> None:
    found = memory_here()
    assert found is None or found > 1 << 20
