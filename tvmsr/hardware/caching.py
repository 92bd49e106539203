"""The caches that the planner of bands goes by: a core's own beyond its first, and what all cores share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tvmsr.hardware.target import Target

_CPUS = Path("/sys/devices/system/cpu")
_UNITS = {"K": 10, "M": 20, "G": 30}


@dataclass(frozen=True)
class Caching:
    """Bytes of the cache that a core has for itself beyond its first, and of the largest shared one; 0: none known."""

    core: int = 0
    shared: int = 0


def caching_of(target: Target) -> Caching:
    """Of a target's deciding cluster; of the machine here where that is the target."""
    if target.name == "host":
        return caching_here()
    cluster = target.deciding or next(iter(target.clusters), None)
    own = [cache.bytes for cache in target.caches if cache.cores == 1]
    shared = [cache.bytes for cache in target.caches if cache.cores > 1]
    return Caching(max([cluster.l2_bytes if cluster else 0, *own]), max(shared, default=0))


def caching_here(folder: Path = _CPUS) -> Caching:
    """As Linux tells it of all CPUs: of each kind the largest. Nothing where it does not tell."""
    core = shared = 0
    for cpu in folder.glob("cpu[0-9]*"):
        siblings = _cpus(_text(cpu / "topology" / "thread_siblings_list"))
        for index in cpu.glob("cache/index*"):
            level, kind, size = (_text(index / name) for name in ("level", "type", "size"))
            if not level.isdigit() or int(level) < 2 or kind == "Instruction":
                continue
            if _cpus(_text(index / "shared_cpu_list")) <= siblings:
                core = max(core, _bytes(size))
            else:
                shared = max(shared, _bytes(size))
    return Caching(core, shared)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _bytes(text: str) -> int:
    """Of "1024K"."""
    digits, unit = text[:-1], text[-1:]
    return int(digits) << _UNITS[unit] if digits.isdigit() and unit in _UNITS else 0


def _cpus(text: str) -> frozenset[int]:
    """Of "0,2-3"."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)
