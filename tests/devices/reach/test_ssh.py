"""Boards over a real ssh and sshd on loopback, with an emulated CPU behind the login."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tvmsr
from tests.devices.reach.conftest import Small
from tests.devices.reach.sshd import Board
from tvmsr.cli.main import main
from tvmsr.devices.reach.ssh import Ssh
from tvmsr.devices.registry import Registry
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.devices.server.build import device_program
from tvmsr.errors import DeviceError, UsageError
from tvmsr.imaging.picture import demo_picture


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as made:
        yield made


def way_to(board: Board, **more: str) -> Ssh:
    return Ssh(board.host, ("-F", str(board.config)), **more)


def folders(board: Board) -> list[str]:
    return sorted(str(path.relative_to(board.home)) for path in board.home.rglob("*") if path.is_dir())


def test_the_walk_through_of_the_readme(board: Board, small: Small, tmp_path: Path, capfd, monkeypatch) -> None:
    """The README's commands for a Raspberry Pi, in their order. There, `-F FILE` is what ~/.ssh/config does."""
    monkeypatch.chdir(tmp_path)
    board.behave(chatter='echo "Linux raspberrypi 6.12"; printf "no end of line"; echo "motd" >&2')
    there = ["--ssh-option", "-F", "--ssh-option", str(board.config)]
    user = re.search(r"User (\S+)", board.config.read_text())
    assert user is not None

    assert main(["device", "add", "pi5", "--ssh", f"{user[1]}@raspberrypi.local", *there]) == 0
    said = capfd.readouterr()
    for words in ("emulated", "dotprod, fp16, neon", "glibc", "4 KiB", "GiB", "added pi5: use it with --device pi5"):
        assert words in said.out, words
    assert "compiled for the target arm" in said.err
    assert [re.sub(r"\w{16}$", "HASH", name) for name in board.files()] == [
        ".cache/tvmsr/tvmsr-device-aarch64-linux-gnu-HASH"
    ]

    assert main(["device", "list", "--check"]) == 0
    assert re.search(r"pi5 +ssh \S+@raspberrypi.local +arm +.*answers in", capfd.readouterr().out)

    assert main(["compile", str(small.model), "--plan", str(small.plan), "--target", "rpi5", "-o", "sr-pi5.so"]) == 0
    assert main(["verify", "sr-pi5.so", "--device", "pi5"]) == 0
    assert "on pi5, levels dotprod" in capfd.readouterr().out

    assert main(["bench", "sr-pi5.so", "--device", "pi5", "--size", "32x24", "--threads", "1,2", "--layers"]) == 0
    said = capfd.readouterr()
    assert "level dotprod" in said.out and "body.2" in said.out and "emulator" in said.err

    assert main(["device", "doctor", "pi5"]) == 0
    said = capfd.readouterr()
    for check in ("reachable", "session", "agent", "as it was added", "target", "health"):
        assert re.search(rf"^ok +{check} ", said.out, re.MULTILINE), check
    assert f"tvmsr-device {tvmsr.__version__}, with our agent" in said.out
    assert "nothing is wrong with pi5" in said.out and "WRONG" not in said.out

    board.wait_until_idle()
    assert len(board.files()) == 1 and folders(board) == [".cache", ".cache/tvmsr"]
    assert main(["device", "remove", "pi5"]) == 0
    assert re.search(r"deleted there: .*/tvmsr-device-[\w-]+\nremoved pi5", capfd.readouterr().out)
    board.wait_until_idle()
    assert board.files() == [] and folders(board) == [".cache"]
    assert Registry().entries() == ()
    assert main(["bench", "sr-pi5.so", "--device", "pi5"]) == 2


def test_another_device_takes_the_name_of_a_board(board: Board) -> None:
    """Nobody deletes the board's server any more; nothing for the target runs on the other: both are said."""
    tvmsr.add_device("pi5", ssh=board.host, ssh_options=("-F", str(board.config)))
    again = tvmsr.add_device("pi5", ssh=board.host, ssh_options=("-F", str(board.config)), overwrite=True)
    assert again.runs and not any("keeps its server" in note for note in again.notes)
    other = tvmsr.add_device("pi5", qemu="cortex-a53", target="linux-armv7", overwrite=True)
    assert not other.runs and other.differs == ("it is aarch64, the target arm",)
    assert "no artifact for linux-armv7 can run there; arm suits it better" in other.notes[0]
    assert f"(ssh {board.host}) keeps its server" in other.notes[1]
    verdict = tvmsr.doctor_device("pi5").verdict
    assert (
        verdict.startswith("target: linux-armv7 is not for this device") and "--target arm and --overwrite" in verdict
    )


def test_a_picture_and_an_idle_connection(board: Board, small: Small) -> None:
    """Bytes are those of the emulator here; nothing is left when the device is closed; it may be used again."""
    picture = demo_picture()[:21, :34]
    with tvmsr.device("qemu:aarch64:cortex-a76") as other, other.open(small.arm) as runner:
        want = runner.upscale(picture)
    with RpcDevice("pi5", way_to(board), target="arm") as device:
        with device.open(small.arm) as runner:
            assert np.array_equal(runner.upscale(picture), want)
            assert runner.level == "dotprod"
        assert len(board.processes()) >= 1
        device.close()
        board.wait_until_idle()
        assert device.levels(small.arm) == ("dotprod", "neon")
    board.wait_until_idle()
    assert folders(board) == [".cache", ".cache/tvmsr"]


@pytest.mark.parametrize("shell", ["bash", "csh", "fish"])
def test_other_login_shells(shell: str, tmp_path: Path) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"needs another shell: apt-get install {shell.replace('csh', 'tcsh')}")
    with Board(tmp_path / "board", shell=path) as board:
        way = way_to(board)
        with RpcDevice("pi5", way) as device:
            assert device.facts().machine == "aarch64"
            awkward = ["printf", "%s|", "a b", "it's", "!x", "back\\slash", "new\nline", '$HOME`x`"q"', "é"]
            assert device.shell is not None
            assert device.shell.run(awkward).decode() == "".join(f"{word}|" for word in awkward[2:])


def test_commands_there(board: Board) -> None:
    shell = way_to(board).shell("pi5")
    assert shell.run(["cat"], stdin=bytes(range(256)) * 1000) == bytes(range(256)) * 1000
    shell.put(f"{board.home}/a b", b"\0\n\xff")
    assert (board.home / "a b").read_bytes() == b"\0\n\xff" and (board.home / "a b").stat().st_mode & 0o777 == 0o600
    with pytest.raises(DeviceError, match=r"^pi5: ssh raspberrypi\.local: .*no-such-file"):
        shell.run(["ls", "no-such-file"])
    start = time.monotonic()
    with pytest.raises(DeviceError, match="took longer than 1 seconds"):
        shell.run(["sleep", "60"], seconds=1.0)
    assert time.monotonic() - start < 20


def test_a_newer_server_takes_the_place_of_an_older(board: Board) -> None:
    folder = board.home / ".cache" / "tvmsr"
    folder.mkdir(parents=True)
    for name in ("tvmsr-device-aarch64-linux-gnu-0123456789abcdef", "other"):
        (folder / name).write_text("old")
    with RpcDevice("pi5", way_to(board)) as device:
        device.facts()
    names = {path.name for path in folder.iterdir()}
    assert "tvmsr-device-aarch64-linux-gnu-0123456789abcdef" not in names and "other" in names and len(names) == 2


@pytest.mark.parametrize("left", [False, True])
def test_another_system_on_the_same_board(board: Board, left: bool) -> None:
    """It was a 32-bit one when it was added, whose server may be left there."""
    if left:
        data = device_program("arm-linux-gnueabihf.2.17").read_bytes()
        file = (
            board.home / ".cache" / "tvmsr" / f"tvmsr-device-aarch64-linux-gnu-{hashlib.sha256(data).hexdigest()[:16]}"
        )
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
        file.chmod(0o700)
    way = way_to(board, triple="arm-linux-gnueabihf.2.17")
    with RpcDevice("pi5", way) as device:
        assert device.facts().machine == "aarch64"
    assert way.triples[0] == "aarch64-linux-gnu.2.17"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda b: (b.folder / "known_hosts").write_text(""), "its host key is not known here; log in once by hand"),
        (
            lambda b: (b.folder / "known_hosts").write_text(f"the-board {(b.folder / 'key.pub').read_text()}"),
            "its host key is not the one known here.*ssh-keygen -R",
        ),
        (lambda b: (b.folder / "authorized_keys").write_text(""), "the login was refused; it needs a key.*ssh-copy-id"),
        (lambda b: b.stop(), r"nothing listens on port \d+ of .*is its ssh server on"),
        (
            lambda b: b.config.write_text(b.config.read_text().replace("127.0.0.1", "no-such-board.invalid")),
            "no machine is called no-such-board.invalid",
        ),
        (lambda b: b.config.write_text("Nonsense yes\n"), "ssh's configuration: .*"),
        (lambda b: b.config.unlink(), "ssh's configuration: Can't open user config file"),
        (lambda b: b.behave(chatter="exec >/dev/null; exit 1"), "ssh ended with exit code 1|exit code 1"),
        (
            lambda b: b.behave(chatter="echo This account is currently not available.; exit 1"),
            "exit code 1|no commands",
        ),
    ],
)
def test_logins_that_fail_say_what_to_do(board: Board, spoil, words: str, capfd) -> None:
    spoil(board)
    arguments = ["--ssh", board.host, "--ssh-option", "-F", "--ssh-option", str(board.config)]
    assert main(["device", "add", "pi5", *arguments]) == 4
    said = capfd.readouterr().err
    assert re.search(words, said) and len(said.splitlines()) == 1 and said.startswith("error: pi5: ")
    assert Registry().entries() == () and board.files() == []


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ("riscv64", "it is a riscv64, and there is a server for 64-bit ARM, ARMv7 and x86-64 only"),
        ("armv6l", "its CPU is an ARMv6 without NEON"),
    ],
)
def test_boards_that_are_not_supported(machine: str, words: str, tmp_path: Path) -> None:
    with Board(tmp_path / "board", machine=machine) as board, pytest.raises(DeviceError, match=words):
        RpcDevice("pi5", way_to(board)).facts()
    assert board.files() == []


def test_a_full_disk(board: Board) -> None:
    """`cat` there is one whose disk is full."""
    cat = board.folder / "bin" / "cat"
    cat.write_text('#!/bin/sh\necho "cat: write error: No space left on device" >&2\nexit 1\n')
    cat.chmod(0o755)
    with pytest.raises(DeviceError, match=r"^pi5: its disk is full$"):
        RpcDevice("pi5", way_to(board)).facts()
    assert board.files() == []


def test_a_copy_that_is_cut_short(board: Board) -> None:
    cat = board.folder / "bin" / "cat"
    cat.write_text("#!/bin/sh\nhead -c 1000\n")
    cat.chmod(0o755)
    with pytest.raises(DeviceError, match=r"bytes arrived as 1000, or changed; is its disk full\?"):
        RpcDevice("pi5", way_to(board)).facts()
    assert board.files() == []


def test_a_home_where_no_program_may_run(board: Board) -> None:
    """The folder of the login's session is taken in its place, and that is said."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs mount namespaces")
    run = board.folder / "run"
    run.mkdir()
    mount = 'mount --bind "$HOME" "$HOME" && mount -o remount,bind,noexec "$HOME"'
    again = f'[ -n "$INSIDE" ] || {{ INSIDE=1; export INSIDE; exec unshare -m "$0"; }}; {mount} || exit 1'
    board.behave(chatter=f"{again}; cd /; XDG_RUNTIME_DIR={run}; export XDG_RUNTIME_DIR")
    way = way_to(board)
    with RpcDevice("pi5", way) as device:
        assert device.facts().machine == "aarch64"
    assert way.notes == (
        f"the server is in {run}/tvmsr on pi5, as {board.home}/.cache/tvmsr: no programs may run there (noexec)",
    )
    board.wait_until_idle()
    assert board.files() == [] and len(way.remove("pi5")) == 1 and list(run.iterdir()) == []


CLIENT = """
import sys, time
from tvmsr.devices.reach.ssh import Ssh
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.devices.server.build import device_program
device = RpcDevice("pi5", Ssh(sys.argv[1], ("-F", sys.argv[2])))
device.facts()
print("ready", flush=True)
time.sleep(600)
"""


def test_a_client_that_is_killed_leaves_nothing(board: Board) -> None:
    command = [sys.executable, "-c", CLIENT, board.host, str(board.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None and client.stdout.readline() == b"ready\n"
        assert board.processes()
        client.kill()
    board.wait_until_idle()
    assert folders(board) == [".cache", ".cache/tvmsr"]


def test_a_connection_that_is_cut(board: Board, small: Small) -> None:
    with RpcDevice("pi5", way_to(board)) as device:
        with device.open(small.arm) as runner:
            for pid in board.processes():
                with contextlib.suppress(ProcessLookupError):  # it ended as the one before it was killed
                    os.kill(pid, signal.SIGKILL)
            with pytest.raises(DeviceError, match=r"^pi5: "):
                for _ in range(3):
                    runner.upscale(demo_picture()[:21, :34])
        assert device.facts().machine == "aarch64"
        with device.open(small.arm) as runner:
            assert runner.upscale(demo_picture()[:21, :34]).shape == (84, 136, 3)


def test_an_interrupt_while_a_board_is_added_leaves_nothing(board: Board, capfd, monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tvmsr.devices.examine.machine_of", interrupted)
    arguments = ["--ssh", board.host, "--ssh-option", "-F", "--ssh-option", str(board.config)]
    assert main(["device", "add", "pi5", *arguments]) == 130
    assert capfd.readouterr().err == "error: interrupted\n"
    board.wait_until_idle()
    assert board.files() == [] and Registry().entries() == ()


@pytest.mark.parametrize("delay", [0.5, 0.8, 1.1, 1.4])
def test_ctrl_c_at_some_moment(board: Board, delay: float, config: Path) -> None:
    """To the whole group of the terminal, as the keys do it. Either the device is there afterwards, or nothing is."""
    arguments = ["--ssh", board.host, "--ssh-option", "-F", "--ssh-option", str(board.config)]
    command = [sys.executable, "-m", "tvmsr.cli.main", "device", "add", "pi5", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read().decode()
        code = process.wait(60)
    board.wait_until_idle()
    if code == 0:
        assert len(Registry().entries()) == 1 and len(board.files()) == 1
    else:  # 130, or the signal where it came while Python started
        assert code in (130, -signal.SIGINT) and "Traceback" not in said, said
        assert Registry().entries() == () and board.files() == []


def test_a_board_that_is_off(board: Board, capfd) -> None:
    """doctor says it with exit code 4, list shows it, and remove forgets it and says what is left there."""
    arguments = ["--ssh", board.host, "--ssh-option", "-F", "--ssh-option", str(board.config)]
    assert main(["device", "add", "pi5", *arguments, "--json"]) == 0
    added = json.loads(capfd.readouterr().out)
    assert added["machine"]["emulated"] is True and added["device"]["target"] == "arm"
    board.stop()
    assert main(["device", "doctor", "pi5", "--json"]) == 4
    found = json.loads(capfd.readouterr().out)
    assert not found["healthy"] and not found["reached"] and [c["ok"] for c in found["checks"]] == [False]
    assert found["verdict"].startswith("reachable: nothing listens on port")
    assert main(["device", "list", "--check"]) == 0
    assert "no answer: nothing listens on port" in capfd.readouterr().out
    assert main(["device", "remove", "pi5"]) == 0
    said = capfd.readouterr()
    assert "its server stays there" in said.err and "removed pi5" in said.out


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("-oProxyCommand=sh", ()),
        ("", ()),
        ("a b", ()),
        ("pi@host", ("2222",)),
        ("pi@host", ("-p",)),
        ("pi@host", ("-N",)),
        ("pi@host", ("-L", "1:a:2")),
        ("pi@host", ("",)),
        ("pi@host", ("-",)),
    ],
)
def test_words_that_are_no_host_or_option(host: str, options: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--ssh"):
        Ssh(host, options)


def test_which_ssh(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TVMSR_SSH", str(tmp_path / "my-ssh"))
    way = Ssh("pi@host", ("-p", "2222", "-oUser=x", "-4"))
    assert way.command("x")[0] == str(tmp_path / "my-ssh") and way.command("x")[-3:] == ["--", "pi@host", "x"]
    with pytest.raises(DeviceError, match=r"cannot run .*my-ssh: No such file"):
        RpcDevice("pi5", way).facts()
