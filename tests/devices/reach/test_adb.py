"""Phones by Debian's adb client, with a small adbd of our own on the other side (adbd.py)."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tvmsr
from tests.devices.reach.adbd import FakeAdbd
from tests.devices.reach.conftest import Small
from tests.needs import lacking
from tvmsr.artifact.zig import cache_folder
from tvmsr.cli.main import main
from tvmsr.devices.reach.adb import Adb
from tvmsr.devices.registry import Registry
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.errors import DeviceError, UsageError
from tvmsr.imaging.picture import demo_picture


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """adb's server is the test's own: another port, keys and log elsewhere; it ends with the test."""
    monkeypatch.setenv("TVMSR_CACHE", str(cache_folder()))  # where it is now, not below the HOME that follows
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(probe.getsockname()[1]))
    for name in ("HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    yield
    subprocess.run(["adb", "kill-server"], capture_output=True, timeout=30, check=False)


@pytest.fixture
def phone(adb: None, tmp_path: Path) -> Iterator[FakeAdbd]:
    made = connected(tmp_path / "device")
    yield made
    made.close()


def connected(folder: Path, **more: str) -> FakeAdbd:
    made = FakeAdbd(folder, **more)
    done = client("connect", made.serial)
    assert "connected to" in done, done
    return made


def client(*words: str) -> str:
    """What adb itself says."""
    return client_bytes(*words).decode()


def client_bytes(*words: str, **more: bytes) -> bytes:
    return subprocess.run(["adb", *words], capture_output=True, timeout=60, check=True, **more).stdout


def wait_until_idle(phone: FakeAdbd) -> None:
    until = time.monotonic() + 20
    while phone.processes() and time.monotonic() < until:
        time.sleep(0.05)
    assert phone.processes() == []


def folders(phone: FakeAdbd) -> list[str]:
    return [str(path.relative_to(phone.home)) for path in phone.home.rglob("*") if path.is_dir()]


def test_the_fake_is_what_adb_takes_for_a_phone(phone: FakeAdbd, tmp_path: Path) -> None:
    """shell with its exit code, push, pull, list and forward, by the client alone."""
    raw = client_bytes("-s", phone.serial, "shell", "-T", "echo hi; cat", input=b"\0\r\n\xff")
    assert raw == b"hi\n\0\r\n\xff"
    with pytest.raises(subprocess.CalledProcessError) as error:
        client("-s", phone.serial, "shell", "-T", "echo bad >&2; exit 7")
    assert (error.value.returncode, error.value.stderr) == (7, b"bad\n")
    data = os.urandom(700_000)
    (tmp_path / "there").write_bytes(data)
    client("-s", phone.serial, "push", str(tmp_path / "there"), f"{phone.home}/x")
    assert (phone.home / "x").read_bytes() == data
    client("-s", phone.serial, "pull", f"{phone.home}/x", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    assert " x\n" in client("-s", phone.serial, "ls", str(phone.home))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = client("-s", phone.serial, "forward", "tcp:0", f"tcp:{server.getsockname()[1]}").strip()
        with socket.create_connection(("127.0.0.1", int(port)), 20) as near:
            far, _ = server.accept()
            with far:
                near.sendall(b"ping")
                assert far.recv(4) == b"ping"
                far.sendall(b"pong")
                assert near.recv(4) == b"pong"


def test_add_use_and_remove(phone: FakeAdbd, small: Small, capfd) -> None:
    assert main(["device", "add", "pixel8", "--adb", "--target", "arm"]) == 0
    said = capfd.readouterr()
    assert f"adb {phone.serial}" in said.out and "dotprod, fp16, neon" in said.out
    assert [re.sub(r"\w{16}$", "HASH", name) for name in phone.files()] == ["tvmsr/tvmsr-device-aarch64-linux-gnu-HASH"]
    with tvmsr.device("qemu:aarch64:cortex-a76") as other, other.open(small.arm) as runner:
        want = runner.upscale(demo_picture()[:21, :34])
    with tvmsr.device("pixel8") as device, device.open(small.arm) as runner:
        assert np.array_equal(runner.upscale(demo_picture()[:21, :34]), want)
    assert main(["bench", str(small.arm), "--device", "pixel8", "--size", "32x24", "--threads", "1"]) == 0
    assert main(["device", "doctor", "pixel8"]) == 0
    assert "nothing is wrong with pixel8" in capfd.readouterr().out
    wait_until_idle(phone)
    assert folders(phone) == ["tvmsr"] and len(phone.files()) == 1
    assert main(["device", "remove", "pixel8"]) == 0
    assert "deleted there" in capfd.readouterr().out
    assert phone.files() == [] and folders(phone) == [] and Registry().entries() == ()
    assert client("forward", "--list").strip() == "" and not any(s.startswith("tcp:") for s in phone.services)


def test_commands_there(phone: FakeAdbd) -> None:
    way = Adb(phone.serial)
    shell = way.shell("pixel8")
    assert shell.run(["cat"], stdin=bytes(range(256)) * 1000) == bytes(range(256)) * 1000
    assert shell.run(["printf", "%s|", "it's", "a\nb", "$HOME"]) == b"it's|a\nb|$HOME|"
    shell.put(f"{phone.home}/x", b"\0\xff" * 300_000)
    assert (phone.home / "x").read_bytes() == b"\0\xff" * 300_000
    assert (phone.home / "x").stat().st_mode & 0o777 == 0o600
    with pytest.raises(DeviceError, match=r"^pixel8: adb .*no-such-file"):
        shell.run(["ls", "no-such-file"])
    with pytest.raises(DeviceError, match=r"^pixel8: .*couldn't create file"):
        shell.put(f"{phone.home}/no/folder", b"")


def test_android_needs_a_server_of_its_own(phone: FakeAdbd, monkeypatch, tmp_path: Path) -> None:
    phone.have_getprop("arm64-v8a,armeabi-v7a")
    monkeypatch.setattr("tvmsr.devices.reach.far.android_program", lambda triple: tmp_path / triple / "tvmsr-device")
    words = "built with its NDK, once: `tvmsr device build --target android-arm64 --toolchain NDK/"
    with pytest.raises(DeviceError, match=words):
        RpcDevice("pixel8", Adb(phone.serial)).facts()
    assert phone.files() == []
    # Where it was built, it is taken; here it is one for Linux, which the emulator runs.
    from tvmsr.devices.server.build import device_program

    made = tmp_path / "aarch64-linux-android" / "tvmsr-device"
    made.parent.mkdir()
    made.write_bytes(device_program("aarch64-linux-gnu.2.17").read_bytes())
    with RpcDevice("pixel8", Adb(phone.serial)) as device:
        assert device.facts().machine == "aarch64"


def test_a_cable_that_comes_out(phone: FakeAdbd, small: Small) -> None:
    with RpcDevice("pixel8", Adb(phone.serial)) as device:
        with device.open(small.arm) as runner:
            phone.unplug()
            with pytest.raises(DeviceError, match=r"^pixel8: "):
                for _ in range(3):
                    runner.upscale(demo_picture()[:21, :34])
        wait_until_idle(phone)
        client("disconnect")
        with pytest.raises(DeviceError, match=rf"adb finds no {phone.serial} \(it finds none\); `adb connect"):
            device.facts()
            device.files(["/proc/version"])
        client("connect", phone.serial)
        assert device.files(["/proc/version"])


def test_which_phone(phone: FakeAdbd, tmp_path: Path, capfd) -> None:
    other = connected(tmp_path / "other")
    try:
        with pytest.raises(UsageError, match=r"adb finds 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+; say which: --adb SERIAL"):
            RpcDevice("pixel8", Adb()).facts()
        assert main(["device", "add", "pixel8", "--adb", "--target", "arm"]) == 2
        assert main(["device", "add", "pixel8", "--adb", other.serial, "--target", "arm"]) == 0
        assert phone.files() == [] and len(other.files()) == 1
        capfd.readouterr()
    finally:
        other.close()


def test_no_phone(adb: None, capfd) -> None:
    if not any(Path(folder, "adb").exists() for folder in os.environ["PATH"].split(":")):
        lacking("needs adb: apt-get install adb")
    assert main(["device", "add", "pixel8", "--adb"]) == 4
    assert "adb finds no phone; connect one" in capfd.readouterr().err
    assert main(["device", "add", "pixel8", "--adb", "0123"]) == 4
    assert "adb finds no 0123 (it finds none); connect it by its cable" in capfd.readouterr().err


def test_a_phone_that_is_too_old(adb: None, tmp_path: Path) -> None:
    old = connected(tmp_path / "old", features="cmd")
    try:
        with pytest.raises(DeviceError, match=r"adb there has no shell_v2 \(Android 7"):
            RpcDevice("old", Adb(old.serial)).facts()
    finally:
        old.close()


FAKE = """#!/bin/sh
[ "$1" = devices ] || exit 1
printf 'List of devices attached\\n0123\\t{state} usb:1\\n\\n'
"""


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("unauthorized", "does not trust this machine yet: unlock it and tap Allow"),
        ("offline", "it does not answer: unlock it"),
        ("no permissions (user in plugdev group; are your udev rules wrong?)", "this user may not talk to it"),
        ("bootloader", "it is in its boot loader"),
        ("host", "adb says that it is in state 'host'"),
    ],
)
def test_phones_that_cannot_be_used(state: str, words: str, tmp_path: Path, monkeypatch) -> None:
    script = tmp_path / "my adb"
    script.write_text(FAKE.format(state=state))
    script.chmod(0o755)
    monkeypatch.setenv("TVMSR_ADB", str(script))
    with pytest.raises(DeviceError, match=f"^phone: 0123: .*{words}"):
        RpcDevice("phone", Adb("0123")).facts()


def test_words_that_are_no_serial() -> None:
    for serial in ("-s", "a b"):
        with pytest.raises(UsageError, match="--adb"):
            Adb(serial)
