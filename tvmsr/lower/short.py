"""Plain parameters in few bytes: the short form that tvmsr/artifact/driver/plain.c defines and reads."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

#: Kinds of runs: numbers of plain.c.
_AS_THEY_ARE, _REPEATED, _SAME_TOP, _SIGNED, _TABLE = range(5)
#: Words that the first byte of a run counts, and words of a run at most.
_COUNTED, _MOST = 30, 0xFFFF
#: Shorter runs than this are not worth a kind of their own, nor an end to another one.
_WORTH = 4
#: Of a bend, in half a byte: what says that the entry follows as it is, and the largest one.
_ESCAPE, _FAR = 8, 7


def short_form(plain: bytes, table: int = 0) -> bytes:
    """Words of plain parameters, of which the last `table` hold two entries of a table each."""
    words = np.frombuffer(plain, "<u4")
    split = len(words) - table
    return _runs(words[:split]) + (min(_runs(words[split:]), _tables(words[split:]), key=len) if table else b"")


def _runs(words: Words) -> bytes:
    """Word by word the longest run that is worth it; what is between such runs lies as it is."""
    fits = _fits(words) if len(words) else {}
    found, loose, at = [], 0, 0
    while at < len(words):
        kind, length = _best(fits, at)
        if length < _WORTH:
            at += 1
            continue
        found += [_run(_AS_THEY_ARE, words[loose:at]), _run(kind, words[at : at + length])]
        at = loose = at + length
    return b"".join([*found, _run(_AS_THEY_ARE, words[loose:])])


def _fits(words: Words) -> dict[int, list[int]]:
    """By kind: how many words from each one on make a run."""
    signed = words.view(np.int32)
    small = (signed >= -(1 << 23)) & (signed < 1 << 23)
    return {
        _REPEATED: _lengths(words[1:] == words[:-1]),
        _SAME_TOP: _lengths(words[1:] >> 24 == words[:-1] >> 24),
        _SIGNED: [length if s else 0 for length, s in zip(_lengths(small[1:] & small[:-1]), small, strict=True)],
    }


def _lengths(joined: NDArray[np.bool_]) -> list[int]:
    """joined: whether a word goes on with the next. From each word on, how many go together."""
    lengths = [1] * (len(joined) + 1)
    for i in reversed(range(len(joined))):
        if joined[i]:
            lengths[i] = lengths[i + 1] + 1
    return lengths


def _best(fits: dict[int, list[int]], at: int) -> tuple[int, int]:
    """Kind and length of the run to begin here; another run ends where a repeated word begins."""
    if fits[_REPEATED][at] >= _WORTH:
        return _REPEATED, min(fits[_REPEATED][at], _MOST)
    kind = max((_SIGNED, _SAME_TOP), key=lambda kind: fits[kind][at])
    length = min(fits[kind][at], _MOST)
    return kind, next((n for n in range(length) if fits[_REPEATED][at + n] >= _WORTH), length)


def _run(kind: int, words: Words) -> bytes:
    raw = words.astype("<u4").tobytes()
    low = np.frombuffer(raw, np.uint8).reshape(-1, 4)[:, :3].tobytes()
    body = {_AS_THEY_ARE: raw, _REPEATED: raw[:4], _SAME_TOP: raw[3:4] + low, _SIGNED: low}[kind]
    if kind != _AS_THEY_ARE or len(words) <= _MOST:
        return _head(kind, len(words)) + body if len(words) else b""
    return _run(kind, words[:_MOST]) + _run(kind, words[_MOST:])


def _head(kind: int, count: int) -> bytes:
    if count <= _COUNTED:
        return bytes([kind | count << 3])
    return struct.pack("<BH", kind | (_COUNTED + 1) << 3, count)


def _tables(words: Words) -> bytes:
    """Entries by how far each is from the straight line through the two before it."""
    entries = words.view("<u2")
    bends = (entries[2:] - 2 * entries[1:-1] + entries[:-2]).astype(np.uint16).view(np.int16)
    far = (bends < -_FAR) | (bends > _FAR)
    lengths = np.select([bends == 0, bends == 1, bends == -1, far], [1, 2, 3, 7 + 16], 7)
    half = np.where(far, _ESCAPE, bends & 15)
    codes = np.select(
        [bends == 0, bends == 1, bends == -1], [0, 1, 3], 7 | half << 3 | entries[2:].astype(np.int64) << 7
    )
    bits = codes[:, None] >> np.arange(7 + 16) & 1
    stream = bits[np.arange(7 + 16) < lengths[:, None]]
    return (
        _head(_TABLE, len(words))
        + words[:1].tobytes()
        + np.packbits(stream.astype(np.uint8), bitorder="little").tobytes()
    )
