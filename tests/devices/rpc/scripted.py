"""A server that does what a script says: the other end of a socket, in a thread."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

from tvmsr.devices.channel import SocketChannel
from tvmsr.devices.rpc.wire import MAGIC, Code, Value, packet, sequence


class Peer:
    """What a script uses."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def take_key(self) -> str:
        magic, length = struct.unpack("<ii", self.take(8))
        assert magic == MAGIC
        return self.take(length).decode()

    def take_packet(self) -> tuple[int, bytes]:
        length, code = struct.unpack("<Qi", self.take(12))
        return code, self.take(length - 4)

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def answer(self, *values: Value, code: Code = Code.RETURN) -> None:
        self.send(b"".join(bytes(part) for part in packet(code, *sequence(values))))

    def greet(self) -> str:
        """The handshake and the first packet, as a server does them."""
        key = self.take_key()
        self.send(struct.pack("<ii", MAGIC, 8) + b"server:k")
        assert self.take_packet()[0] == Code.INIT_SERVER
        self.answer(0, None)
        return key


def channel_to(script: Callable[[Peer], object], *, silence: float = 20.0) -> SocketChannel:
    """A channel whose other end runs `script`; it ends when the script does."""
    ours, theirs = socket.socketpair()

    def run() -> None:
        with theirs:
            try:
                script(Peer(theirs))
            except (EOFError, OSError):
                return

    threading.Thread(target=run, daemon=True).start()
    return SocketChannel(ours, "a fake", silence=silence)
