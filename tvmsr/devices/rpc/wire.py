"""TVM's RPC protocol 0.8.0 as bytes: packets, and the values inside them.

A packet is its length (uint64), a code (int32) and what belongs to the code; a sequence of values is their number
(int32) and for each its type index of TVM-FFI (int32) and content. All little-endian; handles are 64 bits everywhere.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from tvmsr.devices.wire import GarbageError

#: First word of a connection, and of the answer where all is well; errors count on from it.
MAGIC = 0xFF271
TRACKER_MAGIC = 0x2F271

PROTOCOL = b"0.8.0"

#: Bytes of a packet that we take. The agent's are smaller, downloads and pictures are not.
LARGEST = (1 << 30) + 4096


class Handshake(IntEnum):
    SUCCESS = MAGIC
    DUPLICATE = MAGIC + 1
    MISMATCH = MAGIC + 2


class Code(IntEnum):
    SHUTDOWN = 1
    INIT_SERVER = 2
    CALL = 3
    RETURN = 4
    EXCEPTION = 5
    GET_FUNCTION = 9
    FREE_HANDLE = 10


class _Type(IntEnum):
    """Type indices of TVM-FFI."""

    NONE = 0
    INT = 1
    BOOL = 2
    FLOAT = 3
    HANDLE = 4
    STRING = 8
    BYTES = 9
    FUNCTION = 68
    MODULE = 73


@dataclass(frozen=True)
class Handle:
    """A function, or something else that lives on the other side."""

    address: int


@dataclass(frozen=True)
class ModuleHandle(Handle):
    """A loaded library there."""


#: What can be an argument or a result.
Value = int | float | str | bytes | memoryview | Handle | None


def packet(code: Code, *parts: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    """Everything to send, in order."""
    return struct.pack("<Qi", 4 + sum(len(part) for part in parts), code), *parts


def init_packet() -> tuple[bytes | memoryview, ...]:
    """Begin a session on the other side's own CPU."""
    return packet(Code.INIT_SERVER, struct.pack("<Q", len(PROTOCOL)), PROTOCOL, *sequence(()))


def call_packet(function: Handle, arguments: tuple[Value, ...]) -> tuple[bytes | memoryview, ...]:
    return packet(Code.CALL, struct.pack("<Q", function.address), *sequence(arguments))


def sequence(values: tuple[Value, ...]) -> tuple[bytes | memoryview, ...]:
    parts: list[bytes | memoryview] = [struct.pack("<i", len(values))]
    for value in values:
        parts += _encoded(value)
    return tuple(parts)


#: Types whose content is one word, in the order in which they are looked for: bool is an int, ModuleHandle a Handle.
_WORDS: tuple[tuple[type, _Type, str], ...] = (
    (bool, _Type.BOOL, "<iq"),
    (int, _Type.INT, "<iq"),
    (float, _Type.FLOAT, "<id"),
    (ModuleHandle, _Type.MODULE, "<iQ"),
    (Handle, _Type.HANDLE, "<iQ"),
)


def _encoded(value: Value) -> tuple[bytes | memoryview, ...]:
    if value is None:
        return (struct.pack("<i", _Type.NONE),)
    for kind, index, form in _WORDS:
        if isinstance(value, kind):
            return (struct.pack(form, index, value.address if isinstance(value, Handle) else value),)
    if isinstance(value, str):
        return struct.pack("<iQ", _Type.STRING, len(value.encode())), value.encode()
    assert isinstance(value, (bytes, memoryview))
    return struct.pack("<iQ", _Type.BYTES, len(value)), value


def read_sequence(raw: memoryview) -> list[Value]:
    """The values of a sequence that fills `raw`. GarbageError where it does not."""
    reader = _Reader(raw)
    count = reader.unpack("<i")
    if not 0 <= count <= len(raw):
        raise GarbageError("its answer has a wrong number of values")
    values = [reader.value() for _ in range(count)]
    if reader.left:
        raise GarbageError("its answer is longer than it should be")
    return values


class _Reader:
    def __init__(self, raw: memoryview) -> None:
        self._raw, self._at = raw, 0

    @property
    def left(self) -> int:
        return len(self._raw) - self._at

    def take(self, size: int) -> memoryview:
        if not 0 <= size <= self.left:
            raise GarbageError("its answer is cut short")
        self._at += size
        return self._raw[self._at - size : self._at]

    def unpack(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def value(self) -> Value:
        kind = self.unpack("<i")
        if kind == _Type.NONE:
            return None
        if kind in (_Type.INT, _Type.BOOL):
            return self.unpack("<q")
        if kind == _Type.FLOAT:
            return float(struct.unpack("<d", self.take(8))[0])
        if kind in (_Type.HANDLE, _Type.FUNCTION):
            return Handle(self.unpack("<Q"))
        if kind == _Type.STRING:
            return str(self.take(self.unpack("<Q")), "utf-8", "replace")
        if kind == _Type.BYTES:
            return self.take(self.unpack("<Q"))
        raise GarbageError(f"its answer holds a value of type {kind}")


def read_result(raw: memoryview) -> Value:
    """The result of a call: its own type index, then the value; objects are handles."""
    values = read_sequence(raw)
    if not values or not isinstance(values[0], int):
        raise GarbageError("its answer is no result")
    value = values[1] if len(values) > 1 else None
    if values[0] == _Type.MODULE and isinstance(value, Handle):
        return ModuleHandle(value.address)
    return value
