"""The front and the C of its sessions under AddressSanitizer and UBSan, with gcc or clang and strict warnings."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.devices.server import handshake
from tests.devices.server.conftest import PYTHON, Program, Server, program_for, wait_until
from tvmsr.artifact.link import INCLUDE
from tvmsr.devices import program as host
from tvmsr.devices.reach.sockets import connect
from tvmsr.devices.rpc.client import RpcSession
from tvmsr.devices.server import build

FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
HERE = Path(__file__).parent

#: A process whose memory others may not read cannot be searched for leaks.
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0"}


def _compile(out: Path, *words: str | Path) -> Path:
    compiler = next((name for name in ("clang", "gcc", "cc") if shutil.which(name)), None)
    if compiler is None and os.environ.get("CI"):
        pytest.fail("no C compiler: sanitizers may not be skipped in CI")
    if compiler is None:
        pytest.skip("needs gcc or clang with sanitizers; ziglang has none")
    includes = [f"-I{folder}" for folder in (build.HERE, host.SOURCES, INCLUDE)]
    defines = [f"-D{define}" for define in build.front_defines()]
    command = [compiler, *FLAGS, *SANITIZE, *includes, *defines, *words, "-o", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Program:
    path = _compile(tmp_path_factory.mktemp("sanitized") / "front", *build.front_sources())
    return replace(program_for(PYTHON), path=path, command=(str(path),))


def test_front(front: Program, tmp_path: Path) -> None:
    """Clients that are right, wrong, slow, gone, too many, random; a session that ends in each way; the end."""
    random = np.random.default_rng(11)
    token = tmp_path / "token"
    token.write_text("a-token-of-this-test\n")
    token.chmod(0o600)
    key = "board:a-token-of-this-test"
    options = ("--key", "board", "--token-file", str(token), "--queue", "4", "--idle", "1", "--sessions", "2")
    options += ("--memory", str(1 << 30))  # the sanitizer's own is large
    server = Server(front, tmp_path, *options, "--tracker", "127.0.0.1:1", env={**os.environ, **ENVIRONMENT})
    server.close()
    server = Server(front, tmp_path, *options, env={**os.environ, **ENVIRONMENT})
    try:
        for word in ("client:board", "client:" + "x" * 1000, "", "client:" + key + " -timeout=nan -timeout=1e300"):
            handshake.connect(server.port, word).close()
        for size in (0, 1, 7, 8, 9, 1023, 1024, 5000):
            with socket.create_connection(("127.0.0.1", server.port)) as made:
                made.sendall(struct.pack("<ii", handshake.MAGIC, size) + random.bytes(size))
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", server.port)) as made:
                made.sendall(random.bytes(int(random.integers(1, 60))))
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
        with RpcSession(connect("board", "127.0.0.1", server.port), key) as session:
            session.upload("a/b/c", bytes(1000))
            session.upload("a/b/c", bytes(10))
            waiting = [handshake.connect(server.port, f"client:{key} -timeout=1") for _ in range(7)]
            folder = Path(session.upload("x", b"")).parent
            (folder / "link").symlink_to("/")
            (folder / "deep" / "deeper").mkdir(parents=True)
        with handshake.connect(server.port, f"client:{key}") as made:
            handshake.code(made)
        for one in (*slow, *waiting):
            one.close()
        wait_until(server.idle)
        with RpcSession(connect("board", "127.0.0.1", server.port), key) as session:
            server.session().parent().kill()
            wait_until(lambda: "ended by signal 9" in server.log.read_text())
    finally:
        assert server.process.poll() is None, server.log.read_text()
        assert server.close() == 0, server.log.read_text()
    text = server.log.read_text()
    assert "runtime error" not in text and "AddressSanitizer" not in text, text
    assert not server.files()


def test_transfer_and_channel(tmp_path: Path) -> None:
    """Names that are tried on files, and packets that are cut into pieces: transfer_check.c."""
    sources = [build.HERE / name for name in ("transfer.c", "channel.c", "log.c")]
    program = _compile(tmp_path / "check", *sources, HERE / "transfer_check.c", "-pthread")
    (tmp_path / "files").mkdir()
    (tmp_path / "secret").write_text("untouched")
    done = subprocess.run(
        [program, tmp_path / "files"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ENVIRONMENT},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "ok\n" and (tmp_path / "secret").read_text() == "untouched"
