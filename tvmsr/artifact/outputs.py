"""What `--emit` asks for, and how the files are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tvmsr.artifact.formats import format_of
from tvmsr.artifact.static import check_static
from tvmsr.errors import UsageError

EMITS = ("so", "static")

_LIBRARY_SUFFIXES = (".so", ".dylib", ".a", ".h")


@dataclass(frozen=True)
class Outputs:
    """Files to write. A static library comes with a header; at least one of the libraries is there."""

    shared: Path | None
    static: Path | None
    header: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them, the library that stands for the artifact first."""
        return tuple(path for path in (self.shared, self.static, self.header) if path is not None)


def parse_emit(emit: str | Sequence[str]) -> tuple[str, ...]:
    """Read "so,static", or a list, as ("so", "static"). Raises UsageError."""
    words = emit.split(",") if isinstance(emit, str) else list(emit)
    found = tuple(dict.fromkeys(word.strip() for word in words))
    if not found or not set(found) <= set(EMITS):
        raise UsageError(f"--emit {','.join(words)!r}: so and static are known, or both: so,static")
    return found


def outputs(out: Path, emit: str | Sequence[str], link_triple: str) -> Outputs:
    """The files that `-o OUT --emit EMIT` writes.

    One library is called as it is said; of two, each has its own suffix in the place of OUT's. Raises UsageError, also
    where the target has no static libraries.
    """
    emits = parse_emit(emit)
    if "static" not in emits:
        return Outputs(out, None, None)
    check_static(link_triple)
    stem = out.with_suffix("") if out.suffix in _LIBRARY_SUFFIXES else out
    header = stem.with_name(f"{stem.name}.h")
    if "so" not in emits:
        if out.suffix == ".h":
            raise UsageError(f"-o {out}: is the name of the header that is written beside the static library")
        return Outputs(None, out, header)
    shared = stem.with_name(stem.name + format_of(link_triple).suffix)
    return Outputs(shared, stem.with_name(f"{stem.name}.a"), header)


def default_suffix(emit: str | Sequence[str], link_triple: str) -> str:
    """Of the file that stands for the artifact: ".so", ".dylib" or ".a"."""
    return format_of(link_triple).suffix if "so" in parse_emit(emit) else ".a"
