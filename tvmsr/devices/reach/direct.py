"""A server that listens where we can connect: --rpc HOST:PORT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvmsr.devices.reach.sockets import connect
from tvmsr.devices.reach.token import read_token, with_token
from tvmsr.devices.rpc.client import TURN, RpcSession


@dataclass(frozen=True)
class Direct:
    """turn: seconds to wait while others use the device. token_file: see tvmsr.devices.reach.token."""

    host: str
    port: int
    key: str = ""
    token_file: str | None = None
    turn: float = TURN
    triples: tuple[str, ...] = ()
    one_machine: ClassVar[bool] = True

    def connect(self, name: str) -> RpcSession:
        key = with_token(self.key, read_token(self.token_file))
        return RpcSession(connect(name, self.host, self.port), key, turn=self.turn)
