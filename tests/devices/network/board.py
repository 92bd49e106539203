"""A device's server in a place: started, killed, started again, and checked for what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.devices.network.net import Place
from tvmsr.devices.closing import Closing
from tvmsr.devices.reach import Direct
from tvmsr.devices.rpc.device import RpcDevice

KEY = "board"

#: Seconds until a server listens, and until what a session leaves must be gone.
_START, _CLEAN = 20.0, 5.0

#: In the environment of a server and so of everything that it starts.
_MARK = "TVMSR_TEST_BOARD"


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for it; AssertionError that says `what` is so after that time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} after {seconds:g} s"
        time.sleep(0.01)


class Board(Closing):
    """The server `command` in `place`, on a port that stays the same, with a token, and folders below `folder`."""

    def __init__(self, place: Place, command: Sequence[str | Path], folder: Path, *options: str) -> None:
        self.place = place
        self.port = 0
        self._command = [str(word) for word in command]
        self._options = options
        folder.mkdir(parents=True)
        self._sessions = folder / "sessions"
        self._log = folder / "log"
        self.token_file = folder / "token"
        self.token_file.touch(0o600)
        self.token_file.write_text(secrets.token_urlsafe() + "\n")
        self._mark = f"{_MARK}={secrets.token_hex(8)}"
        self._front: subprocess.Popen[str] | None = None
        try:
            self.start()
        except BaseException:
            self.destroy()
            raise

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    def start(self) -> None:
        listen = f"{self.place.address}:{self.port}"
        command = [*self._command, "--listen", listen, "--key", KEY, "--token-file", str(self.token_file)]
        command += ["--folder", str(self._sessions), *self._options]
        name, value = self._mark.split("=")
        with self._log.open("a") as log, self.place.entered():
            self._front = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, name: value}
            )
        assert self._front.stdout is not None
        ready, _, _ = select.select([self._front.stdout], [], [], _START)
        line = self._front.stdout.readline() if ready else ""
        assert line.startswith("listening on "), f"the server did not start: {self.log()}"
        self.port = int(line.rsplit(":", 1)[1])

    def device(self, *, turn: float = 60.0) -> RpcDevice:
        """A client of it, for whoever connects in a place of his."""
        reach = Direct(self.place.address, self.port, KEY, str(self.token_file), turn=turn)
        return RpcDevice(self.place.name, reach)

    @property
    def pid(self) -> int:
        assert self._front is not None
        return self._front.pid

    def session_pid(self) -> int:
        """Process of the session that began last."""
        return int(re.findall(r"process (\d+)", self.log())[-1])

    def kill(self) -> None:
        """SIGKILL of the front."""
        assert self._front is not None
        self._front.kill()
        self._end()

    def log(self) -> str:
        return self._log.read_text()

    def processes(self) -> set[int]:
        """All that belong to it, the front too."""
        return {int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if self._marked(path)}

    def _marked(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            return self._mark.encode() in path.read_bytes().split(b"\0")
        return False

    def session_files(self) -> list[Path]:
        """Folders of sessions, of this server or one before it."""
        return list(self._sessions.glob("*"))

    def check_idle(self) -> None:
        """No session: AssertionError where a process or a folder of one stays."""
        log = f"; the server's log: {self.log()[-2000:]}"
        until(lambda: not self.session_files(), _CLEAN, f"files of sessions are left in {self._sessions}{log}")
        until(lambda: self.processes() <= {self.pid}, _CLEAN, f"processes of sessions are left{log}")

    def stop(self) -> None:
        """End it as a user does."""
        assert self._front is not None
        self._front.send_signal(signal.SIGTERM)
        code = self._end()
        assert code == 0, f"the server ended with {code}: {self.log()[-2000:]}"

    def close(self) -> None:
        """See that no session is left, end the server, and see that nothing is left."""
        if self._front is not None:
            self.check_idle()
            self.stop()
        until(lambda: not self.processes(), _CLEAN, f"processes outlive the server: {self.log()[-2000:]}")
        assert not self.session_files(), f"the server left {self.session_files()}"

    def _end(self) -> int:
        assert self._front is not None and self._front.stdout is not None
        try:
            code = self._front.wait(10)
        except subprocess.TimeoutExpired:
            self._front.kill()
            code = self._front.wait()
        self._front.stdout.close()
        self._front = None
        return code

    def destroy(self) -> None:
        """End everything, whatever the state: after a test that failed."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._front is not None:
            self._end()

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.destroy()
