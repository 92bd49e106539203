"""The data of an artifact: runs of bytes at aligned offsets, equal runs once."""

from __future__ import annotations


class Blob:
    """Grows by aligned runs; `bytes(blob)` is the whole."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._known: dict[tuple[bytes, int], int] = {}

    def add(self, run: bytes, align: int) -> int:
        """The offset of a run, a multiple of `align`. Equal runs share their bytes."""
        key = (run, align)
        if key not in self._known:
            self._bytes += b"\0" * (-len(self._bytes) % align)
            self._known[key] = len(self._bytes)
            self._bytes += run
        return self._known[key]

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)
