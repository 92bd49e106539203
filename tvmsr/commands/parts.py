"""Results that do not count yet: in a hidden folder beside where they will be, which is gone at every end."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

#: Begins the folder's name.
_PREFIX = ".tvmsr-"


class Parts:
    """A folder on the same disk as the results, so that they get their names in one step. A context manager.

    beside: where the results will be; made where it is missing. Folders of processes that were killed are removed: as
    long as its process lives, a folder is locked.
    """

    def __init__(self, beside: Path) -> None:
        self._made = not beside.exists()
        self._beside = beside
        beside.mkdir(parents=True, exist_ok=True)
        _remove_forgotten(beside)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=beside))
        self._lock = _locked(self.path)

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        if self._made:
            with contextlib.suppress(OSError):  # it has results in it, or somebody else's files
                self._beside.rmdir()


def _locked(folder: Path) -> int | None:
    """A handle that holds the folder's lock; None where another process has it, or the system has none of this kind."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _remove_forgotten(beside: Path) -> None:
    for folder in beside.glob(f"{_PREFIX}*"):
        handle = _locked(folder) if folder.is_dir() and not folder.is_symlink() else None
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)
