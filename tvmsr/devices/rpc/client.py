"""A session with a TVM RPC server: functions there, called one at a time, within limits."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

from tvmsr.devices.channel import Channel
from tvmsr.devices.closing import Closing
from tvmsr.devices.rpc.wire import (
    LARGEST,
    MAGIC,
    Code,
    Handle,
    Handshake,
    ModuleHandle,
    Value,
    call_packet,
    init_packet,
    packet,
    read_result,
    read_sequence,
    sequence,
)
from tvmsr.devices.rpc.words import meaning
from tvmsr.devices.wire import GarbageError
from tvmsr.errors import DeviceError

T = TypeVar("T")

#: Seconds that a call may take which the other side answers when it is done, such as writing a file or loading one.
WORK = 60.0

#: Seconds to wait for one's turn on a device that others use.
TURN = 60.0

_LONGEST_KEY = 4096

#: Why a server may hang up on a client that it has not met.
_UNMET = "before a session began: too many wait there, or it is no TVM RPC server"

#: What silence is before a session.
_NO_TURN = "gave us no turn within {silence:g} seconds: others use it, or it hangs; --turn waits longer"

#: How errors begin after which there is no session any more: those of a server, not of a function there.
_OVER = ("RPCSessionTimeoutError", "the session's process on the device", "the server on the device")


class RemoteError(DeviceError):
    """A function on the other side failed; the session is intact."""


class RpcSession(Closing):
    """A connection after the handshake. Serves one call at a time, from any thread.

    Calls raise RemoteError where the function there fails, DeviceError where the connection does; it is closed then.
    """

    def __init__(self, channel: Channel, key: str, *, turn: float = TURN) -> None:
        self._channel = channel
        self._lock = threading.RLock()
        self._functions: dict[str, Handle] = {}
        with self._all_or_nothing():
            with channel.patience(turn), channel.meaning(gone=f"{channel.gone_words} {_UNMET}", silence=_NO_TURN):
                self.server_key = self._shake_hands(key)
            self._request(init_packet())

    @property
    def name(self) -> str:
        return self._channel.name

    @property
    def closed(self) -> bool:
        return self._channel.closed

    def function(self, name: str) -> Handle | None:
        """A global function of the server; None where it has none of this name."""
        with self._lock:
            if name not in self._functions:
                raw = self._request(packet(Code.GET_FUNCTION, *sequence((name,))))
                found = self._read(read_sequence, raw)
                if len(found) != 1 or not (found[0] is None or isinstance(found[0], Handle)):
                    self.fail("it answered something else than a function")
                if not isinstance(found[0], Handle) or found[0].address == 0:
                    return None
                self._functions[name] = found[0]
            return self._functions[name]

    def call(self, function: Handle | str, *arguments: Value, silence: float | None = None) -> Value:
        """Call a function, or the global one of this name; its result. silence: seconds it may take without a byte."""
        with self._lock:
            if isinstance(function, str):
                found = self.function(function)
                if found is None:
                    raise RemoteError(f"{self.name}: " + meaning(f"Cannot found remote function {function}"))
                function = found
            with self._channel.patience(silence or self._channel.silence):
                raw = self._request(call_packet(function, arguments))
            return self._read(read_result, raw)

    def load(self, name: str) -> ModuleHandle:
        """Load a library that was uploaded under this name."""
        found = self.call("tvm.rpc.server.load_module", name, silence=WORK)
        if not isinstance(found, ModuleHandle):
            self.fail("it answered something else than a library")
        return found

    def function_of(self, module: ModuleHandle, name: str) -> Handle:
        found = self.call("tvm.rpc.server.ModuleGetFunction", module, name, True)
        if not isinstance(found, Handle) or found.address == 0:
            raise RemoteError(f"{self.name}: the library that was loaded has no function {name}")
        return found

    def upload(self, name: str, data: bytes) -> str:
        """Write a file into the session's folder; its path there."""
        self.call("tvm.rpc.server.upload", name, data, silence=WORK)
        path = self.call("tvm.rpc.server.workpath", name)
        if not isinstance(path, str):
            self.fail("it did not say where it keeps files")
        return path

    def fail(self, what: str) -> NoReturn:
        """Close, and raise a DeviceError that says `what`."""
        self._channel.fail(what)

    def kill(self) -> None:
        """Close without a word."""
        self._channel.kill()

    def close(self) -> None:
        """Say goodbye and close."""
        with self._lock:
            if not self._channel.closed:
                with contextlib.suppress(DeviceError), self._channel.patience(1.0):
                    self._channel.send(*packet(Code.SHUTDOWN))
            self._channel.close()

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What interrupts an exchange ends the connection: its answer would be taken for that of the next one."""
        try:
            yield
        except RemoteError:
            raise
        except BaseException:
            self._channel.kill()
            raise

    def _shake_hands(self, key: str) -> str:
        raw = f"client:{key}".encode()
        self._channel.send(struct.pack("<ii", MAGIC, len(raw)) + raw)
        (code,) = struct.unpack("<i", self._channel.receive(4))
        if code == Handshake.MISMATCH:
            self.fail("it refused the key or the token; give those it was started with (--key, --token-file)")
        if code == Handshake.DUPLICATE:
            self.fail("it has another client with the same key")
        if code != Handshake.SUCCESS:
            self.fail("what answers there is no TVM RPC server")
        (length,) = struct.unpack("<i", self._channel.receive(4))
        if not 0 <= length <= _LONGEST_KEY:
            self.fail("what answers there is no TVM RPC server")
        return bytes(self._channel.receive(length)).decode("utf-8", "replace")

    def _request(self, parts: tuple[bytes | memoryview, ...]) -> memoryview:
        """Send a packet; the content of the answer."""
        with self._lock, self._all_or_nothing():
            self._channel.send(*parts)
            length, code = struct.unpack("<Qi", self._channel.receive(12))
            if code not in (Code.RETURN, Code.EXCEPTION) or not 4 <= length <= LARGEST:
                self.fail("what it sent is no answer of TVM's RPC")
            content = memoryview(self._channel.receive(length - 4))
            if code == Code.EXCEPTION:
                self._raise(content)
            return content

    def _raise(self, content: memoryview) -> NoReturn:
        found = self._read(read_sequence, content)
        text = found[0] if found and isinstance(found[0], str) else ""
        if text.startswith(_OVER):
            self.fail(meaning(text))
        raise RemoteError(f"{self.name}: {meaning(text)}")

    def _read(self, read: Callable[[memoryview], T], raw: memoryview) -> T:
        try:
            return read(raw)
        except GarbageError as error:
            self.fail(str(error))
