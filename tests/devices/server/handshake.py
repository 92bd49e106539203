"""TVM's RPC by hand, as far as a server's policy shows."""

from __future__ import annotations

import socket
import struct
from typing import BinaryIO

MAGIC = 0xFF271
MISMATCH = MAGIC + 2
EXCEPTION = 5


def hello(key: str) -> bytes:
    word = key.encode()
    return struct.pack("<ii", MAGIC, len(word)) + word


def connect(port: int, key: str, seconds: float = 20) -> socket.socket:
    """A connection that has said who it is."""
    made = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    made.sendall(hello(key))
    return made


def read(source: socket.socket | BinaryIO, size: int) -> bytes:
    """Exactly `size` bytes, or fewer at the end. (A server that hangs up before it read all resets the connection.)"""
    taken = b""
    while len(taken) < size:
        try:
            more = (
                source.recv(size - len(taken)) if isinstance(source, socket.socket) else source.read(size - len(taken))
            )
        except ConnectionResetError:
            break
        if not more:
            break
        taken += more
    return taken


def code(source: socket.socket | BinaryIO) -> int | None:
    """The server's first word; None where it hung up."""
    word = read(source, 4)
    return struct.unpack("<i", word)[0] if len(word) == 4 else None


def welcome(source: socket.socket | BinaryIO) -> str:
    """The name that the server gives after its first word."""
    assert code(source) == MAGIC
    return read(source, struct.unpack("<i", read(source, 4))[0]).decode()


def exception(source: socket.socket | BinaryIO) -> str:
    """The text of an exception's packet."""
    size, kind, count, _, length = struct.unpack("<qiiiq", read(source, 28))
    assert (kind, count, size) == (EXCEPTION, 1, 20 + length)
    return read(source, length).decode()
