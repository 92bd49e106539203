"""upscale, evaluate and verify on several devices at once, of which some are killed, frozen, or compute wrongly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
import pytest
from PIL import Image

import tvmsr
from tests.commands.conftest import Small
from tests.devices.server.conftest import Server, program_for
from tvmsr.cli.main import main
from tvmsr.devices import Device, Opening, Runner
from tvmsr.devices.qemu import Qemu
from tvmsr.devices.reach import Direct
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.errors import DeviceError, InputFileError, UsageError, WorkError
from tvmsr.imaging.picture import demo_picture

PICTURES = 200

NAMES = ("pi4", "pi5", "pixel8")


class Board(Protocol):
    """A device that can be broken."""

    device: Device

    def kill(self) -> None: ...

    def freeze(self) -> None: ...

    def left(self) -> list[psutil.Process]: ...


class PipeBoard(Qemu):
    """An emulated CPU behind pipes; once killed, it does not start again."""

    def __init__(self, name: str) -> None:
        super().__init__("aarch64", name=name)
        self.device = self
        self.pids: list[int] = []
        self._off = False

    def open(self, artifact: str | Path, opening: Opening = Opening()) -> Runner:  # noqa: B008
        if self._off:
            raise DeviceError(f"{self.name}: is switched off")
        runner = super().open(artifact, opening)
        self.pids.append(runner.link.pid)
        return runner

    def kill(self) -> None:
        self._off = True
        os.kill(self.pids[-1], signal.SIGKILL)

    def freeze(self) -> None:
        os.kill(self.pids[-1], signal.SIGSTOP)

    def left(self) -> list[psutil.Process]:
        return [psutil.Process(pid) for pid in self.pids if psutil.pid_exists(pid)]


class RpcBoard:
    """An emulated tvmsr-device that listens on loopback."""

    def __init__(self, name: str, folder: Path) -> None:
        self.server = Server(program_for("aarch64"), folder, "--key", name)
        self.device = RpcDevice(name, Direct("127.0.0.1", self.server.port, name), emulated=True)
        self._frozen: list[psutil.Process] = []

    def kill(self) -> None:
        """All of it, as a board does that loses its power."""
        for process in (*self.server.processes(), psutil.Process(self.server.pid)):
            process.kill()

    def freeze(self) -> None:
        self._frozen = [psutil.Process(self.server.pid), *self.server.processes()]
        for process in self._frozen:
            process.suspend()

    def left(self) -> list[psutil.Process]:
        """Of the sessions, once the server can do something about them; and the server where it outlives its end."""
        for process in self._frozen:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        if self.server.process.poll() is None:
            self.server.close()
        return [p for p in psutil.process_iter(["environ", "cmdline"]) if str(self.server.folder) in str(p.info)]


@pytest.fixture(params=["pipes", "rpc"])
def boards(request: pytest.FixtureRequest, small: Small, tmp_path: Path) -> Iterator[list[Any]]:
    made: list[Any] = []
    with ExitStack() as stack:
        for name in NAMES:
            if request.param == "pipes":
                made.append(PipeBoard(name))
            else:
                folder = tmp_path / f"server-{name}"
                folder.mkdir()
                made.append(RpcBoard(name, folder))
                stack.callback(made[-1].left)
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 pictures of some 24x16 pixels, with alpha and gray ones among them."""
    made, source = tmp_path_factory.mktemp("pictures"), demo_picture()
    for number in range(PICTURES):
        y, x = 2 * (number % 16), number
        pixels = source[y : y + 16 + number % 3, x : x + 24 - number % 5]
        if number % 50 == 7:
            pixels = pixels[:, :, 1]
        if number % 50 == 9:
            pixels = np.dstack([pixels, pixels[:, :, 0]])
        Image.fromarray(np.ascontiguousarray(pixels)).save(made / f"{number:03}.png")
    return made


@pytest.fixture(scope="module")
def wanted(small: Small, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What this machine makes of them: file contents by name."""
    out = tmp_path_factory.mktemp("wanted") / "out"
    tvmsr.upscale(small.here, folder, out)
    return {path.name: path.read_bytes() for path in out.iterdir()}


def halfway(then: Callable[[], None], at: int = PICTURES // 2) -> Callable[[str, int, int], None]:
    """A progress function that does something when so many pictures are done."""
    done_already: list[int] = []

    def progress(_stage: str, done: int, _total: int) -> None:
        if done >= at and not done_already:
            done_already.append(done)
            then()

    return progress


def test_one_is_killed_and_one_is_frozen(
    boards: list[Any], small: Small, folder: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    def breakdown() -> None:
        boards[0].kill()
        boards[1].freeze()

    out = tmp_path / "out"
    devices = [board.device for board in boards]
    done = tvmsr.upscale(small.arm, folder, out, device=devices, threads=1, progress=halfway(breakdown))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == wanted, "each once, right, and nothing else"
    assert [path.name for path, _ in done.files] == sorted(wanted)
    pictures = [share.pictures for share in done.devices]
    assert sum(pictures) == PICTURES and pictures[2] > PICTURES // 3
    assert [bool(share.out) for share in done.devices] == [True, True, False]
    taken = {note.split(" ")[0]: note for note in done.notes}
    assert set(taken) == {"pi4", "pi5"} and all("was taken out" in note for note in taken.values())
    assert "within" in taken["pi5"] or "said nothing for" in taken["pi5"]
    assert done.as_json()["devices"][0]["device"] == "pi4"
    assert [board.left() for board in boards] == [[], [], []]


def test_all_are_killed(
    boards: list[Any], small: Small, folder: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        DeviceError, match=r"no device is left \(pi4: .*; pi5: .*; pixel8: .*pictures are done, missing"
    ):
        tvmsr.upscale(
            small.arm, folder, out, device=[board.device for board in boards], threads=1,
            progress=halfway(lambda: [board.kill() for board in boards], 100),
        )  # fmt: skip
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    assert len(names) < PICTURES and all((out / name).read_bytes() == wanted[name] for name in names)
    if names:  # another artifact of the same network goes on where the devices ended
        done = tvmsr.upscale(small.here, folder, out)
        assert {path.name for path in done.there} == names and len(done.files) == PICTURES - len(names)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == wanted
    assert [board.left() for board in boards] == [[], [], []]


def test_bytes_that_turn_wrong(small: Small, folder: Path, wanted: dict[str, bytes], tmp_path: Path) -> None:
    """A board whose results, the check pictures' too, are wrong from some moment on: none of them gets out."""
    bad, good = PipeBoard("pi4"), PipeBoard("pi5")
    level: list[int] = []

    def turn() -> None:
        level.append(0)

    real = bad.open

    def spoiled(artifact: str | Path, opening: Opening) -> Runner:
        runner = real(artifact, opening)
        upscale, check = runner.upscale, runner.check
        runner.upscale = lambda picture, progress=None: upscale(picture, progress) ^ np.uint8(bool(level))
        runner.check = lambda: check() if not level else _fail()
        return runner

    def _fail() -> None:
        from tvmsr.errors import StatusError
        from tvmsr.runtime import abi

        raise StatusError(abi.CHECK_FAILED, "check picture 1 of 3 is wrong")

    bad.open = spoiled  # type: ignore[method-assign]
    out = tmp_path / "out"
    done = tvmsr.upscale(small.arm, folder, out, device=[bad, good], progress=halfway(turn))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == wanted
    (note,) = done.notes
    assert note.startswith("pi4 was taken out: it gave wrong bytes: check picture 1 of 3 is wrong; its ")


def test_one_picture_and_devices_by_name(small: Small, folder: Path, wanted: dict[str, bytes], tmp_path: Path, capfd):
    both = "qemu:aarch64,qemu:aarch64:cortex-a53"
    arguments = ["upscale", str(small.arm), str(folder / "003.png"), str(tmp_path / "big.png"), "--device", both]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [share["pictures"] for share in found["devices"]] == [1, 0] and found["level"] == "i8mm"
    assert (tmp_path / "big.png").read_bytes() == wanted["003.png"]
    assert main([*arguments, "--overwrite"]) == 0
    assert "qemu:aarch64:cortex-a53" in capfd.readouterr().out


def test_a_device_that_the_artifact_is_not_for(small: Small, folder: Path, tmp_path: Path, capfd) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for name in ("001.png", "002.png"):
        (few / name).write_bytes((folder / name).read_bytes())
    arguments = ["upscale", str(small.arm), str(few), str(tmp_path / "out"), "--device", "qemu:arm,qemu:aarch64"]
    command = [sys.executable, "-m", "tvmsr.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1
    assert "qemu:arm:max was taken out" in done.stderr and "is for AArch64" in done.stderr
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["001.png", "002.png"]
    assert main(["upscale", str(small.arm), str(few), str(tmp_path / "no"), "--device", "qemu:arm,here"]) == 4
    assert "no device is left" in capfd.readouterr().err and not (tmp_path / "no").exists()


def test_a_broken_picture_leaves_what_was_done(small: Small, folder: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for number in range(6):
        (some / f"{number}.png").write_bytes((folder / f"00{number}.png").read_bytes())
    for number in (1, 5):
        (some / f"{number}.png").write_bytes((folder / "005.png").read_bytes()[:90])
    with pytest.raises(InputFileError, match=r"^2 of 6 pictures cannot be read.*1\.png: .*; .*5\.png: "):
        tvmsr.upscale(small.arm, some, tmp_path / "out", device=[PipeBoard("pi4"), PipeBoard("pi5")])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "2.png", "3.png", "4.png"]


def test_two_pictures_that_would_become_one(small: Small, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for name in ("a.png", "a.jpg", "b.png", "b.tif", "b.webp", "c.png"):
        Image.new("RGB", (8, 8)).save(some / name)
    with pytest.raises(UsageError, match=r"a\.jpg and a\.png would both become .*a\.png; ") as caught:
        tvmsr.upscale(small.here, some, tmp_path / "out")
    assert "b.png, b.tif and b.webp would all become" in str(caught.value) and "c.png" not in str(caught.value)


@pytest.mark.parametrize("device", ["here", "qemu:aarch64,qemu:aarch64:cortex-a53"])
def test_ctrl_c(device: str, small: Small, folder: Path, wanted: dict[str, bytes], tmp_path: Path) -> None:
    """Exit code 130 at once; what was written stays, and neither parts nor processes do."""
    artifact, out = small.here if device == "here" else small.arm, tmp_path / "out"
    more = tmp_path / "more"
    more.mkdir()
    for copy in range(10):
        for path in folder.iterdir():
            (more / f"{copy}-{path.name}").hardlink_to(path)
    words = [sys.executable, "-m", "tvmsr.cli.main", "upscale", str(artifact), str(more), str(out), "--device", device]
    client = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    children: list[psutil.Process] = []
    while not any(out.glob("*.png")) or len(children) < (0 if device == "here" else 2):
        assert time.monotonic() < until and client.poll() is None
        time.sleep(0.02)
        children = psutil.Process(client.pid).children(recursive=True)
    client.send_signal(signal.SIGINT)
    assert client.communicate(timeout=30)[1] == "error: interrupted\n" and client.returncode == 130
    assert not [child for child in children if child.is_running()]
    names = {path.name for path in out.iterdir()}
    assert 0 < len(names) < 10 * PICTURES and all(name.endswith(".png") and name[0] != "." for name in names)
    assert all((out / name).read_bytes() == wanted[name[2:]] for name in names)


def test_ctrl_c_while_a_picture_is_written(small: Small, tmp_path: Path) -> None:
    """Noise of 72 megapixels is encoded for 15 s; nobody waits for that, and nothing of it stays."""
    source, out = tmp_path / "noise.png", tmp_path / "out" / "big.png"
    noise = np.random.default_rng(0).integers(0, 256, (1800, 2500, 3), np.uint8)
    Image.fromarray(noise).save(source, compress_level=0)
    words = [sys.executable, "-m", "tvmsr.cli.main", "upscale", str(small.here), str(source), str(out)]
    client = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not any(out.parent.glob(".tvmsr-*/.*.part")):
        assert time.monotonic() < until and client.poll() is None
        time.sleep(0.02)
    client.send_signal(signal.SIGINT)
    assert client.communicate(timeout=8)[1] == "error: interrupted\n" and client.returncode == 130
    assert not out.parent.exists()


def test_ctrl_c_where_this_machine_is_one_of_several(small: Small, tmp_path: Path) -> None:
    """As bench and verify do it: its thread is inside of C when the devices are closed."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from tvmsr.devices import Here\n"
        "from tvmsr.devices.pool import opened_devices, together\n"
        "with opened_devices([Here(), Here()]) as devices:\n"
        "    together(devices, lambda device, _: device.open(sys.argv[1]).bench(1920, 1080, runs=10_000))\n"
    )
    client = subprocess.Popen([sys.executable, str(script), str(small.here)], stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    assert client.poll() is None
    client.send_signal(signal.SIGINT)
    assert client.communicate(timeout=10)[1].endswith("KeyboardInterrupt\n") and client.returncode == -signal.SIGINT


def test_evaluate(small: Small, tmp_path: Path) -> None:
    hr = tmp_path / "hr"
    hr.mkdir()
    for number in range(8):
        Image.fromarray(demo_picture()[number : number + 48, :64]).save(hr / f"{number}.png")
    board = PipeBoard("pi4")
    progress = halfway(board.kill, 2)
    there = tvmsr.evaluate(small.arm, data=hr, device=[board, PipeBoard("pi5")], model=small.model, progress=progress)
    here = tvmsr.evaluate(small.here, data=hr, model=small.model)
    assert there.rows == here.rows and here.notes == ()
    assert len(there.notes) == 1 and there.as_json()["notes"] == list(there.notes)


def test_verify(small: Small, capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["qemu:aarch64:cortex-a57", "qemu:aarch64:cortex-a53"]
    seen: list[tuple[int, int]] = []
    found = tvmsr.verify(small.arm, device=",".join(names), progress=lambda _, done, total: seen.append((done, total)))
    assert [(one.device, one.levels, one.others) for one in found.each] == [(name, ("neon",), ()) for name in names]
    assert seen[-1] == (6, 6) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert [one["device"] for one in found.as_json()["devices"]] == names
    monkeypatch.setattr(tvmsr, "verify", lambda *_, **__: found, raising=False)
    assert main(["verify", str(small.arm), "--device", ",".join(names)]) == 0
    said = capfd.readouterr().out
    assert said.count("skipped i8mm") == 2 and all(f"on {name}, levels" in said for name in names)


def test_verify_where_some_fail(small: Small, capfd) -> None:
    assert main(["verify", str(small.arm), "--device", "qemu:arm,qemu:aarch64:cortex-a53"]) == 4
    said = capfd.readouterr().err
    assert "1 of 2 devices failed: qemu:arm" in said and said.strip().endswith("equal on qemu:aarch64:cortex-a53")
    assert len(said.splitlines()) == 1


def test_verify_where_bytes_differ(small: Small) -> None:
    class Wrong(Qemu):
        def open(self, artifact: str | Path, opening: Opening = Opening()) -> Runner:  # noqa: B008
            runner = super().open(artifact, opening)
            real = runner.upscale
            runner.upscale = lambda picture, progress=None: real(picture, progress) ^ np.uint8(1)
            return runner

    with pytest.raises(WorkError, match=r"1 of 2 devices failed: pi4: .*the checksum differs.*equal on pi5"):
        tvmsr.verify(small.arm, device=[Wrong("aarch64", "cortex-a53", name="pi4"), PipeBoard("pi5")])
