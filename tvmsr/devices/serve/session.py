"""One session of `tvmsr device serve`: TVM's own server loop in a process that the front started and confined.

The front (tvmsr/devices/server) has set limits and the folder that this runs in. It gives the client's descriptors when
one comes; until then this waits with everything loaded. What names of files may be, and how long a client may say
nothing, is decided by the same C code as in tvmsr-device: LIBRARY.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tvmsr import __version__

#: Exit codes: the client's connection broke; no session is possible. Those of the limits are in channel.h.
BROKE, IMPOSSIBLE = 1, 2

_WHY, _PATH, _PIECE = 512, 4096, 1 << 20


class _Storage(ctypes.Structure):
    """`storage` of transfer.h."""

    _fields_ = (("folder", ctypes.c_char_p), ("disk", ctypes.c_uint64))


class Files:
    """The session's files, by names that a client gives. ValueError with the reason where one will not do."""

    def __init__(self, library: ctypes.CDLL, folder: str, disk: int) -> None:
        self._library = library
        self._storage = _Storage(os.fsencode(folder), disk)

    def path(self, name: str) -> str:
        found = ctypes.create_string_buffer(_PATH)
        self._ask(self._library.transfer_path, name, found, ctypes.c_size_t(_PATH))
        return os.fsdecode(found.value)

    def write(self, name: str, data: bytes) -> None:
        self._ask(self._library.transfer_write, name, data, ctypes.c_size_t(len(data)))

    def read(self, name: str) -> bytes:
        length = ctypes.c_uint64()
        with os.fdopen(self._ask(self._library.transfer_open, name, ctypes.byref(length)), "rb") as file:
            return file.read(length.value)

    def remove(self, name: str) -> None:
        self._ask(self._library.transfer_remove, name)

    def checked(self, name: str) -> str:
        """Path of a library that may be loaded: one that is cut short would end the process."""
        path, why = self.path(name), ctypes.create_string_buffer(_WHY)
        if self._library.check_file(os.fsencode(path), why, ctypes.c_size_t(_WHY)) != 0:
            raise ValueError(f"{name}: {_text(why)}")
        return path

    def _ask(self, function: Callable[..., int], name: str, *more: Any) -> int:
        why = ctypes.create_string_buffer(_WHY)
        raw = name.encode("utf-8", "surrogateescape").split(b"\0")[0]
        found = function(ctypes.byref(self._storage), raw, *more, why, ctypes.c_size_t(_WHY))
        if found < 0:
            raise ValueError(_text(why))
        return found


def _text(why: ctypes.Array[ctypes.c_char]) -> str:
    return why.value.decode("utf-8", "replace")


class Stream:
    """The client's bytes, within the limits on silence: beyond them this process ends, and the front says why."""

    def __init__(self, library: ctypes.CDLL, source: int, sink: int, stall_ms: int, idle_ms: int) -> None:
        self._receive, self._send = library.channel_receive, library.channel_send
        self._receive.restype = self._send.restype = ctypes.c_ssize_t
        library.channel_open(source, sink, ctypes.c_int64(stall_ms), ctypes.c_int64(idle_ms))
        self._piece = ctypes.create_string_buffer(_PIECE)

    def receive(self, size: int) -> bytes:
        """Some bytes, at most `size`; none at the end."""
        got = self._receive(self._piece, ctypes.c_size_t(min(size, _PIECE)))
        if got < 0:
            raise OSError("the connection broke")
        return ctypes.string_at(self._piece, got)

    def send(self, data: bytes) -> int:
        """How many bytes went: all of them. TVM would make a copy of the rest for each further call."""
        kept = ctypes.c_char_p(data)
        start = ctypes.cast(kept, ctypes.c_void_p).value or 0
        sent = 0
        while sent < len(data):
            put = int(self._send(ctypes.c_void_p(start + sent), ctypes.c_size_t(len(data) - sent)))
            if put <= 0:
                return put
            sent += put
        return sent


def load_runtime() -> None:
    """TVM's runtime without its compiler, and without PyTorch, which TVM-FFI imports where it finds it.

    A tenth of the time and of the memory: the next client waits for it, beside an artifact that is being measured.
    """
    sys.modules["torch"] = None  # type: ignore[assignment]
    import tvm_ffi  # noqa: F401

    folder = Path((find_spec("tvm").submodule_search_locations or [""])[0], "lib")  # type: ignore[union-attr]
    ctypes.CDLL(str(folder / "libtvm_runtime.so"), ctypes.RTLD_GLOBAL)
    for extra in folder.glob("libtvm_runtime_*.so"):
        with contextlib.suppress(OSError):  # of a GPU that is not there
            ctypes.CDLL(str(extra), ctypes.RTLD_GLOBAL)


def offer(files: Files) -> None:
    """Make TVM's server functions work on these files."""
    import tvm_ffi

    def remove(name: str) -> None:
        if name:  # MetaSchedule's runner removes "", the folder: that goes with the session
            files.remove(name)

    functions: dict[str, Callable[..., Any]] = {
        "workpath": files.path,
        "upload": files.write,
        "download": files.read,
        "remove": remove,
        "load_module": lambda name: tvm_ffi.load_module(files.checked(name)),
    }
    for name, function in functions.items():
        tvm_ffi.register_global_func(f"tvm.rpc.server.{name}", function, override=True)
    tvm_ffi.register_global_func("tvmsr.version", lambda: f"tvmsr device serve {__version__}", override=True)


def _one_line(error: Exception) -> str:
    """Its text for the log, in which a client's words make no line of their own."""
    text = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[-400:]


def main(library_path: str) -> int:
    """Wait for a client and serve it. The exit code."""
    line, disk, stall_ms, idle_ms = (
        int(os.environ.pop(f"TVMSR_SESSION_{name}")) for name in ("LINE", "DISK", "STALL", "IDLE")
    )
    library = ctypes.CDLL(library_path)
    load_runtime()
    import tvm_ffi

    serve = tvm_ffi.get_global_func("rpc.ServerLoop")
    offer(Files(library, str(Path.cwd()), disk))
    with socket.socket(fileno=line) as front:
        _, given, _, _ = socket.recv_fds(front, 1, 2, socket.MSG_CMSG_CLOEXEC)
    if len(given) != 2:
        return 0  # the front is gone
    source, sink = given
    stream = Stream(library, source, sink, stall_ms, idle_ms)
    try:
        serve(stream.send, stream.receive)
    except Exception as error:
        sys.stderr.write(f"session: {_one_line(error)}\n")
        return BROKE
    return 0


if __name__ == "__main__":
    code = IMPOSSIBLE
    try:
        code = main(sys.argv[1])
    except Exception as error:
        sys.stderr.write(f"no session is possible: {_one_line(error)}\n")
    finally:
        os._exit(code)  # threads of the client's code may run
