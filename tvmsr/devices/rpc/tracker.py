"""TVM's RPC tracker: who hands out the devices of a farm, one client at a time."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tvmsr.devices.channel import Channel
from tvmsr.devices.closing import Closing
from tvmsr.devices.rpc.wire import TRACKER_MAGIC

#: Bytes of an answer that we take.
_LARGEST = 1 << 20


#: Seconds that devices have to register after the tracker's start, and between looks.
_REGISTERING, _LOOK = 5.0, 0.25

_NO_TURN = "no device of this key became free within {silence:g} seconds; --turn waits longer"


class _Code(IntEnum):
    SUCCESS = 0
    REQUEST = 4
    SUMMARY = 6


@dataclass(frozen=True)
class Assigned:
    """A device that the tracker gave us. host: "" where it is the tracker's own machine."""

    host: str
    port: int
    key: str


@dataclass(frozen=True)
class Queue:
    """Devices under one key of a tracker."""

    key: str
    devices: int
    free: int
    waiting: int


class Tracker(Closing):
    """A connection to a tracker. Calls raise DeviceError."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        channel.send(struct.pack("<i", TRACKER_MAGIC))
        if struct.unpack("<i", channel.receive(4))[0] != TRACKER_MAGIC:
            channel.fail("what answers there is no TVM RPC tracker")

    def request(self, key: str, *, turn: float, priority: int = 1) -> Assigned:
        """A device under `key`; waits for one at most `turn` seconds."""
        self._wait_for(key, min(turn, _REGISTERING))
        with self._channel.patience(turn), self._channel.meaning(silence=_NO_TURN):
            answer = self._ask([_Code.REQUEST, key, "tvmsr", priority])
        match answer:
            case [str() | None as host, int(port), str(found)] if 0 < port < 65536:
                return Assigned(host or "", port, found)
        self._channel.fail("it answered something else than a device")

    def _wait_for(self, key: str, seconds: float) -> None:
        """Until a device has the key: after a tracker's restart they come back within some seconds."""
        until = time.monotonic() + seconds
        while key not in (keys := [queue.key for queue in self.summary()]):
            if time.monotonic() >= until:
                names = ", ".join(keys) or "none at all"
                self._channel.fail(f"it has no device under the key {key!r}; its keys: {names}")
            time.sleep(_LOOK)

    def summary(self) -> tuple[Queue, ...]:
        """What it has, a row a key."""
        match self._ask([_Code.SUMMARY]):
            case {"queue_info": dict(queues), "server_info": list(servers)}:
                return tuple(_queue(key, queues, servers) for key in sorted({*queues, *map(_key_of, servers)} - {""}))
        self._channel.fail("its summary cannot be read")

    def close(self) -> None:
        self._channel.close()

    def _ask(self, question: list[Any]) -> Any:
        raw = json.dumps(question).encode()
        self._channel.send(struct.pack("<i", len(raw)) + raw)
        (length,) = struct.unpack("<i", self._channel.receive(4))
        if not 0 < length <= _LARGEST:
            self._channel.fail("it announced an answer that is too long")
        try:
            answer = json.loads(bytes(self._channel.receive(length)))
        except ValueError:
            self._channel.fail("its answer is no JSON")
        match answer:
            case [_Code.SUCCESS, value]:
                return value
            case [int(), str(text)]:
                self._channel.fail(f"it says: {text[:200]}")
        self._channel.fail("it answered something else than what it was asked for")


def _key_of(server: Any) -> str:
    """Key of a row of server_info."""
    key = server.get("key") if isinstance(server, dict) else None
    return key.removeprefix("server:") if isinstance(key, str) else ""


def _queue(key: str, queues: dict[str, Any], servers: list[Any]) -> Queue:
    row = queues.get(key)
    numbers = row if isinstance(row, dict) else {}
    free, waiting = (n if isinstance(n, int) else 0 for n in (numbers.get("free"), numbers.get("pending")))
    return Queue(key, sum(_key_of(server) == key for server in servers), free, waiting)
