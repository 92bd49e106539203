"""Peers that do not behave: random bytes, random packets, bytes that come one by one. Everything from a seed."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import time
from collections.abc import Iterator

from tests.devices.network.board import KEY, Board
from tvmsr.devices.program import agent_key
from tvmsr.devices.rpc.wire import MAGIC, Code, Handle, Value, call_packet, init_packet, packet, read_sequence, sequence

_TIMEOUT = 10.0

#: Of frames that are sent at once.
_BATCH = 1 << 16

#: Functions of a server that are called with nonsense.
_FUNCTIONS = (
    "tvm.rpc.server.workpath",
    "tvm.rpc.server.upload",
    "tvm.rpc.server.remove",
    "tvm.rpc.server.load_module",
    "tvm.rpc.server.ModuleGetFunction",
    f"tvmsr.agent.{agent_key()}",
)

#: Of files, as an attacker would have them.
_NAMES = ("..", "/etc/passwd", "a/../../b", "", "x" * 300, "\0")


def connected(board: Board) -> socket.socket:
    return socket.create_connection((board.place.address, board.port), _TIMEOUT)


def greeting(board: Board) -> bytes:
    key = f"client:{KEY}:{board.token}".encode()
    return struct.pack("<ii", MAGIC, len(key)) + key


def random_frames_at_the_door(board: Board, frames: int, seed: int, *, each: int = 500) -> int:
    """Send so many, `each` on a connection; every other one begins as a handshake does. Number of connections."""
    rng, count = random.Random(seed), 0
    for sent in range(0, frames, each):
        head = struct.pack("<iI", MAGIC, rng.choice((0, 8, 30, 600, 1 << 31, 2**32 - 1))) if sent // each % 2 else b""
        rest = b"".join(rng.randbytes(rng.randint(1, 40)) for _ in range(min(each, frames - sent)))
        with connected(board) as peer, contextlib.suppress(OSError):  # it hangs up, as it should
            peer.sendall(head + rest)
            while peer.recv(4096):
                continue
        count += 1
    return count


class RandomClient:
    """A client with the right key whose packets are random; sessions die of some, so it comes again and again."""

    def __init__(self, board: Board, seed: int) -> None:
        self._board = board
        self._rng = random.Random(seed)
        self.frames = self.sessions = self.answers = 0

    def run(self, frames: int, seconds: float, *, each: int = 4000) -> None:
        """Send so many frames, about `each` in a session. AssertionError where it takes longer."""
        end = time.monotonic() + seconds
        while self.frames < frames:
            assert time.monotonic() < end, f"{self.frames} frames in {seconds:g} s"
            with connected(self._board) as peer, contextlib.suppress(ConnectionError, EOFError):
                self._session(peer, min(each, frames - self.frames), end)

    def _session(self, peer: socket.socket, frames: int, end: float) -> None:
        peer.settimeout(max(1.0, end - time.monotonic()))
        peer.sendall(greeting(self._board))
        (_, length) = struct.unpack("<ii", _exactly(peer, 8))
        _exactly(peer, length)
        peer.sendall(b"".join(init_packet()))
        _answer(peer)
        self.sessions += 1
        handles = [_function(peer, name) for name in _FUNCTIONS]
        batch, deadly = bytearray(), max(1, frames // 40)
        for left in range(frames, 0, -1):
            batch += self._deadly() if left <= deadly else self._odd(handles)
            self.frames += 1
            if len(batch) >= _BATCH:
                self._exchange(peer, batch, end)
                batch.clear()
        self._exchange(peer, batch, end)

    def _exchange(self, peer: socket.socket, data: bytearray, end: float) -> None:
        """Send all, and read what comes: whoever does not read is waited for."""
        peer.setblocking(False)
        view = memoryview(bytes(data))
        while view:
            assert time.monotonic() < end, "the server neither takes packets nor ends the session"
            readable, writable, _ = select.select([peer], [peer], [], 1.0)
            if readable:
                got = peer.recv(1 << 18)
                if not got:
                    raise EOFError
                self.answers += len(got)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    view = view[peer.send(view) :]

    def _odd(self, handles: list[Handle]) -> bytes:
        """What a session should answer, with an error most of the time."""
        rng = self._rng
        if rng.random() < 0.4:
            name = rng.randbytes(rng.randint(0, 40)).decode("latin-1")
            return _joined(packet(Code.GET_FUNCTION, *sequence((name,))))
        arguments = tuple(self._value() for _ in range(rng.randint(0, 3)))
        return _joined(call_packet(rng.choice(handles), arguments))

    def _value(self) -> Value:
        rng = self._rng
        kind = rng.randrange(6)
        if kind == 0:
            return rng.getrandbits(63) - (1 << 62)
        if kind == 1:
            return rng.choice((*_NAMES, rng.randbytes(20).decode("latin-1")))
        if kind == 2:
            return rng.randbytes(rng.randint(0, 60))
        if kind == 5:  # almost a request of the agent
            return struct.pack("<II", rng.randint(0, 6), rng.randint(0, 17)) + rng.randbytes(rng.randint(0, 40))
        return rng.random() if kind == 3 else None

    def _deadly(self) -> bytes:
        """What a session may die of: any code with any content, lengths that lie, handles that are none."""
        rng = self._rng
        content = rng.randbytes(rng.randint(0, 40))
        length = rng.choice((4 + len(content), rng.getrandbits(rng.choice((5, 20, 33, 64)))))
        return struct.pack("<Qi", length, rng.choice((rng.randint(0, 24), rng.getrandbits(31)))) + content


class Slow:
    """Connections that send a byte each at every `step`, of the handshake or of a packet after it."""

    def __init__(self, board: Board, count: int) -> None:
        self._peers = [connected(board) for _ in range(count)]
        self._text = greeting(board)
        self._at = 0

    def step(self) -> int:
        """How many are still connected."""
        for peer in list(self._peers):
            try:
                peer.sendall(self._text[self._at : self._at + 1])
                if select.select([peer], [], [], 0)[0] and not peer.recv(1):
                    raise EOFError
            except (OSError, EOFError):
                peer.close()
                self._peers.remove(peer)
        self._at = min(self._at + 1, len(self._text) - 2)
        return len(self._peers)

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


def trickling(board: Board) -> Iterator[bool]:
    """A client that finishes the handshake, then sends a packet byte by byte. Each turn: whether it is still there."""
    with connected(board) as peer:
        peer.sendall(greeting(board) + b"".join(init_packet()))
        peer.settimeout(_TIMEOUT)
        _exactly(peer, struct.unpack("<ii", _exactly(peer, 8))[1])
        _answer(peer)
        peer.sendall(struct.pack("<Qi", 1 << 20, Code.CALL))
        peer.setblocking(False)
        while True:
            try:
                peer.send(b"x")
                ended = select.select([peer], [], [], 0)[0] and not peer.recv(4096)
            except OSError:
                ended = True
            yield not ended
            if ended:
                return


def _joined(parts: tuple[bytes | memoryview, ...]) -> bytes:
    return b"".join(parts)


def _exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _answer(peer: socket.socket) -> list[Value]:
    length, _ = struct.unpack("<Qi", _exactly(peer, 12))
    return read_sequence(memoryview(_exactly(peer, length - 4)))


def _function(peer: socket.socket, name: str) -> Handle:
    peer.sendall(_joined(packet(Code.GET_FUNCTION, *sequence((name,)))))
    (found,) = _answer(peer)
    return found if isinstance(found, Handle) else Handle(0)
