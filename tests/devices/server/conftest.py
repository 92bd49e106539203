"""Both servers: tvmsr-device for the CPU here and for emulated ones, and `tvmsr device serve`; built and running."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.devices.conftest import need_emulator
from tvmsr.commands.devices.serve import environment, serve_command
from tvmsr.devices.qemu import ARCHITECTURES
from tvmsr.devices.server.build import device_program

SECONDS = 30

#: tvmsr-device of this CPU and of emulated ones.
ALL = ("native", "aarch64", "arm")

#: `tvmsr device serve`: the same front, and Python's sessions.
PYTHON = "python"

#: Each kind of session once, and all there are.
BOTH = ("native", PYTHON)
EVERY = (*ALL, PYTHON)

NATIVE_TRIPLE = f"{platform.machine()}-linux-gnu.2.17"


@dataclass(frozen=True)
class Program:
    """How a server is run: its command, what comes behind the options, and how many processes wait for a client."""

    kind: str
    triple: str
    path: Path
    command: tuple[str, ...]
    tail: tuple[str, ...] = ()
    spare: int = 0


def triple_of(kind: str) -> str:
    return ARCHITECTURES[kind].triple if kind in ARCHITECTURES else NATIVE_TRIPLE


_builder = ThreadPoolExecutor(2)
_built: dict[str, Future[Path]] = {}


def build(kind: str) -> Future[Path]:
    """Begin to build tvmsr-device, two at a time."""
    if kind not in _built:
        _built[kind] = _builder.submit(device_program, triple_of(kind))
    return _built[kind]


@pytest.fixture(scope="session", autouse=True)
def builds(request: pytest.FixtureRequest) -> None:
    """What the tests of this run will need is built while the first ones run."""
    wanted = {getattr(item, "callspec", None) and item.callspec.params.get("kind") for item in request.session.items}
    for kind in ALL:
        with suppress(pytest.skip.Exception):
            if kind in wanted and kind != "native":
                need_emulator(kind)
            if kind in wanted:
                build(kind)


def program_for(kind: str) -> Program:
    """One of EVERY; skips the test where an emulator is missing."""
    if kind == PYTHON:
        words = serve_command()
        at = words.index("--session-command")
        return Program(kind, NATIVE_TRIPLE, Path(words[0]), (words[0],), tuple(words[at:]), 1)
    if kind == "native":
        path = build(kind).result()
        return Program(kind, NATIVE_TRIPLE, path, (str(path),))
    need_emulator(kind)
    row = ARCHITECTURES[kind]
    root = next(root for root in row.roots if Path(root, row.loader).exists())
    path = build(kind).result()
    return Program(kind, row.triple, path, (row.emulators[0], "-L", str(root), str(path)))


class Server:
    """A running server."""

    def __init__(self, program: Program, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.program = program
        self.folder = folder / "sessions"
        self.log = folder / "server.log"
        self.log_file = self.log.open("w")
        words = [*program.command, *options]
        if "--folder" not in options:
            words += ["--folder", str(self.folder)]
        if "--listen" not in options:
            words += ["--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [*words, *program.tail],
            stdout=subprocess.PIPE,
            stderr=self.log_file,
            text=True,
            env={**(env or os.environ), **environment()},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), self.log.read_text()
        self.address = line.removeprefix("listening on ").strip()
        self.pid = self.process.pid

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def processes(self) -> list[Any]:
        """Those of sessions and their keepers, and those that wait for a client, as psutil has them."""
        import psutil

        return psutil.Process(self.pid).children(recursive=True)

    def sessions(self) -> list[Any]:
        """The sessions' own processes, as they began."""
        import psutil

        found = []
        for number in re.findall(r"session \d+: .*, process (\d+)$", self.log.read_text(), re.MULTILINE):
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(number)))
        return found

    def session(self) -> Any:
        """The one that began last."""
        wait_until(self.sessions)
        return self.sessions()[-1]

    def files(self) -> list[Path]:
        return list(self.folder.rglob("*"))

    def idle(self) -> bool:
        """Whether no session is there, and nothing of one."""
        spare = self.program.spare
        return len(self.processes()) == 2 * spare and len(self.files()) == spare

    def close(self) -> int:
        self.process.terminate()
        code = self.process.wait(SECONDS)
        self.process.stdout.close()
        self.log_file.close()
        return code


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """serve(*options, kind="native") -> Server; ended with the test."""
    with ExitStack() as stack:

        def start(*options: str, kind: str = "native", env: dict[str, str] | None = None) -> Server:
            folder = tmp_path / f"server{len(list(tmp_path.glob('server*')))}"
            folder.mkdir()
            server = Server(program_for(kind), folder, *options, env=env)
            stack.callback(_end, server)
            return server

        yield start


def _end(server: Server) -> None:
    if server.process.poll() is None:
        server.close()


def alive(process: Any) -> bool:
    """Whether one of psutil's runs; what nobody has asked how it ended does not."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextmanager
def patience(seconds: float = 10) -> Iterator[Callable[[], bool]]:
    """`while more(): ...` fails the test after `seconds`."""
    end = time.monotonic() + seconds

    def more() -> bool:
        if time.monotonic() > end:
            pytest.fail(f"did not happen within {seconds} s")
        time.sleep(0.02)
        return True

    yield more


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    with patience(seconds) as more:
        while not condition():
            more()
