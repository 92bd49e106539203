"""Clients that stand still: each is sent away with a reason, and the next one is served."""

from __future__ import annotations

import struct
import time

import pytest

from tests.devices.server import handshake
from tests.devices.server.conftest import BOTH, EVERY, PYTHON, Serve, wait_until
from tests.devices.server.stock import client
from tvmsr.devices.reach.sockets import connect
from tvmsr.devices.rpc.client import RpcSession
from tvmsr.devices.rpc.wire import Code, call_packet, init_packet
from tvmsr.devices.rpc.words import meaning
from tvmsr.errors import DeviceError

LARGE = 24 << 20


@pytest.mark.parametrize("kind", EVERY)
def test_packet_that_stands_still(serve: Serve, kind: str) -> None:
    """In its length, or in what comes after."""
    server = serve("--stall", "1", "--sessions", "2", kind=kind)
    with handshake.connect(server.port, "client:") as one, handshake.connect(server.port, "client:") as other:
        for made, begun in ((one, b"\x10"), (other, struct.pack("<Qi", 100, 1))):
            handshake.welcome(made)
            made.sendall(begun)
        for made in (one, other):
            assert handshake.exception(made) == "RPCSessionTimeoutError: a packet of the session stood still for 1 s"
            assert handshake.read(made, 1) == b""
    wait_until(server.idle)


def test_packet_that_comes_slowly(serve: Serve) -> None:
    """As long as something comes, it goes on."""
    server = serve("--stall", "1", kind=PYTHON)
    packet = b"".join(init_packet())
    with handshake.connect(server.port, "client:") as made:
        handshake.welcome(made)
        for at in range(0, len(packet), 6):
            made.sendall(packet[at : at + 6])
            time.sleep(0.3)
        assert struct.unpack("<qi", handshake.read(made, 12))[1] == Code.RETURN, "no answer to a packet that came whole"


@pytest.mark.parametrize("kind", BOTH)
def test_answer_that_nobody_takes(serve: Serve, kind: str) -> None:
    server = serve("--stall", "1", kind=kind)
    channel = connect("board", "127.0.0.1", server.port)
    session = RpcSession(channel, "")
    session.upload("large", bytes(LARGE))
    download = session.function("tvm.rpc.server.download")
    assert download is not None
    channel.send(*call_packet(download, ("large",)))
    with RpcSession(connect("board", "127.0.0.1", server.port), "", turn=10) as next_one:
        assert next_one.call("tvm.rpc.server.workpath", "")
    session.kill()


@pytest.mark.parametrize("kind", BOTH)
def test_idle_session(serve: Serve, kind: str) -> None:
    server = serve("--idle", "1", "--sessions", "2", kind=kind)
    with client(server.port) as stock, RpcSession(connect("board", "127.0.0.1", server.port), "") as session:
        path = stock.get_function("tvm.rpc.server.workpath")
        for _ in range(3):
            time.sleep(0.4)
            assert session.call("tvm.rpc.server.workpath", "")
        time.sleep(1.3)
        with pytest.raises(DeviceError, match="board: it was asked for nothing for 1 seconds, and gave the session up"):
            session.call("tvm.rpc.server.workpath", "")
        assert session.closed
        with pytest.raises(Exception, match="RPCSessionTimeoutError: the session was idle for 1 s"):
            path("")
    wait_until(server.idle)


def test_words() -> None:
    assert meaning("RPCSessionTimeoutError: a packet of the session stood still for 30 s") == (
        "nothing of a packet moved for 30 seconds; it gave the session up"
    )
    assert meaning("RPCSessionTimeoutError: the session was idle for 600 s") == (
        "it was asked for nothing for 600 seconds, and gave the session up"
    )
