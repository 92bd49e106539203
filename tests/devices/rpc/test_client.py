"""Sessions with servers that refuse, die, hang or answer nonsense: one error that says so, and a closed connection."""

from __future__ import annotations

import struct
import threading
import time

import pytest

from tests.devices.rpc.scripted import Peer, channel_to
from tvmsr.devices.rpc.client import RemoteError, RpcSession
from tvmsr.devices.rpc.wire import MAGIC, Code, Handle
from tvmsr.errors import DeviceError

PAUSE = 60


def answers(raw: bytes):
    """Greets, and answers the next packet so."""

    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_packet()
        peer.send(raw)
        time.sleep(PAUSE)

    return script


def handshake(raw: bytes):
    def script(peer: Peer) -> None:
        peer.take_key()
        peer.send(raw)
        time.sleep(PAUSE)

    return script


def exception(peer: Peer, text: str) -> None:
    peer.answer(text, code=Code.EXCEPTION)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (lambda peer: None, "ended the connection"),
        (lambda peer: peer.take_key(), "ended the connection"),
        (handshake(struct.pack("<i", MAGIC + 2)), "refused the key or the token"),
        (handshake(struct.pack("<i", MAGIC + 1)), "another client with the same key"),
        (handshake(b"HTTP/1.1 400 Bad Request"), "no TVM RPC server"),
        (handshake(struct.pack("<ii", MAGIC, -1)), "no TVM RPC server"),
        (handshake(struct.pack("<ii", MAGIC, 1 << 30)), "no TVM RPC server"),
        (lambda peer: None, "before a session began"),
        (lambda peer: time.sleep(PAUSE), "no turn within 0.3 seconds"),
        (handshake(struct.pack("<iii", MAGIC, 0, 7)), "said nothing for 0.3 seconds"),
    ],
)
def test_no_session(script, words):
    channel = channel_to(script, silence=0.3)
    with pytest.raises(DeviceError, match=f"a fake: .*{words}") as error:
        RpcSession(channel, "k", turn=0.3)
    assert channel.closed and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (struct.pack("<Qi", 3, 4), "no answer"),
        (struct.pack("<Qi", 1 << 62, 4), "no answer"),
        (struct.pack("<Qi", 8, 3) + bytes(4), "no answer"),
        (struct.pack("<Qii", 8, 4, 1 << 20), "number of values"),
        (struct.pack("<Qii", 8, 4, -1), "number of values"),
        (struct.pack("<Qii", 8, 4, 1), "cut short"),
        (struct.pack("<Qiii", 12, 4, 1, 999), "value of type 999"),
        (struct.pack("<Qiiiq", 20, 4, 1, 1, 5), "something else than a function"),
        (struct.pack("<Qi", 100, 4) + bytes(9), "said nothing for 0.3 seconds"),
    ],
)
def test_nonsense(raw, words):
    session = RpcSession(channel_to(answers(raw), silence=0.3), "k")
    with pytest.raises(DeviceError, match=f"a fake: .*{words}"):
        session.function("f")
    assert session.closed
    with pytest.raises(DeviceError, match="is closed"):
        session.function("f")


def test_an_error_there_leaves_the_session():
    def script(peer: Peer) -> None:
        assert peer.greet() == "client:k"
        peer.take_packet()
        peer.answer(Handle(3))
        for _ in range(2):
            assert peer.take_packet()[0] == Code.CALL
            exception(peer, "Traceback:\n  InternalError: Check failed: no space\n  open: No space left on device\n")
        peer.take_packet()
        peer.answer(1, 42)
        peer.take_packet()

    with RpcSession(channel_to(script), "k") as session:
        for _ in range(2):
            with pytest.raises(RemoteError, match=r"a fake: its disk is full$"):
                session.call("f", b"x")
        assert session.call("f") == 42 and not session.closed


def test_a_session_whose_time_is_up():
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_packet()
        exception(peer, 'RPCSessionTimeoutError: Your 2.0s session has expired, try to increase "session_timeout".')

    session = RpcSession(channel_to(script), "k")
    with pytest.raises(DeviceError, match=r"limit of 2.0 seconds for a session is up"):
        session.function("f")
    assert session.closed


def test_a_function_that_is_not_there():
    def script(peer: Peer) -> None:
        peer.greet()
        for value in (None, Handle(0)):
            peer.take_packet()
            peer.answer(value)
        peer.take_packet()

    with RpcSession(channel_to(script), "k") as session:
        assert session.function("f") is None
        with pytest.raises(RemoteError, match="has no function g"):
            session.call("g")


def test_another_thread_ends_a_call_that_waits():
    session = RpcSession(channel_to(lambda peer: (peer.greet(), time.sleep(PAUSE))), "k")
    threading.Timer(0.2, session.kill).start()
    started = time.monotonic()
    with pytest.raises(DeviceError):
        session.function("f")
    assert session.closed and time.monotonic() - started < 15
