"""Memory and disk that are there for a picture."""

from __future__ import annotations

import shutil
from pathlib import Path

from tvmsr.errors import InputFileError, WorkError

#: Of the memory that is free, what pictures may take.
_SHARE = 0.8

#: Results of fewer bytes are tried: a disk that is too small for one shows soon.
_LARGE = 1 << 28

_CGROUP = Path("/sys/fs/cgroup")


def memory_here() -> int | None:
    """Bytes that pictures may take on this machine, with the limits of this process's control group; None: unknown."""
    found = [bytes_ for bytes_ in (_of_the_system(), *_of_groups()) if bytes_ is not None]
    return int(_SHARE * min(found)) if found else None


def _of_the_system() -> int | None:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _of_groups() -> list[int]:
    """What is left in the control groups of this process, of either version."""
    left = []
    for line in _lines(Path("/proc/self/cgroup")):
        _, kinds, name = (*line.split(":", 2), "", "")[:3]
        if kinds == "":
            left += _left_up(_CGROUP, name, "memory.max", "memory.current", "inactive_file ")
        elif "memory" in kinds.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "
            left += _left_up(_CGROUP / "memory", name, *names)
    return left


def _left_up(root: Path, name: str, limit: str, used: str, cache: str) -> list[int]:
    """What is left in a group and in those that it is in. cache: begins the line of what can be dropped."""
    left, folder = [], root / name.lstrip("/")
    while True:
        most, now = _number(folder / limit), _number(folder / used)
        if most is not None and now is not None:
            lines = _lines(folder / "memory.stat")
            dropped = next((int(line.split()[1]) for line in lines if line.startswith(cache)), 0)
            left.append(max(0, most - now + dropped))
        if folder == root or root not in folder.parents:
            return left
        folder = folder.parent


def _number(path: Path) -> int | None:
    words = "".join(_lines(path)[:1]).strip()
    return int(words) if words.isdigit() else None  # "max" where there is no limit


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def check_memory(name: str, needed: int, room: int | None, why: str) -> None:
    """InputFileError where a picture needs more bytes than there are. why: the end of the sentence."""
    if room is not None and needed > room:
        raise InputFileError(f"{name}: needs {needed:,} bytes of memory, {max(0, room):,} are there for it; {why}")


def check_disk(folder: Path, name: str, needed: int) -> None:
    """WorkError where a large result may not find its room in a folder. needed: bytes that it may have."""
    if needed < _LARGE:
        return
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WorkError(
            f"{name}: its result may take {needed:,} bytes of disk, {free:,} are free in {folder}; make room, or "
            "choose another OUT"
        )
