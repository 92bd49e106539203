"""A case: files made from a kind, a seed and a number, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Files = dict[str, bytes]


@dataclass(frozen=True)
class Kind:
    """make: the files of a case, the first of them is the one that is read. run: reads it, raises what it raises.

    warm: a worker reads some cases before the first that counts, so that its libraries are there. chatty: its
    libraries write to stderr themselves, in C, where nobody can keep them from it.
    """

    name: str
    make: Callable[[random.Random], Files]
    run: Callable[[Path], object]
    warm: bool = True
    chatty: bool = False


def rng_of(kind: str, seed: int, index: int) -> random.Random:
    return random.Random(f"{kind}/{seed}/{index}")


def write(kind: Kind, seed: int, index: int, folder: Path) -> Path:
    """Make a case in an empty folder; the path of the file to be read."""
    files = kind.make(rng_of(kind.name, seed, index))
    for name, data in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder / next(iter(files))
