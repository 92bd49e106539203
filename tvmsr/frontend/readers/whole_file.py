"""Files read once and whole: what is checked is what is used, whatever happens to the file meanwhile."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from tvmsr.errors import InputFileError

#: The most that is read of a model, with the files that it brings along.
MAX_BYTES = 2_000_000_000

#: Names of tensors and nodes end up in plans, artifacts, C code and on terminals.
MAX_NAME = 1000


def read_whole(path: Path, limit: int = MAX_BYTES) -> bytes:
    """All bytes of a regular file, from one descriptor.

    Raises InputFileError where it is none, cannot be read, is larger than `limit`, or changes while it is read.
    """
    if not path.is_file():  # to open a pipe would wait for its other end
        raise InputFileError(f"{path}: {'is a folder' if path.is_dir() else 'there is no such file'}")
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise InputFileError(f"{path}: is no regular file")
            if before.st_size > limit:
                raise InputFileError(
                    f"{path}: is too large: {in_words(before.st_size)}, up to {in_words(limit)} are read"
                )
            data = file.read(before.st_size + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) != before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise InputFileError(f"{path}: changed while it was read; try again when it is complete")
    return data


def in_words(size: int) -> str:
    """A number of bytes for people: 2.1 GB, 35 MB, 12 bytes."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def is_plain_name(name: Any) -> bool:
    """Text, printable, and not so long that a message with it would be none."""
    return isinstance(name, str) and name.isprintable() and len(name) <= MAX_NAME


def shown(name: Any) -> str:
    """A name as a message quotes it: escaped, and cut where it is long. Protobuf gives bytes for text that is none."""
    return repr(name if len(name) <= 80 else name[:77])
