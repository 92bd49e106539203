"""Whom the servers serve, and who waits."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.devices.server import handshake
from tests.devices.server.conftest import BOTH, SECONDS, Serve, program_for, wait_until
from tests.devices.server.stock import client, rpc
from tvmsr.commands.devices.serve import environment
from tvmsr.devices.rpc.wire import init_packet

psutil = pytest.importorskip("psutil", reason="needs psutil: pip install psutil")


@pytest.mark.parametrize("kind", BOTH)
def test_wrong_key(serve: Serve, kind: str) -> None:
    server = serve("--key", "board", kind=kind)
    for word in ("client:", "client:boarD", "client:board:", "server:board", "board", ""):
        with handshake.connect(server.port, word) as made:
            assert handshake.code(made) == handshake.MISMATCH
            assert handshake.code(made) is None
    with handshake.connect(server.port, "client:board -timeout=5 -other") as made:
        assert handshake.welcome(made) == "server:board"
    with pytest.raises(Exception, match="cannot find server"):
        rpc.connect("127.0.0.1", server.port, key="bored")


@pytest.mark.parametrize("way", ["file", "environment"])
@pytest.mark.parametrize("kind", BOTH)
def test_token(serve: Serve, kind: str, tmp_path: Path, way: str) -> None:
    token = "s3cret-token-of-the-test"
    file = tmp_path / "token"
    file.write_text(token + "\n")
    file.chmod(0o600)
    options = ["--token-file", str(file)] if way == "file" else []
    env = {**os.environ, "TVMSR_TOKEN": token} if way == "environment" else None
    server = serve("--key", "board", *options, env=env, kind=kind)
    for word in (
        "client:board",
        "client:board:",
        f"client:board:{token}x",
        f"client:board:{token[:-1]}",
        f"client:{token}",
    ):
        with handshake.connect(server.port, word) as made:
            assert handshake.code(made) == handshake.MISMATCH
    with client(server.port, f"board:{token}") as remote:
        processes = [psutil.Process(server.pid), *server.processes()]
        assert len(processes) > 2 and remote.get_function("tvm.rpc.server.workpath")
        assert all(token not in " ".join(p.environ().values()) for p in processes)
        assert not any(_remembers(p.pid, token.encode()) for p in server.processes())
    server.close()
    assert token not in server.log.read_text()


def _remembers(pid: int, word: bytes) -> bool:
    """Whether it is in what can be read of a process's data and stack."""
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" not in line.split()[1]:
                continue
            with suppress(OSError):
                memory.seek(begin)
                if word in memory.read(end - begin):
                    return True
    return False


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
@pytest.mark.parametrize("kind", BOTH)
def test_open_to_others_needs_a_token(kind: str, listen: str) -> None:
    done = subprocess.run(
        [*program_for(kind).command, "--listen", listen, *program_for(kind).tail],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert "needs a token: give --token-file, or listen on 127.0.0.1" in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--sessions", "0"], "a whole number from 1"),
        (["--nothing", "1"], "--nothing is no option"),
        (["--key"], "--key needs a value"),
        (["--key", "a b"], "may have no blanks"),
        (["--stdio", "--listen", "127.0.0.1:0"], "exclude each other"),
        (["--tracker", "127.0.0.1:1"], "needs --key"),
        (["--token-file", "/nowhere"], "No such file"),
        (["--idle", "0"], "--idle 0: a whole number from 1"),
        (["--advertise", "host"], "--advertise needs --tracker"),
        (["--tracker", "127.0.0.1:1", "--key", "k", "--advertise", 'a"b'], "needs a host's name or address"),
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_wrong_options(kind: str, words: list[str], text: str) -> None:
    done = subprocess.run(
        [*program_for(kind).command, *words, *(program_for(kind).tail if words[-1] != "--key" else ())],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2 and text in done.stderr


@pytest.mark.parametrize("kind", BOTH)
def test_unix_socket(serve: Serve, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = serve("--listen", f"unix:{path}", kind=kind)
    assert server.address == f"unix:{path}" and path.stat().st_mode & 0o077 == 0
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(str(path))
        made.sendall(handshake.hello("client:"))
        assert handshake.welcome(made) == "server:"
    server.process.kill()
    server.process.wait(SECONDS)
    again = serve("--listen", f"unix:{path}", kind=kind)
    again.close()
    assert not path.exists()


def test_unix_socket_of_another_user(serve: Serve, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    name = f"@tvmsr-test-{os.getpid()}"
    server = serve("--listen", f"unix:{name}")
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX) as made:
            made.connect("\0" + name[1:])
            os._exit(0 if handshake.read(made, 1) == b"" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    wait_until(lambda: "a client of another user was refused" in server.log.read_text())


@pytest.mark.parametrize("kind", BOTH)
def test_queue_is_first_come_first_served(serve: Serve, kind: str) -> None:
    server = serve(kind=kind)
    waiting = [handshake.connect(server.port, "client:") for _ in range(20 if kind == "native" else 6)]
    assert handshake.welcome(waiting[0]) == "server:"
    waiting[3].close()
    del waiting[3]
    while waiting:
        waiting.pop(0).close()
        if waiting:
            assert handshake.welcome(waiting[0]) == "server:"
    wait_until(server.idle)


@pytest.mark.parametrize("kind", BOTH)
def test_sessions_at_once(serve: Serve, kind: str) -> None:
    server = serve("--sessions", "3", kind=kind)
    made = [handshake.connect(server.port, "client:") for _ in range(4)]
    for one in made[:3]:
        assert handshake.welcome(one) == "server:"
    assert len(server.sessions()) == 3 and len({p.pid for p in server.sessions()}) == 3
    made[3].settimeout(0.5)
    with pytest.raises(TimeoutError):
        made[3].recv(1)
    made[3].settimeout(SECONDS)
    made[1].close()
    assert handshake.welcome(made[3]) == "server:"
    for one in made:
        one.close()


def test_strangers_do_not_hold_up_clients(serve: Serve) -> None:
    server = serve("--queue", "8")
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    for one in slow:
        one.sendall(b"\x71")
    with handshake.connect(server.port, "client:") as made:
        assert handshake.welcome(made) == "server:"
    for one in slow:
        one.settimeout(SECONDS)
        assert one.recv(1) == b""
        one.close()


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"\x71\xf2\x0f\x00\xff\xff\xff\x7f", b"\x71\xf2\x0f\x00\xff\xff\xff\xff"]
)
@pytest.mark.parametrize("kind", BOTH)
def test_what_is_no_client(serve: Serve, kind: str, said: bytes) -> None:
    server = serve(kind=kind)
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as made:
        made.sendall(said)
        assert handshake.code(made) is None
    with handshake.connect(server.port, "client:") as made:
        assert handshake.welcome(made) == "server:"


@pytest.mark.parametrize("kind", BOTH)
def test_random_frames_end_one_session(serve: Serve, kind: str) -> None:
    server = serve(kind=kind)
    random = np.random.default_rng(5)
    for size in (8, 12, 40, 4000):
        with handshake.connect(server.port, "client:") as made:
            handshake.welcome(made)
            made.sendall(struct.pack("<Q", size) + random.bytes(size) + random.bytes(1000))
    with handshake.connect(server.port, "client:") as made:
        handshake.welcome(made)
        made.sendall(struct.pack("<Q", 1 << 62))
        assert handshake.read(made, 100) in {b"", struct.pack("<Qi", 4, 1)}  # TVM's word for good-bye
    with client(server.port) as remote:
        assert remote.get_function("tvm.rpc.server.workpath")("x")


@pytest.mark.parametrize("at_once", [False, True])
def test_full_queue(serve: Serve, at_once: bool) -> None:
    """Also where the last that fits and the first that does not come in one go, so that neither was read before."""
    server = serve("--queue", "2")
    with handshake.connect(server.port, "client:") as first:
        handshake.welcome(first)
        files = Path(f"/proc/{server.pid}/fd")
        before = len(list(files.iterdir()))
        waiting = [handshake.connect(server.port, "client:")]
        wait_until(lambda: len(list(files.iterdir())) > before)
        if at_once:
            os.kill(server.pid, signal.SIGSTOP)
        waiting.append(handshake.connect(server.port, "client:"))
        with handshake.connect(server.port, "client:") as more:
            if at_once:
                os.kill(server.pid, signal.SIGCONT)
            assert handshake.code(more) is None
        wait_until(lambda: "the queue is full" in server.log.read_text())
    for one in waiting:
        assert handshake.welcome(one) == "server:"
        one.close()


def test_short_token_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("fifteen-letters\n")
    command = [*program_for("native").command, "--token-file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2 and "one word of 16 to 512" in done.stderr


@pytest.mark.parametrize("kind", BOTH)
def test_what_a_session_inherits(serve: Serve, kind: str) -> None:
    """Nothing that whoever started the server left open, whatever its number."""
    reader, writer = os.pipe()
    high = os.dup2(writer, 900)
    os.set_inheritable(high, True)
    program = program_for(kind)
    shell = ["sh", "-c", f"exec {' '.join(program.command)} --listen 127.0.0.1:0 {' '.join(program.tail)}"]
    with subprocess.Popen(
        shell, stdout=subprocess.PIPE, text=True, pass_fds=[high], env={**os.environ, **environment()}
    ) as front:
        os.close(high)
        os.close(writer)
        assert front.stdout is not None
        try:
            port = int(front.stdout.readline().rsplit(":", 1)[1])
            with handshake.connect(port, "client:") as made:
                handshake.welcome(made)
                os.set_blocking(reader, False)
                assert os.read(reader, 1) == b"", "somebody still has it"
        finally:
            front.terminate()
            assert front.wait(SECONDS) == 0
    os.close(reader)


def test_log_is_one_line_an_event(serve: Serve) -> None:
    server = serve()
    with handshake.connect(server.port, "client:") as made:
        handshake.welcome(made)
        made.sendall(b"".join(init_packet()))
        assert handshake.read(made, 12)
        made.sendall(struct.pack("<QI", 4, 11))  # a code that there is not
        handshake.read(made, 100)
    wait_until(server.idle)
    lines = server.log.read_text().splitlines()
    assert len(lines) > 2
    assert all(line[8:22] == " tvmsr-device:" and line.isprintable() for line in lines), lines
