"""Frames between a client and the host program (host/wire.h), and the values inside them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

MAGIC = 0x52535654  # "TVSR"
VERSION = 3
HEADER = struct.Struct("<4IQ")

#: Bytes of a payload that either side sends.
LARGEST = 1 << 30


class Kind(IntEnum):
    REQUEST = 1
    REPLY = 2
    PROGRESS = 3
    ALIVE = 4


class Command(IntEnum):
    HELLO = 1
    LOAD = 2
    OPEN = 3
    UPSCALE = 4
    LAST = 5
    WORKSPACE = 6
    PROFILE = 7
    READ_PROFILE = 8
    TRACE = 9
    READ_TRACE = 10
    CHECK = 11
    MEMORY = 12
    CLOSE = 13
    FILES = 14
    UNLOAD = 15
    FORCE_CHOICE = 16


class Refusal(IntEnum):
    """Codes of replies beyond the statuses of the C ABI, which are below 100."""

    BAD_REQUEST = 100
    NOT_LOADED = 101
    NOT_OPEN = 102
    TOO_OLD = 103
    NO_MEMORY = 104


class GarbageError(ValueError):
    """What arrived is no frame, or not what a reply holds."""


@dataclass(frozen=True)
class Frame:
    kind: int
    code: int
    serial: int
    length: int

    def to_bytes(self) -> bytes:
        return HEADER.pack(MAGIC, self.kind, self.code, self.serial, self.length)


def read_frame(raw: bytes) -> Frame:
    """The header of a frame. GarbageError where it is none."""
    magic, *rest = HEADER.unpack(raw)
    frame = Frame(*rest)
    if magic != MAGIC or frame.kind not in (Kind.REPLY, Kind.PROGRESS, Kind.ALIVE):
        raise GarbageError("what it sent is no answer")
    if frame.length > LARGEST:
        raise GarbageError(f"it announced an answer of {frame.length} bytes")
    return frame


def text(value: str) -> bytes:
    raw = value.encode("utf-8")
    return struct.pack("<I", len(raw)) + raw


def u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


class Values:
    """Takes values from a payload, one after the other. GarbageError where one is not there."""

    def __init__(self, payload: bytes | bytearray | memoryview) -> None:
        self._payload = payload
        self._at = 0

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._payload):
            raise GarbageError("its answer is cut short")
        taken = bytes(self._payload[self._at : end])
        self._at = end
        return taken

    def u32(self) -> int:
        return int.from_bytes(self._take(4), "little")

    def i32(self) -> int:
        return int.from_bytes(self._take(4), "little", signed=True)

    def u64(self) -> int:
        return int.from_bytes(self._take(8), "little")

    def text(self) -> str:
        return self._take(self.u32()).decode("utf-8", "replace")

    def blob(self) -> bytes:
        return self._take(self.u32())

    def rest(self) -> bytes:
        """All that is left."""
        return self._take(len(self._payload) - self._at)

    def count(self) -> int:
        """How many entries follow: no more than there are bytes."""
        number = self.u32()
        if number > len(self._payload):
            raise GarbageError("its answer is cut short")
        return number

    def end(self) -> None:
        if self._at != len(self._payload):
            raise GarbageError("its answer is longer than it should be")


def read_files(values: Values) -> dict[str, bytes]:
    """Files by path, as the command FILES answers them."""
    return {values.text(): values.blob() for _ in range(values.count())}
