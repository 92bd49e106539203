"""Loading a shared library that may have been compiled again under its old name."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path


def load_library(path: Path) -> ctypes.CDLL:
    """The library that is at `path` now; raises OSError.

    The loader takes a name that it has loaded before for the same library, also where the file was replaced since. So
    every load is given a name of its own, a link; the file behind it is then compared by its inode.
    """
    if os.name != "posix":
        return ctypes.CDLL(str(path.resolve()))
    with tempfile.TemporaryDirectory(prefix="tvmsr-load-") as folder:
        link = Path(folder, path.name)
        link.symlink_to(path.resolve())
        return ctypes.CDLL(str(link))
