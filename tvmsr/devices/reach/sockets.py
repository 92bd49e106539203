"""TCP connections to servers and trackers, with errors in sentences."""

from __future__ import annotations

import socket

from tvmsr.devices.channel import SocketChannel
from tvmsr.errors import DeviceError

#: Seconds until a machine has to have accepted a connection.
CONNECT = 10.0

#: Seconds without a byte after which the other side counts as hung: it answers every call within one.
SILENCE = 10.0

#: Keepalive of idle connections: seconds to the first probe, between probes, probes; and milliseconds for lost data.
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 15_000))


#: What is to be started where nobody listens.
SERVER = "`tvmsr device serve` or tvmsr-device"


def connect(name: str, host: str, port: int, *, silence: float = SILENCE, program: str = SERVER) -> SocketChannel:
    """A channel to a TCP port. DeviceError where nobody answers there; program: what should."""
    try:
        connected = socket.create_connection((host, port), CONNECT)
    except TimeoutError:
        raise DeviceError(
            f"{name}: {host}:{port} did not answer within {CONNECT:g} seconds; is the device on, and in this network?"
        ) from None
    except ConnectionRefusedError:
        raise DeviceError(f"{name}: nothing listens on {host}:{port}; start {program} there") from None
    except OSError as error:
        raise DeviceError(f"{name}: cannot reach {host}:{port}: {error.strerror or error}") from None
    for option, value in _KEEPALIVE:
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return SocketChannel(connected, name, silence=silence)
