"""One client on standard input and output, as ssh gives them."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.devices.server import handshake
from tests.devices.server.conftest import ALL, SECONDS, alive, program_for, wait_until
from tests.devices.server.stock import client

psutil = pytest.importorskip("psutil", reason="needs psutil: pip install psutil")


def _stdio(kind: str, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*program_for(kind).command, "--stdio", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


@pytest.mark.parametrize("kind", ALL)
def test_stdio_over_a_socket(kind: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        command = [*program_for(kind).command, "--stdio", "--key", "k", "--folder", str(tmp_path / "s")]
        relay = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import socket, subprocess, sys\ns = socket.socket(fileno=int(sys.argv[1])); c, _ = s.accept()\n"
                "s.close(); p = subprocess.Popen(sys.argv[2:], stdin=c, stdout=c); c.close(); sys.exit(p.wait())",
                str(door.fileno()),
                *command,
            ],
            pass_fds=[door.fileno()],
        )
        with client(door.getsockname()[1], "k") as remote:
            remote.upload(bytearray(b"there"), "x")
            assert bytes(remote.download("x")) == b"there"
    assert relay.wait(SECONDS) == 0
    assert not list((tmp_path / "s").iterdir())


@pytest.mark.parametrize("kind", ALL)
def test_stdio_over_pipes(kind: str) -> None:
    with _stdio(kind, "--key", "k") as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(handshake.hello("client:k"))
        process.stdin.flush()
        assert handshake.welcome(process.stdout) == "server:k"
        wait_until(lambda: len(psutil.Process(process.pid).children(recursive=True)) == 2)
        children = psutil.Process(process.pid).children(recursive=True)
        for child in children if kind == "native" else children[1:]:  # without its keeper that is a second less
            child.suspend()
        begin = time.monotonic()
        process.stdin.close()
        assert process.wait(SECONDS) == 0 and time.monotonic() - begin < 4
        wait_until(lambda: not any(map(alive, children)), 1)


def test_stdio_reader_gone() -> None:
    with _stdio("native") as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(handshake.hello("client:"))
        process.stdin.flush()
        handshake.welcome(process.stdout)
        process.stdout.close()
        assert process.wait(SECONDS) == 0
        process.stdin.close()


@pytest.mark.parametrize("said", [handshake.hello("client:other"), b"nonsense", b""])
def test_stdio_refused(said: bytes) -> None:
    with _stdio("native", "--key", "k") as process:
        out, _ = process.communicate(said, timeout=SECONDS)
        assert process.returncode == 1
        assert out == (struct.pack("<i", handshake.MISMATCH) if b"client" in said else b"")
