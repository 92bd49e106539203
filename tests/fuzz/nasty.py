"""Numbers, texts and bytes on which readers fail, and mutations of plain bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

INTS = (0, 1, -1, 2, 3, 4, 5, 7, 16, 17, 255, 256, 1000, 65535, 65536, 10**6, 10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
        2**40, 2**62, 2**63 - 1, -2, -3, -(2**31), -(2**63))  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 255.0, 1e-8, 1e-45, 1e-30, 1e30, 3.4e38, -3.4e38, 1e300, float("inf"),
          float("-inf"), float("nan"))  # fmt: skip
TEXTS = ("", "x", "input", "output", "a\nb", "\x1b[31mred", "\0", "../../etc/passwd", "/etc/passwd", "ä\u202eb",
         "\ud800", "x" * 5000, "%s%n", "NaN", "-1", "1e999", "__proto__", "weight.weight")  # fmt: skip


def text(rng: random.Random) -> str:
    """A nasty text that UTF-8 can hold."""
    return rng.choice([value for value in TEXTS if value != "\ud800"])


def _flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace(rng: random.Random, data: bytearray) -> None:
    at, size = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 32, 256))
    value = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"A", None))
    data[at : at + size] = rng.randbytes(size) if value is None else value * size


def _number(rng: random.Random, data: bytearray) -> None:
    size = rng.choice((1, 2, 4, 8))
    at = rng.randrange(max(1, len(data) - size))
    value = rng.choice(INTS) & ((1 << 8 * size) - 1)
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.choice((0, rng.randrange(len(data)), rng.randrange(min(64, len(data))), len(data) - 1)) :]


def _remove(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 16, 256))]


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16, 256)))


def _splice(rng: random.Random, data: bytearray) -> None:
    begin, at, size = rng.randrange(len(data)), rng.randrange(len(data)), rng.choice((4, 16, 64, 512))
    data[at:at] = data[begin : begin + size]


def _append(rng: random.Random, data: bytearray) -> None:
    data += rng.choice((bytes(data), rng.randbytes(100), b"\0" * 1000))


_MUTATIONS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _flip, _replace, _number, _number, _truncate, _remove, _insert, _splice, _append,
)  # fmt: skip


def mutated_bytes(rng: random.Random, data: bytes, *, near: int | None = None) -> bytes:
    """Some bytes changed, removed or added; with `near`, most often among the first so many."""
    head = len(data) if near is None or rng.random() < 0.3 else min(near, len(data))
    changed = bytearray(data[:head])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if changed:
            rng.choice(_MUTATIONS)(rng, changed)
    return bytes(changed) + data[head:]
