"""What binutils say of ELF files for any CPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_binutils = pytest.mark.skipif(
    shutil.which("nm") is None or shutil.which("readelf") is None, reason="needs binutils: apt install binutils"
)


@dataclass(frozen=True)
class Segment:
    """One program header. flags: letters of "RWE"."""

    kind: str
    address: int
    size: int
    flags: str
    align: int


def _run(*command: str | Path) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def segments(path: Path) -> list[Segment]:
    found = []
    for line in _run("readelf", "-lW", path):
        match = re.match(r"\s+(\w+)\s+0x\w+ 0x(\w+) 0x\w+ 0x\w+ 0x(\w+) ([RWE ]{3}) (\w+)$", line)
        if match:
            kind, address, size, flags, align = match.groups()
            found.append(Segment(kind, int(address, 16), int(size, 16), flags.replace(" ", ""), int(align, 0)))
    assert found
    return found


def dynamic(path: Path) -> dict[str, list[str]]:
    """Entries of the dynamic section by tag: NEEDED, TEXTREL, FLAGS, ..."""
    found: dict[str, list[str]] = {}
    for line in _run("readelf", "-dW", path):
        match = re.match(r"\s*0x\w+ \((\w+)\)\s+(.*)", line)
        if match:
            found.setdefault(match[1], []).append(re.sub(r"^.*\[(.*)\]$", r"\1", match[2]))
    return found


def symbols(path: Path, *, static: bool = False) -> dict[str, dict[str, str]]:
    """Dynamic symbols, or those of an archive: names by nm's letter, with the version each asks for, "" for none."""
    found: dict[str, dict[str, str]] = {}
    for line in _run("nm", *([] if static else ["-D"]), path):
        words = line.split()
        if len(words) >= 2:
            name, _, version = words[-1].replace("@@", "@").partition("@")
            found.setdefault(words[-2], {})[name] = version
    return found
