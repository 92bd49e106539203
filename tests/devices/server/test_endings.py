"""How sessions end: nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.devices.server import handshake
from tests.devices.server.conftest import BOTH, PYTHON, SECONDS, Program, Serve, alive, program_for, wait_until
from tests.devices.server.stock import client
from tvmsr.artifact.zig import run_tool, zig_command
from tvmsr.devices.reach.sockets import connect
from tvmsr.devices.rpc.client import RpcSession

psutil = pytest.importorskip("psutil", reason="needs psutil: pip install psutil")


@pytest.mark.parametrize("kind", BOTH)
def test_client_gone_while_frozen(serve: Serve, kind: str) -> None:
    """A session that hangs goes with its client: the next one is served at once."""
    server = serve(kind=kind)
    first = handshake.connect(server.port, "client:")
    handshake.welcome(first)
    session = server.session()
    for process in (session, session.parent()):
        process.suspend()
    second = handshake.connect(server.port, "client:")
    begin = time.monotonic()
    first.close()
    assert handshake.welcome(second) == "server:"
    assert time.monotonic() - begin < 5
    second.close()
    wait_until(server.idle)
    assert not alive(session)


def test_session_time(serve: Serve) -> None:
    server = serve("--session-time", "1")
    with handshake.connect(server.port, "client:") as made:
        handshake.welcome(made)
        assert handshake.exception(made).startswith("RPCSessionTimeoutError: ")
        assert handshake.read(made, 1) == b""
    with handshake.connect(server.port, "client: -timeout=0.2") as made:
        handshake.welcome(made)
        begin = time.monotonic()
        assert handshake.exception(made).startswith("RPCSessionTimeoutError: ")
        assert time.monotonic() - begin < 0.9


def test_stock_client_understands_session_time(serve: Serve) -> None:
    with client(serve(kind=PYTHON).port, seconds=1) as remote:
        path = remote.get_function("tvm.rpc.server.workpath")
        time.sleep(1.5)
        with pytest.raises(Exception, match=r"RPCSessionTimeoutError|session's 1 s"):
            path("")


@pytest.mark.parametrize("kind", BOTH)
def test_crash_is_told(serve: Serve, kind: str) -> None:
    server = serve(kind=kind)
    with handshake.connect(server.port, "client:") as made:
        handshake.welcome(made)
        server.session().send_signal(signal.SIGSEGV)
        assert "ended by signal 11" in handshake.exception(made)
    wait_until(server.idle)


@pytest.mark.parametrize("kind", BOTH)
def test_children_of_a_session_end_with_it(serve: Serve, kind: str, tmp_path: Path) -> None:
    """A process that the client's code started, and files that it left in folders nobody may read."""
    library, source = tmp_path / "fork.so", tmp_path / "fork.c"
    source.write_text(
        "#include <unistd.h>\n#include <sys/stat.h>\n#include <fcntl.h>\n"
        "int __tvm_ffi_fork_me(void *s, const void *a, int n, int *r) {\n"
        '    for (int i = 0; i < 300; i++) { mkdir("deep", 0700); chdir("deep"); close(creat("f", 0)); }\n'
        '    chmod("../deep", 0);\n    if (fork() == 0) for (;;) pause();\n'
        "    *r = 0; return 0; }\n"
    )
    triple = program_for("native").triple
    run_tool([*zig_command("cc"), "-target", triple, "-shared", "-fPIC", "-w", source, "-o", library], "compiling")
    server = serve(kind=kind)
    with client(server.port) as remote:
        remote.upload(str(library))
        remote.load_module("fork.so")["fork_me"]()
        started = server.session().children()
        assert len(started) == 1
    wait_until(lambda: not any(alive(p) for p in started))
    wait_until(server.idle)


@pytest.mark.parametrize("kind", BOTH)
def test_sigterm(serve: Serve, kind: str) -> None:
    server = serve("--sessions", "2", kind=kind)
    made = [handshake.connect(server.port, "client:") for _ in range(2)]
    for one in made:
        handshake.welcome(one)
    wait_until(lambda: len(server.sessions()) == 2)
    processes = server.processes()
    assert len(processes) >= 4
    server.session().parent().suspend()
    begin = time.monotonic()
    assert server.close() == 0 and time.monotonic() - begin < 3
    assert not any(alive(p) for p in processes) and not server.files()
    for one in made:
        assert "the server on the device was ended" in handshake.exception(one)
        one.close()


@pytest.mark.parametrize("kind", ["native", "aarch64", PYTHON])
@pytest.mark.parametrize("frozen", [False, True])
def test_killed_server_leaves_nothing(serve: Serve, frozen: bool, kind: str) -> None:
    server = serve(kind=kind)
    with handshake.connect(server.port, "client:") as made:
        handshake.welcome(made)
        session = server.session()
        # The next spare process too: a server that is killed while it makes one leaves a folder to the next server.
        wait_until(lambda: len(server.processes()) == 2 * (1 + server.program.spare))
        processes = server.processes()
        assert session in processes and session.parent() in processes
        if frozen:
            session.suspend()
        server.process.kill()
        server.process.wait(SECONDS)
        assert handshake.read(made, 1) == b""
        wait_until(lambda: not any(alive(p) for p in processes))
        wait_until(lambda: not server.files())


def test_stale_folders_are_removed(serve: Serve) -> None:
    server = serve()
    with handshake.connect(server.port, "client:") as made:
        handshake.welcome(made)
        keeper = server.session().parent()
        processes = server.processes()
        server.process.send_signal(signal.SIGSTOP)  # it would clear away itself
        keeper.kill()
        server.process.kill()
        server.process.wait(SECONDS)
        wait_until(lambda: not any(alive(p) for p in processes))  # who dies still holds the folder
    assert server.files()
    again = serve("--folder", str(server.folder))
    assert not server.files()
    again.close()


#: A library whose function starts a process that does all to be forgotten, and writes down its number.
_DAEMON = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int __tvm_ffi_stay(void *s, const void *a, int n, int *r) {
    *r = 0;
    if (fork() != 0) return 0;
    setsid();
    if (fork() != 0) _exit(0);
    chdir("/");
    int file = open("PIDS", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dprintf(file, "%d\\n", (int)getpid());
    for (int fd = 0; fd < 256; fd++) close(fd);
    char *none[] = {NULL};
    if (EXEC) execle("/bin/sleep", "sleep", "600", (char *)NULL, none);
    for (int i = 0; i < 600; i++) sleep(1);
    _exit(0);
}
"""


def _daemon(program: Program, folder: Path, *, execs: bool) -> Path:
    source, library = folder / "stay.c", folder / "stay.so"
    source.write_text(_DAEMON.replace("PIDS", str(folder / "pids")).replace("EXEC", str(int(execs))))
    run_tool(
        [*zig_command("cc"), "-target", program.triple, "-shared", "-fPIC", "-w", source, "-o", library], "compiling"
    )
    return library


def _daemons(folder: Path) -> list[psutil.Process]:
    """Those that started and are there."""
    file, found = folder / "pids", []
    for number in file.read_text().split() if file.exists() else []:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(int(number)))
    return [process for process in found if alive(process)]


@pytest.mark.parametrize(("kind", "execs"), [("native", False), ("native", True), ("aarch64", False), (PYTHON, True)])
@pytest.mark.parametrize("killed", [False, True])
def test_daemons_of_a_session_end_with_it(serve: Serve, tmp_path: Path, kind: str, execs: bool, killed: bool) -> None:
    """fork, setsid, fork: with the session, and where the server is killed, too."""
    server = serve(kind=kind)
    library = _daemon(server.program, tmp_path, execs=execs)
    with RpcSession(connect("board", "127.0.0.1", server.port), "") as session:
        session.upload("stay.so", library.read_bytes())
        session.call(session.function_of(session.load("stay.so"), "stay"))
        wait_until(lambda: _daemons(tmp_path))
        if killed:
            server.process.kill()
            server.process.wait(SECONDS)
    wait_until(lambda: not _daemons(tmp_path), 5)
    wait_until(lambda: not server.files() if killed else server.idle())


def test_daemon_of_one_session_lives_while_others_end(serve: Serve, tmp_path: Path) -> None:
    server = serve("--sessions", "2")
    library = _daemon(server.program, tmp_path, execs=True)
    with RpcSession(connect("board", "127.0.0.1", server.port), "") as session:
        session.upload("stay.so", library.read_bytes())
        session.call(session.function_of(session.load("stay.so"), "stay"))
        wait_until(lambda: _daemons(tmp_path))
        RpcSession(connect("board", "127.0.0.1", server.port), "").close()
        wait_until(lambda: "session 2: over" in server.log.read_text())
        assert _daemons(tmp_path)
    wait_until(lambda: not _daemons(tmp_path), 5)
    wait_until(server.idle)


def test_children_that_were_there_before_stay(tmp_path: Path) -> None:
    """A shell that becomes the server may have started others."""
    program = program_for("native")
    script = f"sleep 600 & echo $! > {tmp_path}/other; exec {program.path} --listen 127.0.0.1:0 --folder {tmp_path}/s"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as front:
        try:
            assert front.stdout is not None
            port = int(front.stdout.readline().rsplit(":", 1)[1])
            other = psutil.Process(int((tmp_path / "other").read_text()))
            library = _daemon(program, tmp_path, execs=False)
            with RpcSession(connect("board", "127.0.0.1", port), "") as session:
                session.upload("stay.so", library.read_bytes())
                session.call(session.function_of(session.load("stay.so"), "stay"))
                wait_until(lambda: _daemons(tmp_path))
            wait_until(lambda: not _daemons(tmp_path), 5)
            wait_until(lambda: not list((tmp_path / "s").iterdir()))
            assert alive(other)
        finally:
            front.terminate()
            assert front.wait(SECONDS) == 0
        other.kill()


def test_daemon_whose_server_and_keeper_were_killed(serve: Serve, tmp_path: Path) -> None:
    """The next server ends what still runs code of the folder that it removes."""
    server = serve()
    library = _daemon(server.program, tmp_path, execs=False)
    with RpcSession(connect("board", "127.0.0.1", server.port), "") as session:
        session.upload("stay.so", library.read_bytes())
        session.call(session.function_of(session.load("stay.so"), "stay"))
        wait_until(lambda: _daemons(tmp_path))
        keeper = server.session().parent()
        server.process.send_signal(signal.SIGSTOP)
        keeper.kill()
        server.process.kill()
        server.process.wait(SECONDS)
    assert _daemons(tmp_path) and server.files()
    again = serve("--folder", str(server.folder))
    assert not server.files()
    wait_until(lambda: not _daemons(tmp_path), 2)
    again.close()


def test_folder_that_cannot_be_removed(serve: Serve) -> None:
    """What is mounted in it stays, and the server goes on."""
    server = serve()
    with client(server.port) as remote:
        inside = Path(remote.get_function("tvm.rpc.server.workpath")("")) / "a" / "b"
        inside.mkdir(parents=True)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", inside], check=False).returncode != 0:
            pytest.skip("needs root that may mount")
    try:
        wait_until(lambda: "files are left in" in server.log.read_text())
        with client(server.port) as remote:
            assert remote.get_function("tvm.rpc.server.workpath")("")
    finally:
        (mounted,) = (p for p in server.folder.rglob("*") if p.is_mount())
        subprocess.run(["umount", mounted], check=True)


def test_session_program_that_does_not_start(tmp_path: Path) -> None:
    program = program_for(PYTHON)
    command = [*program.command, "--listen", "127.0.0.1:0", "--folder", tmp_path / "s", "--session-command", "false"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1 and "it ended 3 times; the server ends too" in done.stderr
    assert not list((tmp_path / "s").iterdir())
