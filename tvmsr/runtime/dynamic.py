"""Loading a shared library from a copy of its own: its file may be written over, cut or replaced while it runs."""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
import threading
from pathlib import Path

#: What is loaded, by the SHA-256 of its bytes. It stays loaded, so files in memory keep their numbers, which name them.
_LOADED: dict[bytes, ctypes.CDLL] = {}
_LOCK = threading.Lock()


def load_library(path: Path) -> ctypes.CDLL:
    """The library that is at `path` now; raises OSError.

    A loader maps a file's pages as they are needed: one that is overwritten or cut afterwards takes the process with
    it. So what is loaded is a copy in memory, once for equal bytes; where the system has no such files, the file.
    """
    if os.name != "posix":
        return ctypes.CDLL(str(path.resolve()))
    data = path.read_bytes()
    digest = hashlib.sha256(data).digest()
    with _LOCK:
        if digest not in _LOADED:
            _LOADED[digest] = _of_memory(data, path.name) or _of_file(path)
        return ctypes.CDLL(path.name, handle=_LOADED[digest]._handle)


def _of_memory(data: bytes, name: str) -> ctypes.CDLL | None:
    """None where the system does not have it, or does not run what is in it."""
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):
        return None
    try:
        handle = os.memfd_create(os.fsencode(name)[:200].decode("ascii", "replace"))
    except OSError:
        return None
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(data)
        return ctypes.CDLL(f"/proc/self/fd/{handle}")
    except OSError:
        os.close(handle)
        return None


def _of_file(path: Path) -> ctypes.CDLL:
    """Under a name of its own, a link: of a name that it has loaded before, a loader takes the same library again, also
    where the file was replaced since. The file behind the link is then compared by its inode.
    """
    with tempfile.TemporaryDirectory(prefix="tvmsr-load-") as folder:
        link = Path(folder, path.name)
        link.symlink_to(path.resolve())
        return ctypes.CDLL(str(link))
