"""Devices behind a shell: the server is copied there once, runs as long as the connection, and speaks through it.

Nothing listens anywhere, here or there. One connection does for a device that has the server: the script that looks at
the machine becomes the server. What stays there is the server's file.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tvmsr.devices.channel import ProcessChannel
from tvmsr.devices.reach.far import (
    FarSide,
    Folders,
    Script,
    answers,
    choose_script,
    gathered,
    look_script,
    marked,
    program_for,
    remove_script,
    settle_script,
    start_script,
)
from tvmsr.devices.reach.shell import BRIEF, Done, for_login_shell, run_client, words
from tvmsr.devices.reach.sockets import SILENCE
from tvmsr.devices.rpc.client import RpcSession
from tvmsr.errors import DeviceError, WorkError

#: Seconds until the other side has logged us in and said what it is; a small board under load takes its time.
LOGIN = 30.0

#: Bytes that banners and profiles may print before what we look for.
_MOST_CHATTER = 1 << 18

#: Seconds for a copy of the server, some 4 MB: a slow line has 20 kB/s.
_COPY = 240.0

Meanings = Sequence[tuple[str, str]]


class ThroughShell:
    """A Reach by a client of this machine that runs commands there. triple: of programs there, where it is known.

    Subclasses say how the client is called and what its errors mean.
    """

    one_machine = True
    client = ""
    meanings: Meanings = ()
    folders: Folders = ()

    def __init__(self, triple: str = "") -> None:
        self._triple = triple
        self._far: FarSide | None = None
        self.notes: tuple[str, ...] = ()
        #: Whether the server was copied there by this object.
        self.installed = False

    @property
    def triples(self) -> tuple[str, ...]:
        known = (self._triple,) if self._triple else ()
        return tuple(dict.fromkeys((*known, *(self._far.triples if self._far is not None else ()))))

    def command(self, remote: str) -> list[str]:
        """The command of this machine that runs `remote` there, given to the login shell."""
        raise NotImplementedError

    def describe(self) -> str:
        raise NotImplementedError

    def prepare(self, name: str) -> None:
        """What has to be so before the first command."""

    def connect(self, name: str) -> RpcSession:
        """A session with the server there, which is copied first where it is not."""
        self.prepare(name)
        program, data = self._program(name)
        for _ in range(3):
            found = self._start(name, program)
            if isinstance(found, RpcSession):
                return found
            other = found.triples
            if other and self._triple not in other:  # another system on the same board
                self._triple, (program, data) = other[0], self._read(name, other[0])
                continue
            self._install(name, program, data)
        raise DeviceError(f"{name}: the server was copied there and is not there; does something clean up its folder?")

    def look(self, name: str) -> FarSide:
        """What the machine is. DeviceError where it cannot be reached."""
        self.prepare(name)
        return self._ask(name, look_script())

    def shell(self, name: str) -> ClientShell:
        return ClientShell(self, name)

    def remove(self, name: str) -> tuple[str, ...]:
        """Delete what was copied there; the paths. DeviceError where it cannot be reached."""
        self.prepare(name)
        return self._ask(name, remove_script(self.folders)).values.get("removed", ())

    def fail(self, name: str, done: Done) -> NoReturn:
        """Raise a DeviceError for how a client ended, in words where they are known."""
        known = meaning(self.meanings, done.complaints, self.describe())
        if known:
            raise DeviceError(f"{name}: {known}")
        why = done.last_line or f"{self.client} ended with exit code {done.code}"
        raise DeviceError(f"{name}: {self.describe()}: {why}")

    def _program(self, name: str) -> tuple[str, bytes]:
        """The file's name there and its bytes; looks there first where nothing is known yet."""
        if not self._triple:
            self._far = self._ask(name, look_script())
            if not self._far.triples:
                raise DeviceError(f"{name}: {self._far.problem()}")
            self._triple = self._far.triples[0]
        return self._read(name, self._triple)

    def _read(self, name: str, triple: str) -> tuple[str, bytes]:
        try:
            data = Path(program_for(triple)).read_bytes()
        except (WorkError, DeviceError) as error:
            raise DeviceError(f"{name}: {error}") from None
        kind = triple.partition(".")[0]  # a home that boards of several kinds share has a server for each
        return f"tvmsr-device-{kind}-{hashlib.sha256(data).hexdigest()[:16]}", data

    def _ask(self, name: str, script: Script) -> FarSide:
        """Run a script to its end."""
        done = run_client(self.command(for_login_shell(script.text)), name, seconds=LOGIN)
        found = answers(script, done.output)
        if done.code != 0 or not found.values:
            self.fail(name, done)
        return found

    def _start(self, name: str, program: str) -> RpcSession | FarSide:
        """A session where the server is there, else what the machine is."""
        script = start_script(program, self.folders, "")
        channel = ClientChannel(self, self.command(for_login_shell(script.text)), name)
        try:
            far = self._preamble(channel, script)
            if "go" not in far.values or self._triple not in (far.triples or (self._triple,)):
                channel.close()
                return far
            self._far = far
            return RpcSession(channel, "")
        except BaseException:
            channel.kill()
            raise

    def _preamble(self, channel: ClientChannel, script: Script) -> FarSide:
        """What the script says before it becomes the server, or ends."""
        lines: list[str] = []
        read = 0
        with channel.patience(LOGIN):
            while not lines or lines[-1].partition(" ")[0] not in ("go", "absent"):
                line = bytearray()
                while not line.endswith(b"\n") and read < _MOST_CHATTER:
                    line += channel.receive(1)
                    read += 1
                if read >= _MOST_CHATTER:
                    channel.fail(
                        f"{self.describe()} prints more than {_MOST_CHATTER} bytes at login and nothing of ours"
                    )
                said = marked(script, bytes(line))
                lines += [said] if said is not None else []
        return gathered(lines)

    def _install(self, name: str, program: str, data: bytes) -> None:
        found = self._ask(name, choose_script(self.folders))
        refused = found.values.get("refused", ())
        folder = found.one("folder")
        if not folder:
            raise DeviceError(f"{name}: there is no folder for the server: {'; '.join(refused) or 'none is there'}")
        if re.search(r'["$`\\\n]', folder):
            raise DeviceError(f"{name}: the folder {folder} has a name that shells misread")
        self.notes = tuple(f"the server is in {folder} on {name}, as {why}" for why in refused)
        self.installed = True
        new = f".new-{secrets.token_hex(8)}"
        shell = self.shell(name)
        try:
            shell.put(f"{folder}/{new}", data)
            settled = self._ask(name, settle_script(folder, new, program, data))
        except BaseException:
            shell.forget(f"{folder}/{new}")
            raise
        if "done" not in settled.values:
            got = settled.one("damaged").split(" ")[0] or "0"
            raise DeviceError(f"{name}: the server's {len(data)} bytes arrived as {got}, or changed; is its disk full?")


class ClientShell:
    """A Shell (reach/shell.py) by the client of a ThroughShell."""

    def __init__(self, way: ThroughShell, name: str) -> None:
        self._way = way
        self._name = name

    def run(self, command: Sequence[str], *, stdin: bytes = b"", seconds: float = BRIEF) -> bytes:
        return self.script(words(command), stdin=stdin, seconds=seconds)

    def script(self, script: str, *, stdin: bytes = b"", seconds: float = BRIEF) -> bytes:
        """Run a POSIX sh script; otherwise as `run`."""
        self._way.prepare(self._name)
        mark = f"tvmsr-{secrets.token_hex(8)}"
        command = self._way.command(for_login_shell(f"echo {mark}; {script}"))
        done = run_client(command, self._name, stdin=stdin, seconds=seconds)
        if done.code != 0:
            self._way.fail(self._name, done)
        return done.output.partition(f"{mark}\n".encode())[2]  # before it: what profiles print

    def put(self, path: str, data: bytes) -> None:
        place = words([path])
        self.script(f"umask 077; cat > {place}", stdin=data, seconds=_COPY)

    def forget(self, path: str) -> None:
        """Delete a file there where that is possible: it is said elsewhere what went wrong."""
        try:
            self.script(f"rm -f {words([path])}", seconds=10.0)
        except DeviceError:
            return


class ClientChannel(ProcessChannel):
    """The pipes of a client that runs the server there; its errors in words."""

    def __init__(self, way: ThroughShell, command: Sequence[str], name: str) -> None:
        self._way = way
        super().__init__(command, name, silence=SILENCE, program=way.client)

    def fail(self, what: str) -> NoReturn:
        try:
            super().fail(what)
        except DeviceError as error:
            known = meaning(self._way.meanings, self._tail.decode("utf-8", "replace"), self._way.describe())
            raise DeviceError(f"{self.name}: {known}" if known else str(error)) from None


#: What any shell there may say, and what it means. {way}: how the device is reached.
_ANYWHERE: Meanings = (
    (r"No space left on device", "its disk is full"),
    (r"[Dd]isk quota exceeded", "its user's disk quota is used up"),
    (r"Exec format error|cannot execute binary file", "the server is for another kind of CPU than it has"),
    (
        r"version `([\w.]+)' not found",
        "its C library is older than the server needs ({0})",
    ),
    (r"tvmsr-device-[\w-]+: (?:Permission denied|not found|No such file)", "the server cannot be run there: {whole}"),
    (r"Read-only file system", "its disk is read-only"),
)


def meaning(meanings: Meanings, complaints: str, way: str) -> str:
    """A sentence for what a client or the other side wrote to standard error, "" where none is known."""
    for pattern, sentence in (*meanings, *_ANYWHERE):
        found = re.search(pattern, complaints)
        if found:
            return sentence.format(*found.groups(), way=way, whole=found.group(0).strip()[:200])
    return ""
