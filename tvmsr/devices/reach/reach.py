"""Reach: the way to a device."""

from __future__ import annotations

from typing import Protocol

from tvmsr.devices.rpc.client import RpcSession


class Reach(Protocol):
    """Opens sessions with a device's server, one after the other. Holds nothing between them."""

    @property
    def one_machine(self) -> bool:
        """Whether every session is with the same machine."""

    @property
    def triples(self) -> tuple[str, ...]:
        """Of programs that may run there, as ziglang writes them, the likeliest first; () where nothing is known."""

    def connect(self, name: str) -> RpcSession:
        """A new session; name: of the device, for messages. DeviceError says what is in the way and what to do."""
