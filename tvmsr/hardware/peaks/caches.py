"""How large blocks of memory are that lie in one cache and in no nearer one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 10, "M": 20, "G": 30}

#: Where a system does not tell: what every core of these years has. No farther cache is assumed.
_USUAL = {1: 32 << 10, 2: 256 << 10}

#: Blocks are multiples of it, as loops read them (loops.c).
_STEP = 4096

#: The memory's block: larger than the last cache, as far as that is decent.
_LEAST_MEMORY, _MOST_MEMORY, _SHARE_OF_MEMORY = 64 << 20, 256 << 20, 1 / 8


@dataclass(frozen=True)
class Block:
    """What one thread reads: `bytes`, a multiple of 4096. shared: threads share the cache, or the memory."""

    memory: str
    bytes: int
    shared: bool


def cache_sizes(folder: Path = _CACHES) -> dict[int, int]:
    """Bytes of the data caches that the first core sees, by level."""
    found = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size")
            )
            if kind != "Instruction":
                found[int(level)] = int(size.rstrip("KMG")) << _UNITS.get(size[-1], 0)
        except (OSError, ValueError, IndexError):
            continue
    return found or dict(_USUAL)


def memory_size() -> int:
    """Bytes of memory; 0 where the system does not tell."""
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(names):
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def blocks(sizes: dict[int, int], memory: int, threads: Sequence[int]) -> tuple[Block, ...]:
    """A block for each cache, nearest first, and one for the memory, left out where a decent one fits the caches.

    sizes: of caches by level. memory: bytes; 0: not known. threads: numbers of threads that will read at once.
    """
    most = max(threads)
    found = []
    nearer = 0
    for level in sorted(sizes):
        own = level < 3
        # Twice what lies nearer, of all threads, so that little of a pass is read there; half of a cache is ours.
        size = sizes[level] // 2 if own else min(sizes[level] // 2, 4 * nearer * most) // most
        if size > nearer:
            found.append(Block(f"L{level}", size // _STEP * _STEP, not own))
        nearer = max(nearer, sizes[level])
    wanted = max(_LEAST_MEMORY, min(_MOST_MEMORY, 4 * nearer))
    if (not memory or wanted <= memory * _SHARE_OF_MEMORY) and wanted >= 2 * nearer:
        found.append(Block("RAM", wanted // most // _STEP * _STEP, shared=True))
    return tuple(found)
