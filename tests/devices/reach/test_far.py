"""What is made of what a machine says, and the scripts in the shells that boards have."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tvmsr.devices.reach import far
from tvmsr.devices.reach.shell import for_login_shell, run_client
from tvmsr.devices.reach.through import meaning
from tvmsr.errors import DeviceError

#: Login shells, and the shells and tools of small systems: the command that runs what arrives there.
SHELLS = (("dash", "-c"), ("bash", "-c"), ("busybox", "sh", "-c"), ("csh", "-c"), ("fish", "-c"), ("mksh", "-c"))


def said(**values: str) -> far.FarSide:
    return far.FarSide({key: tuple(value.split("|")) for key, value in values.items()})


GNU_64, GNU_32, MUSL_64 = "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux-armhf.so.3", "/lib/ld-musl-aarch64.so.1"
X86 = "/lib64/ld-linux-x86-64.so.2"


@pytest.mark.parametrize(
    ("values", "triples"),
    [
        ({"machine": "aarch64", "loader": GNU_64}, ("aarch64-linux-gnu.2.17",)),
        # Raspberry Pi OS of 32 bits on a kernel of 64.
        ({"machine": "aarch64", "loader": GNU_32}, ("arm-linux-gnueabihf.2.17",)),
        (
            {"machine": "aarch64", "loader": f"{GNU_32}|{GNU_64}"},
            ("aarch64-linux-gnu.2.17", "arm-linux-gnueabihf.2.17"),
        ),
        ({"machine": "armv7l", "loader": GNU_32}, ("arm-linux-gnueabihf.2.17",)),
        ({"machine": "armv8l", "loader": f"{GNU_64}|{GNU_32}"}, ("arm-linux-gnueabihf.2.17",)),
        ({"machine": "aarch64", "loader": MUSL_64, "ldd": "musl libc (aarch64)"}, ("aarch64-linux-musl",)),
        ({"machine": "x86_64", "loader": X86}, ("x86_64-linux-gnu.2.17",)),
        # No loader where others have theirs.
        ({"machine": "aarch64", "loader": X86, "ldd": "ldd (GNU libc) 2.36"}, ("aarch64-linux-gnu.2.17",)),
        ({"machine": "armv7l", "ldd": "musl libc (armhf)"}, ("arm-linux-musleabihf",)),
        ({"machine": "aarch64", "abis": "arm64-v8a,armeabi-v7a"}, ("aarch64-linux-android", "arm-linux-androideabi")),
        ({"machine": "aarch64", "abis": "armeabi-v7a,armeabi"}, ("arm-linux-androideabi",)),
        ({"machine": "x86_64", "abis": "x86_64"}, ("x86_64-linux-android",)),
        ({"machine": "riscv64"}, ()),
        ({"machine": "armv6l", "loader": GNU_32}, ()),
    ],
)
def test_programs_for_a_machine(values: dict[str, str], triples: tuple[str, ...]) -> None:
    found = said(system="Linux", **values)
    assert found.triples == triples
    assert triples or found.problem()


def test_another_system() -> None:
    found = said(system="Darwin", machine="arm64")
    assert found.triples == () and "it runs Darwin, and there is a server for Linux and Android only" in found.problem()


def run(shell: tuple[str, ...], script: far.Script, home: Path, stdin: bytes = b"") -> far.FarSide:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"needs another shell: apt-get install {shell[0].replace('csh', 'tcsh')}")
    folder = home.parent / "tools"
    if shell[0] == "busybox":  # its own tools too, as on a router
        folder.mkdir(exist_ok=True)
        for tool in (
            "sh",
            "ls",
            "wc",
            "tr",
            "cut",
            "sha256sum",
            "rm",
            "mv",
            "cat",
            "mkdir",
            "find",
            "chmod",
            "id",
            "uname",
        ):
            if not (folder / tool).exists():
                (folder / tool).symlink_to(str(shutil.which("busybox")))
    # fish writes to the home of who starts it.
    env = {"HOME": str(home), "PATH": f"{folder}:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(home.parent / "xdg")}
    env["XDG_DATA_HOME"] = env["XDG_CONFIG_HOME"]
    done = subprocess.run(
        [*shell, for_login_shell(script.text)], env=env, input=stdin, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return far.answers(script, b"hello, " + done.stdout)


HOME = far.HOME_FOLDERS[:1]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_scripts_in_many_shells(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Look, find nothing, choose a folder, settle a file, start it, replace it, and remove everything."""
    home = tmp_path / "a home"
    home.mkdir()
    looked = run(shell, far.look_script(), home)
    assert (looked.machine, looked.one("system")) == (os.uname().machine, "Linux") and "end" in looked.values
    assert looked.triples

    first, second = b"#!/bin/sh\necho first $*\n", b"#!/bin/sh\necho second $*\n"
    assert "absent" in run(shell, far.start_script("tvmsr-device-1", HOME, ""), home).values
    folder = run(shell, far.choose_script(HOME), home).one("folder")
    assert folder == f"{home}/.cache/tvmsr" and list(Path(folder).iterdir()) == []
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    for i, data in enumerate((first, second)):
        (Path(folder) / ".new-1").write_bytes(data)
        assert "done" in run(shell, far.settle_script(folder, ".new-1", f"tvmsr-device-{i}", data), home).values
        assert [path.name for path in Path(folder).iterdir()] == [f"tvmsr-device-{i}"]
    (Path(folder) / ".new-2").write_bytes(b"cut")
    damaged = run(shell, far.settle_script(folder, ".new-2", "tvmsr-device-2", first), home)
    assert damaged.one("damaged").startswith("3") and not (Path(folder) / ".new-2").exists()

    started = far.start_script("tvmsr-device-1", HOME, "--idle 5")
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [*shell, for_login_shell(started.text)]
    done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=True)
    lines = done.stdout.decode().splitlines()
    assert lines[-2:] == [f"{started.mark} go {folder}", f"second --stdio --folder {folder} --idle 5"]

    removed = run(shell, far.remove_script(HOME), home)
    assert removed.values["removed"] == (f"{folder}/tvmsr-device-1",) and not Path(folder).exists()


def test_folders_that_are_not_ours(tmp_path: Path) -> None:
    """A link in the place of the folder, as somebody may have put it into /tmp, and a file."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "one").symlink_to("elsewhere")
    (tmp_path / "two").write_text("")
    folders = ((str(tmp_path), "one"), (str(tmp_path), "two"), (str(tmp_path / "none"), "x"), ("$NOTHING", "y"))
    found = run(("dash", "-c"), far.choose_script((*folders, (str(tmp_path), "three"))), tmp_path)
    assert found.one("folder") == f"{tmp_path}/three"
    assert found.values["refused"] == (f"{tmp_path}/one: a link", f"{tmp_path}/two: not ours to write to")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "one", "three", "two"]


@pytest.mark.parametrize("checksums", [True, False])
def test_damage_is_seen_with_and_without_a_tool_for_checksums(checksums: bool, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ["sh", "wc", "tr", "cut", "rm", "mv", "chmod", "find", *(["sha256sum"] if checksums else [])]:
        (tools / tool).symlink_to(str(shutil.which(tool)))

    def settled(came: bytes) -> set[str]:
        (tmp_path / "new").write_bytes(came)
        script = far.settle_script(str(tmp_path), "new", "tvmsr-device-1", b"whole")
        done = subprocess.run(["sh", "-c", script.text], env={"PATH": str(tools)}, capture_output=True, check=True)
        return set(far.answers(script, done.stdout).values)

    assert settled(b"whole") == {"done"} and settled(b"cut") == {"damaged"}
    assert settled(b"WHOLE") == ({"damaged"} if checksums else {"done"})
    assert not (tmp_path / "new").exists()


def test_scripts_have_nothing_that_login_shells_dispute() -> None:
    for script in (
        far.look_script(),
        far.start_script("tvmsr-device-0", far.ANDROID_FOLDERS, ""),
        far.choose_script(far.ANDROID_FOLDERS),
        far.settle_script("/a", "b", "c", b""),
        far.remove_script(far.ANDROID_FOLDERS),
    ):
        assert not re.search(r"['!\\\n]", script.text) and len(script.text) < 3000
        assert for_login_shell(script.text) == f"exec sh -c '{script.text}'"


def test_answers_stand_between_whatever_else_is_printed() -> None:
    script = far.look_script()
    output = f"Welcome\nno end of line{script.mark} machine aarch64\ntvmsr-0 machine fake\n{script.mark} end\n".encode()
    assert far.answers(script, b"\xff" + output).values == {"machine": ("aarch64",), "end": ("",)}


def test_a_client_that_does_not_end_is_killed_with_what_it_started(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"^pi5: sh took longer than 0\.5 seconds"):
        run_client(["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; wait"], "pi5", seconds=0.5)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(200):
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                raise ProcessLookupError
    with pytest.raises(DeviceError, match="cannot run no-such-program"):
        run_client(["no-such-program"], "pi5", seconds=1.0)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("./tvmsr-device: /lib/libc.so.6: version `GLIBC_2.17' not found", "its C library is older .* (GLIBC_2.17)"),
        ("sh: exec: ~/.cache/tvmsr/tvmsr-device-arm: Exec format error", "the server is for another kind of CPU"),
        ("cat: write error: No space left on device", "its disk is full"),
        ("hello", ""),
    ],
)
def test_what_a_shell_there_complains_of(said: str, sentence: str) -> None:
    words, _, version = sentence.partition(" .* ")
    found = meaning((), f"motd\n{said}\n", "ssh pi")
    assert found.startswith(words) and found.endswith(version) and bool(found) == bool(sentence)
