"""The file of devices: what it takes, what it says where it is broken, and that nothing gets lost."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tvmsr.devices import Here, find_device, find_devices
from tvmsr.devices.qemu import Qemu
from tvmsr.devices.reach import Adb, Direct, Ssh, Tracked
from tvmsr.devices.registry import (
    AdbWay,
    Entry,
    QemuWay,
    Registry,
    RpcWay,
    Seen,
    SshWay,
    TrackerWay,
    Way,
    config_folder,
    name_problem,
)
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.errors import InputFileError, UsageError, WorkError

WAYS: tuple[Way, ...] = (
    SshWay(host="pi@board", options=("-p", "2222")),
    AdbWay(serial="1234"),
    RpcWay(host="::1", port=9090, key="k"),
    TrackerWay(host="farm", port=9190, key="rpi5"),
    QemuWay(architecture="arm", cpu="cortex-a7"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TVMSR_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def entry(name: str, way: Way = WAYS[0], **more: Any) -> Entry:
    seen = Seen(when="2026-01-02T03:04:05+00:00", triple="aarch64-linux-gnu.2.17", details={"emulated": True})
    return Entry(name=name, reach=way, added="2026-01-01T00:00:00+00:00", seen=seen, **more)


def test_what_is_added_is_read_again(folder: Path) -> None:
    made = [entry(f"d{i}", way, target="arm", token_file="/t", turn=5.0) for i, way in enumerate(WAYS)]
    for one in reversed(made):
        Registry().add(one)
    assert list(Registry().entries()) == made
    assert Registry().get("d3") == made[3] and Registry().get("d9") is None
    Registry().saw("d1", "2027-01-01T00:00:00+00:00")
    Registry().remove("d0")
    assert [(one.name, one.seen.when[:4]) for one in Registry().entries()][:2] == [("d1", "2027"), ("d2", "2026")]
    assert len(Registry().entries()) == len(made) - 1
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "devices.json")]
    assert modes == [0o700, 0o600]
    assert sorted(path.name for path in folder.iterdir()) == ["devices.json", "devices.lock"]


def test_a_name_is_taken_once(folder: Path) -> None:
    Registry().add(entry("pi5"))
    with pytest.raises(UsageError, match=r"there is a device pi5 already; .*--overwrite"):
        Registry().add(entry("pi5", WAYS[1]))
    Registry().add(entry("pi5", WAYS[1]), overwrite=True)
    assert [one.reach.kind for one in Registry().entries()] == ["adb"]


@pytest.mark.parametrize(
    "name", ["", "here", "ALL", "qemu", "qemu:arm", "a,b", "-x", ".hidden", "a/b", "a b", "é", "x" * 65]
)
def test_names_that_are_none(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize("name", ["pi5", "Pixel-8", "rack1_slot.3", "5", "x" * 64])
def test_names(name: str) -> None:
    assert name_problem(name) is None


def spoiled(change: Any) -> str:
    """A file with two devices, the second spoiled."""
    devices = [json.loads(entry(name).model_dump_json()) for name in ("a", "b")]
    change(devices[1])
    return json.dumps({"format": "tvmsr-devices", "version": 1, "devices": devices}, indent=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", r"devices\.json: .*line 1 column 1"),
        ('{"format": "other", "version": 1}', "format: "),
        ('{"format": "tvmsr-devices", "version": 2}', r"another tvmsr \(version 2"),
        ('{"format": "tvmsr-devices", "version": 1, "more": 1}', "more: Extra inputs"),
        (spoiled(lambda d: d.update(colour="red")), r"line \d\d+: devices\.1\.colour: Extra inputs"),
        (spoiled(lambda d: d["reach"].update(kind="pigeon")), r"devices\.1\.reach: .*pigeon"),
        (spoiled(lambda d: d["reach"].pop("host")), r"devices\.1\.reach\.ssh\.host: Field required"),
        (spoiled(lambda d: d.update(name="all")), r"devices\.1\.name: .*means something else"),
        (spoiled(lambda d: d.update(turn="5")), r"devices\.1\.turn: .*number"),
        (spoiled(lambda d: d.update(name="a")), "two devices are called a"),
    ],
)
def test_a_broken_file_is_named_with_its_place(folder: Path, text: str, words: str) -> None:
    folder.mkdir()
    (folder / "devices.json").write_text(text)
    with pytest.raises(InputFileError, match=words) as error:
        Registry().entries()
    assert str(folder) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputFileError):
        Registry().add(entry("c"))
    assert (folder / "devices.json").read_text() == text, "what the user may mend is not written over"


#: Between reading and writing there is time for others.
ADD = """
import sys, time
from tests.devices.test_registry import entry
from tvmsr.devices.registry import Registry
write = Registry._write
Registry._write = lambda self, entries: (time.sleep(0.02), write(self, entries))
for i in range(12):
    Registry().add(entry(f"{sys.argv[1]}-{i}"))
"""


def test_two_that_add_at_once_lose_nothing(folder: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", ADD, name]) for name in ("a", "b", "c")]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert len(Registry().entries()) == 36


def test_a_write_that_fails_leaves_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Registry().add(entry("a"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkError, match="No space left on device"):
        Registry().add(entry("b"))
    assert [one.name for one in Registry().entries()] == ["a"]
    assert sorted(path.name for path in folder.iterdir()) == ["devices.json", "devices.lock"]


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TVMSR_CONFIG", "/one")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/two")
    assert config_folder() == Path("/one")
    monkeypatch.delenv("TVMSR_CONFIG")
    assert config_folder() == Path("/two/tvmsr")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_folder() == tmp_path / ".config" / "tvmsr"


def test_devices_of_their_entries(folder: Path) -> None:
    for i, way in enumerate(WAYS[:4]):
        Registry().add(entry(f"d{i}", way, target="rpi5", token_file="/t" if i > 1 else None, turn=5.0))
    found = find_devices("all")
    assert [device.name for device in found] == ["d0", "d1", "d2", "d3"]
    reaches = []
    for device in found:
        assert isinstance(device, RpcDevice) and device.target == "rpi5" and device.emulated
        reaches.append(device.reach)
        assert device.reach.triples == ("aarch64-linux-gnu.2.17",)
    ssh, adb, direct, tracked = reaches
    assert isinstance(ssh, Ssh) and (ssh.host, ssh.options) == ("pi@board", ("-p", "2222"))
    assert isinstance(adb, Adb) and adb.serial == "1234"
    assert isinstance(direct, Direct) and (direct.host, direct.port, direct.token_file) == ("::1", 9090, "/t")
    assert isinstance(tracked, Tracked) and (tracked.port, tracked.key, tracked.turn) == (9190, "rpi5", 5.0)


def test_an_emulator_under_a_name(folder: Path) -> None:
    from tests.devices.conftest import need_emulator

    need_emulator("arm")
    Registry().add(entry("old", WAYS[4], target="linux-armv7"))
    device = find_device("old")
    assert isinstance(device, Qemu) and (device.name, device.target) == ("old", "linux-armv7")


def test_several_devices(folder: Path) -> None:
    for name in ("pi5", "pixel8"):
        Registry().add(entry(name))
    here = Here()
    assert [d.name for d in find_devices("pixel8,pi5,pixel8")] == ["pixel8", "pi5"]
    assert [d.name for d in find_devices(["here", "all"])] == ["here", "pi5", "pixel8"]
    assert find_devices(here) == (here,) and find_devices([here, "here"]) == (here,)
    with pytest.raises(UsageError, match="means several devices, and this takes one"):
        find_device("pi5,pixel8")
    for nothing in ("", ",", []):
        with pytest.raises(UsageError):
            find_devices(nothing)


def test_unknown_devices(folder: Path) -> None:
    with pytest.raises(UsageError, match="no device was added yet; `tvmsr device add` adds one"):
        find_devices("all")
    Registry().add(entry("pi5"))
    with pytest.raises(
        UsageError, match=r"no device 'pi6' \(did you mean pi5\?\); known are here, .*, pi5; `tvmsr device add`"
    ):
        find_devices("here,pi6")
