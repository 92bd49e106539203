"""A plan's text as it lies in an artifact: most of a plan is numbers, which take fewer bytes as such than as digits.

The text with a mark in the place of each number that a float32 or a float64 holds, written as Python writes it; a zero
byte; the float32 numbers, then the others, each byte by byte: all first bytes, all second ones... The whole is
deflated. A text without numbers of that kind has no zero byte, as files of earlier releases.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
from numpy.typing import NDArray

#: No character of JSON, within texts or outside of them.
_SINGLE, _DOUBLE, _END = "\x01", "\x02", b"\0"
_KINDS = ((_SINGLE, "<f4"), (_DOUBLE, "<f8"))

#: What json writes for a float that is no whole number of few digits.
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?|-?\d+e[+-]\d+")
#: The longest of them.
_LONGEST = 25


def pack_plan(text: str) -> bytes:
    """The bytes of the section; unpack_plan gives the same text. ValueError where it is no JSON text."""
    if any(mark in text for mark in (_SINGLE, _DOUBLE, _END.decode())):
        raise ValueError("a plan's text holds control characters")
    found: dict[str, list[float]] = {mark: [] for mark, _ in _KINDS}

    def mark_of(match: re.Match[str]) -> str:
        value = float(match.group())
        if repr(value) != match.group() or abs(value) > 1e300:
            return match.group()
        mark = _SINGLE if float(np.float32(value)) == value else _DOUBLE
        found[mark].append(value)
        return mark

    with np.errstate(over="ignore"):
        marked = _NUMBER.sub(mark_of, text)
    numbers = b"".join(_bytes_of(np.asarray(found[mark], kind)) for mark, kind in _KINDS)
    return zlib.compress(marked.encode("utf-8") + (_END + numbers if numbers else b""), 9)


def _bytes_of(values: NDArray[np.floating]) -> bytes:
    return values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def unpack_plan(raw: bytes, most: int) -> str:
    """The text, of at most `most` bytes. ValueError where the bytes are damaged."""
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(raw, most)
    except zlib.error as error:
        raise ValueError("not deflated") from error
    if not unpacker.eof:
        raise ValueError("cut off, or too long")
    marked, zero, numbers = plain.partition(_END)
    text = marked.decode("utf-8")
    if not zero:
        return text
    counts = {mark: text.count(mark) for mark, _ in _KINDS}
    if len(text) + _LONGEST * sum(counts.values()) > most:
        raise ValueError("too long")
    return _with_numbers(text, counts, numbers)


def _with_numbers(text: str, counts: dict[str, int], numbers: bytes) -> str:
    given, at = {}, 0
    for mark, kind in _KINDS:
        size = np.dtype(kind).itemsize
        part = numbers[at : at + size * counts[mark]]
        at += len(part)
        if len(part) != size * counts[mark]:
            raise ValueError("numbers are missing")
        planes = np.frombuffer(part, np.uint8).reshape(size, -1)
        given[mark] = iter(np.ascontiguousarray(planes.T).view(kind).reshape(-1).tolist())
    if at != len(numbers):
        raise ValueError("more numbers than marks")
    return re.sub(f"[{_SINGLE}{_DOUBLE}]", lambda mark: repr(next(given[mark.group()])), text)
