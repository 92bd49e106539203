"""The device's side of adb, small and without authentication: enough for Debian's adb client to work with.

One connection is a stream of messages: command, two arguments, length, checksum (unused), complement of the command. A
service is a stream inside it, opened by name; each message of it is answered before the next is sent.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from tests.devices.conftest import need_emulator
from tests.devices.reach.sshd import processes_with
from tests.needs import lacking
from tvmsr.devices.qemu import ARCHITECTURES

_HEADER = struct.Struct("<6I")
_VERSION, _LARGEST = 0x01000001, 1 << 18

#: Kinds of packets in the service shell,v2.
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)

_UNAME = '#!/bin/sh\ncase "$1" in -m) echo aarch64;; -s) echo Linux;; *) exec /bin/uname "$@";; esac\n'


def _word(text: str) -> int:
    return int.from_bytes(text.encode(), "little")


CNXN, OPEN, OKAY, CLSE, WRTE = map(_word, ("CNXN", "OPEN", "OKAY", "CLSE", "WRTE"))


class Gone(Exception):
    """The other side of a stream or a connection went away."""


class FakeAdbd:
    """Listens on loopback; commands run below `folder`, with an emulated AArch64 for what is started with exec "$f".

    features: what it tells the client that it can do. services: names of those that were opened.
    """

    def __init__(self, folder: Path, *, features: str = "shell_v2,cmd,stat_v2") -> None:
        need_emulator("aarch64")
        if shutil.which("adb") is None:
            lacking("needs adb: apt-get install adb")
        self.features = features
        self.home = folder / "phone"
        self._bin = folder / "bin"
        for made in (self.home, self._bin):
            made.mkdir(parents=True)
        (self._bin / "uname").write_text(_UNAME)
        (self._bin / "uname").chmod(0o755)
        self.mark = f"TVMSR_PHONE_{secrets.token_hex(6)}"
        self.services: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._connections: list[_Connection] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    def have_getprop(self, abis: str) -> None:
        """From now on it looks like Android."""
        script = self._bin / "getprop"
        script.write_text(f"#!/bin/sh\necho {abis}\n")
        script.chmod(0o755)

    def start(self, command: str, **pipes: int) -> subprocess.Popen[bytes]:
        row = ARCHITECTURES["aarch64"]
        root = next(root for root in row.roots if Path(root, row.loader).exists())
        emulator = f"{shutil.which('qemu-aarch64')} -L {root} -cpu cortex-a76"
        command = command.replace('exec "$f"', f'exec {emulator} "$f"')
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("TVMSR", "XDG", "ADB"))}
        env = keep | {"HOME": str(self.home), "TMPDIR": str(self.home), "PATH": f"{self._bin}:{os.environ['PATH']}"}
        env[self.mark] = "1"
        return subprocess.Popen(["sh", "-c", command], env=env, cwd=self.home, start_new_session=True, **pipes)

    def processes(self) -> list[int]:
        return processes_with(self.mark)

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())

    def unplug(self) -> None:
        """The cable comes out."""
        for connection in self._connections:
            connection.close()

    def close(self) -> None:
        self._listener.close()
        self.unplug()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self._connections.append(_Connection(self, connected))


class _Connection:
    def __init__(self, phone: FakeAdbd, connected: socket.socket) -> None:
        self.phone = phone
        self._socket = connected
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._next = 0
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for stream in list(self._streams.values()):
            stream.end()

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        head = _HEADER.pack(command, first, second, len(data), 0, command ^ 0xFFFFFFFF)
        try:
            with self._lock:
                self._socket.sendall(head + data)
        except OSError:
            raise Gone from None

    def forget(self, stream: Stream) -> None:
        self._streams.pop(stream.own, None)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise Gone
            data += piece
        return data

    def _run(self) -> None:
        with contextlib.suppress(Gone, OSError):
            while True:
                command, first, second, length, _, _ = _HEADER.unpack(self._receive(_HEADER.size))
                self._take(command, first, second, self._receive(length))
        self.close()
        self._socket.close()

    def _take(self, command: int, first: int, second: int, data: bytes) -> None:
        if command == CNXN:
            product = "ro.product.name=fake;ro.product.model=fake;ro.product.device=fake"
            self.send(CNXN, _VERSION, _LARGEST, f"device::{product};features={self.phone.features}".encode())
        elif command == OPEN:
            self._open(first, data.rstrip(b"\0").decode())
        elif second in self._streams:
            self._streams[second].take(command, data)

    def _open(self, theirs: int, service: str) -> None:
        self.phone.services.append(service)
        work = next((work for name, work in SERVICES.items() if service.startswith(name)), None)
        if work is None:
            return self.send(CLSE, 0, theirs)
        self._next += 1
        stream = self._streams[self._next] = Stream(self, self._next, theirs)
        self.send(OKAY, stream.own, theirs)
        threading.Thread(target=stream.serve, args=(work, service), daemon=True).start()
        return None


class Stream:
    """A service's bytes, both ways. Reading and writing raise Gone when the other side closed it."""

    def __init__(self, connection: _Connection, own: int, theirs: int) -> None:
        self._connection, self.own, self.theirs = connection, own, theirs
        self._incoming: queue.Queue[bytes | None] = queue.Queue()
        self._rest = b""
        self._taken = threading.Semaphore(0)
        self._over = False

    @property
    def phone(self) -> FakeAdbd:
        return self._connection.phone

    def take(self, command: int, data: bytes) -> None:
        if command == WRTE:
            self._incoming.put(data)
        elif command == OKAY:
            self._taken.release()
        elif command == CLSE:
            self.end()

    def end(self) -> None:
        self._over = True
        self._incoming.put(None)
        self._taken.release()

    def serve(self, work: Callable[[Stream, str], None], service: str) -> None:
        with contextlib.suppress(Gone, OSError):
            work(self, service)
        with contextlib.suppress(Gone):
            self._connection.send(CLSE, self.own, self.theirs)
        self._connection.forget(self)

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += self.read_some()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def read_some(self) -> bytes:
        data = self._incoming.get()
        if data is None:
            self._incoming.put(None)
            raise Gone
        self._connection.send(OKAY, self.own, self.theirs)
        return data

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), _LARGEST):
            self._connection.send(WRTE, self.own, self.theirs, data[at : at + _LARGEST])
            self._taken.acquire()
            if self._over:
                raise Gone


def _copy(read: Callable[[], bytes], write: Callable[[bytes], object]) -> threading.Thread:
    """Until the end of what is read, or of who takes it."""

    def run() -> None:
        with contextlib.suppress(Gone, OSError, ValueError):
            while data := read():
                write(data)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _shell(stream: Stream, service: str) -> None:
    """shell,v2,raw: packets of five bytes and content, both ways, and the exit code; ends with the connection."""
    command = service.partition(":")[2]
    process = stream.phone.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    lock = threading.Lock()

    def packet(kind: int, data: bytes) -> None:
        with lock:
            stream.write(struct.pack("<BI", kind, len(data)) + data)

    def feed() -> None:
        try:
            while True:
                kind, length = struct.unpack("<BI", stream.read(5))
                data = stream.read(length)
                if kind == _STDIN:
                    process.stdin.write(data)
                    process.stdin.flush()
                elif kind == _CLOSE_STDIN:
                    process.stdin.close()
        except Gone:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGHUP)
            with contextlib.suppress(OSError):
                process.stdin.close()
        except (OSError, ValueError):
            return

    threading.Thread(target=feed, daemon=True).start()
    out, err = process.stdout.fileno(), process.stderr.fileno()
    copies = [
        _copy(lambda: os.read(out, 65536), lambda data: packet(_STDOUT, data)),
        _copy(lambda: os.read(err, 65536), lambda data: packet(_STDERR, data)),
    ]
    code = process.wait()
    for copy in copies:
        copy.join()
    packet(_EXIT, bytes([code & 255]))


def _old_shell(stream: Stream, service: str) -> None:
    """shell: and exec: only the output."""
    command = service.partition(":")[2]
    process = stream.phone.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout
    out = process.stdout.fileno()
    _copy(lambda: os.read(out, 65536), stream.write).join()
    process.wait()


def _tcp(stream: Stream, service: str) -> None:
    """What `adb forward` leads to: a port of the phone."""
    with socket.create_connection(("127.0.0.1", int(service.partition(":")[2]))) as connected:
        back = _copy(lambda: connected.recv(65536), stream.write)
        with contextlib.suppress(Gone):
            while True:
                connected.sendall(stream.read_some())
        connected.shutdown(socket.SHUT_RDWR)
        back.join(5)


def _sync(stream: Stream, _service: str) -> None:
    """Files: each request is four letters, a length, and a path."""
    while True:
        name, length = struct.unpack("<4sI", stream.read(8))
        path = stream.read(length).decode()
        if name == b"QUIT":
            return
        known = {b"STAT": _stat, b"STA2": _stat2, b"LST2": _stat2, b"LIST": _list, b"SEND": _send, b"RECV": _recv}
        if name not in known:  # of a feature that was not offered
            return
        known[name](stream, path, name)


def _stat(stream: Stream, path: str, name: bytes) -> None:
    with contextlib.suppress(OSError):
        found = Path(path).lstat()
        return stream.write(struct.pack("<4sIII", name, found.st_mode, found.st_size, int(found.st_mtime)))
    return stream.write(struct.pack("<4sIII", name, 0, 0, 0))


def _stat2(stream: Stream, path: str, name: bytes) -> None:
    form = "<4sIQQIIIIQqqq"
    try:
        f = Path(path).lstat() if name == b"LST2" else Path(path).stat()
    except OSError as error:
        return stream.write(struct.pack(form, name, error.errno or 5, *(0,) * 10))
    times = (int(f.st_atime), int(f.st_mtime), int(f.st_ctime))
    return stream.write(
        struct.pack(form, name, 0, f.st_dev, f.st_ino, f.st_mode, f.st_nlink, f.st_uid, f.st_gid, f.st_size, *times)
    )


def _list(stream: Stream, path: str, _name: bytes) -> None:
    for one in sorted(Path(path).iterdir()) if Path(path).is_dir() else ():
        f = one.lstat()
        head = struct.pack("<4sIIII", b"DENT", f.st_mode, f.st_size, int(f.st_mtime), len(one.name))
        stream.write(head + one.name.encode())
    stream.write(struct.pack("<4sIIII", b"DONE", 0, 0, 0, 0))


def _send(stream: Stream, said: str, _name: bytes) -> None:
    path, _, mode = said.rpartition(",")
    data = bytearray()
    while True:
        kind, length = struct.unpack("<4sI", stream.read(8))
        if kind == b"DONE":
            break
        data += stream.read(length)
    try:
        Path(path).write_bytes(data)
        Path(path).chmod(stat.S_IMODE(int(mode)))
    except OSError as error:
        words = f"couldn't create file: {error.strerror}".encode()
        return stream.write(struct.pack("<4sI", b"FAIL", len(words)) + words)
    return stream.write(struct.pack("<4sI", b"OKAY", 0))


def _recv(stream: Stream, path: str, _name: bytes) -> None:
    data = Path(path).read_bytes()
    for at in range(0, len(data), 65536):
        piece = data[at : at + 65536]
        stream.write(struct.pack("<4sI", b"DATA", len(piece)) + piece)
    stream.write(struct.pack("<4sI", b"DONE", 0))


#: By how the service's name begins.
SERVICES: dict[str, Callable[[Stream, str], None]] = {
    "shell,v2": _shell,
    "shell:": _old_shell,
    "exec:": _old_shell,
    "sync:": _sync,
    "tcp:": _tcp,
}
