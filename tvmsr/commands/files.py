"""Which kind of file the user gave, by its first bytes and not by its name."""

from __future__ import annotations

from pathlib import Path

from tvmsr.errors import InputFileError, UsageError

_ARCHIVE_MAGIC = b"!<ar"
_LIBRARY_MAGICS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"MZ")


def is_artifact(path: str | Path) -> bool:
    """True for a shared library. Raises InputFileError where there is no such file, or it is a static library."""
    if str(path).startswith("default:"):
        return False
    try:
        with Path(path).open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputFileError(f"cannot read {path}: {error.strerror or error}") from None
    if head == _ARCHIVE_MAGIC:
        raise InputFileError(
            f"{path}: a static library, to be linked into a program; the .so of --emit so,static says the same"
        )
    return any(head.startswith(magic) for magic in _LIBRARY_MAGICS) or Path(path).suffix in (".so", ".dylib", ".dll")


def is_plan(path: str | Path) -> bool:
    """True for a JSON file."""
    return Path(path).suffix == ".json"


def check_out(path: Path) -> None:
    """UsageError where a file cannot be made at `path`: said before the work, not after it."""
    if not path.parent.is_dir():
        raise UsageError(f"{path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give the name of a file")
