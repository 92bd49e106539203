"""A device of a farm, which a tracker hands out: --tracker HOST:PORT --key KEY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvmsr.devices.reach.sockets import connect
from tvmsr.devices.reach.token import read_token, with_token
from tvmsr.devices.rpc.client import TURN, RpcSession
from tvmsr.devices.rpc.tracker import Tracker
from tvmsr.errors import DeviceError

#: TVM's own.
TRACKER = "`python -m tvm.exec.rpc_tracker`"

#: A key that the tracker gave out is good for some seconds only: on a slow line the next one may do.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Tracked:
    """Any device under `key` of a tracker. turn: seconds to wait for one that is free."""

    host: str
    port: int
    key: str
    token_file: str | None = None
    turn: float = TURN
    triples: tuple[str, ...] = ()
    one_machine: ClassVar[bool] = False

    def connect(self, name: str) -> RpcSession:
        token = read_token(self.token_file)
        for attempt in range(_ATTEMPTS):
            with Tracker(connect(f"{name}'s tracker", self.host, self.port, program=TRACKER)) as tracker:
                given = tracker.request(self.key, turn=self.turn)
            try:
                channel = connect(name, given.host or self.host, given.port)
                return RpcSession(channel, with_token(given.key, token), turn=self.turn)
            except DeviceError:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")
