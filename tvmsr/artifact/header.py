"""The header that goes with one artifact: the ABI's, with the functions of its prefix written out."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tvmsr.artifact.link import INCLUDE, check_prefix, move_into_place

_TYPES_END = "#endif /* TVMSR_H */\n"
_FUNCTIONS_START = "#ifdef __cplusplus\n"


def header_text(prefix: str) -> str:
    """C99 and C++. It needs no other file, and headers of several prefixes can be included into one."""
    check_prefix(prefix)
    text = (INCLUDE / "tvmsr.h").read_text(encoding="utf-8")
    types, rest = text.split(_TYPES_END, 1)
    functions = rest[rest.index(_FUNCTIONS_START) :]
    declared = re.sub(r"TVMSR_FN\((\w+)\)", rf"{prefix}_\1", functions)
    guard = f"TVMSR_FUNCTIONS_OF_{prefix}"
    return (
        f"{types}{_TYPES_END}\n/* The functions of the artifact with this prefix. */\n"
        f"#ifndef {guard}\n#define {guard}\n\n{declared}\n#endif /* {guard} */\n"
    )


def write_header(out: Path, prefix: str) -> None:
    """Write the header of a prefix to `out`, complete or not at all."""
    with tempfile.TemporaryDirectory(prefix="tvmsr-header-") as name:
        made = Path(name) / "header.h"
        made.write_text(header_text(prefix), encoding="utf-8")
        move_into_place(made, out, 0o644)
