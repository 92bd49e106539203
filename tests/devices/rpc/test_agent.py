"""The agent in its own right: built for this machine, called as a TVM server would, through TVM-FFI in this process."""

from __future__ import annotations

import struct
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.devices.rpc.scripted import Peer, channel_to
from tvmsr.devices import Opening
from tvmsr.devices.hosted import Connection, HostedRunner
from tvmsr.devices.program import agent_key, agent_library
from tvmsr.devices.reach import Direct
from tvmsr.devices.rpc.agent import INSTANCES, Agent
from tvmsr.devices.rpc.client import RpcSession
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.devices.rpc.wire import Handle
from tvmsr.devices.wire import Command
from tvmsr.errors import DeviceError, InputFileError, WorkError

#: Calls the function of the library at argv[1] with what each line of standard input holds in hex; prints answers so.
CALLER = """
import ctypes, sys
class Bytes(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]
class Any(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("small", ctypes.c_uint32), ("value", ctypes.c_uint64)]
call = getattr(ctypes.CDLL(sys.argv[1]), "__tvm_ffi_tvmsr_agent")
for line in sys.stdin:
    raw = bytes.fromhex(line)
    kept = ctypes.create_string_buffer(raw, len(raw))
    given = Bytes(ctypes.addressof(kept), len(raw))
    value = Any(9, 0, ctypes.addressof(given))
    result = Any()
    if call(None, ctypes.byref(value), 1, ctypes.byref(result)) != 0:
        print("failed")
    else:
        found = ctypes.cast(result.value, ctypes.POINTER(Bytes)).contents
        print(ctypes.string_at(found.data, found.size).hex())
"""


@pytest.fixture(scope="module")
def library(triple):
    return agent_library(triple)


def agent_calls(library, *requests: bytes) -> list[bytes]:
    lines = "".join(raw.hex() + "\n" for raw in requests)
    command = [sys.executable, "-S", "-c", textwrap.dedent(CALLER), str(library)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=True)
    return [bytes.fromhex(line) for line in done.stdout.split("\n")[:-1]]


def begin(command: int, length: int, chunk: bytes = b"", instance: int = 0, wait: int = 1000) -> bytes:
    return struct.pack("<IIIQI", 1, instance, command, length, wait) + chunk


def more(chunk: bytes) -> bytes:
    return struct.pack("<III", 2, 0, 1000) + chunk


HELLO = struct.pack("<I", 2)


def test_a_request_in_pieces(library):
    first, second = agent_calls(library, begin(1, 4, HELLO[:1]), more(HELLO[1:]))
    assert first == struct.pack("<IQ", 0, 1)
    state, code, length = struct.unpack("<IIQ", second[:16])
    assert (state, code) == (2, 0) and len(second) == 16 + length


def test_pieces_of_an_answer(library):
    whole, tail, beyond = agent_calls(
        library,
        begin(1, 4, HELLO),
        struct.pack("<IIQI", 4, 0, 10, 1 << 20),
        struct.pack("<IIQI", 4, 0, 1 << 40, 1 << 20),
    )
    assert tail[16:] == whole[26:] and tail[:16] == whole[:16] and beyond == whole[:16]


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        ([b""], b"no request"),
        ([struct.pack("<I", 1)], b"no request"),
        ([struct.pack("<II", 3, INSTANCES)], b"no request"),
        ([struct.pack("<II", 99, 0)], b"an operation"),
        ([more(b"x")], b"no request is being received"),
        ([begin(1, 1 << 62)], b"too long"),
        ([begin(1, 2, HELLO)], b"more bytes"),
        ([begin(1, 4, HELLO[:2]), more(HELLO)], b"more bytes"),
        ([struct.pack("<III", 1, 0, 1)], b"too long"),
    ],
)
def test_requests_that_are_none(library, requests, words):
    *_, last, fine = agent_calls(library, *requests, begin(1, 4, HELLO))
    assert last.startswith(struct.pack("<I", 3)) and words in last
    assert fine.startswith(struct.pack("<II", 2, 0))


def test_instances_are_apart(library, fake):
    path = str(fake).encode()
    load = struct.pack("<I", len(path)) + path + struct.pack("<I", 5) + b"tvmsr" + struct.pack("<I", 0)
    answers = agent_calls(
        library, begin(2, len(load), load, 3), begin(2, len(load), load, 3), begin(2, len(load), load, 15),
        begin(15, 0, b"", 3), begin(2, len(load), load, 3),
    )  # fmt: skip
    assert [struct.unpack("<II", answer[:8])[1] for answer in answers] == [0, 100, 0, 0, 0]


def test_a_checksum_that_differs(library, fake):
    path = str(fake).encode()
    for checksum, code in (("0" * 64, 101), ("", 0)):
        load = b"".join(struct.pack("<I", len(t)) + t for t in (path, b"tvmsr", checksum.encode()))
        (answer,) = agent_calls(library, begin(2, len(load), load))
        assert struct.unpack("<II", answer[:8]) == (2, code)
    assert b"checksum differs" not in answer


def agent_that(*replies: bytes, pause: float = 0.0):
    """A server whose agent, built in, answers so."""

    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_packet()
        peer.answer(Handle(3))
        for reply in replies:
            peer.take_packet()
            time.sleep(pause)
            peer.answer(9, reply)
        peer.take_packet()

    return Agent(RpcSession(channel_to(script), "k"), ())


def done(payload: bytes, length: int | None = None, code: int = 0) -> bytes:
    return struct.pack("<IIQ", 2, code, len(payload) if length is None else length) + payload


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ([b""], "cut short"),
        ([struct.pack("<I", 3) + b"no such thing"], "the agent says: no such thing"),
        ([struct.pack("<I", 7)], "state that does not exist"),
        ([struct.pack("<IQ", 0, 0)], "state that does not exist"),
        ([done(b"abc", 1 << 40)], "announced an answer of"),
        ([done(b"abc", 2)], "longer than it should"),
        ([done(b"abc", 9), done(b"", 9)], "cut short"),
        ([done(b"abc", 9), done(b"defghi", 8)], "cut short"),
        ([struct.pack("<IQQQ", 1, 0, 0, 5), done(b"\x09\0\0\0")], "version 9"),
    ],
)
def test_agents_that_answer_nonsense(replies, words):
    agent = agent_that(*replies)
    with pytest.raises(DeviceError, match=f"a fake: .*{words}"):
        Connection(agent.link())
    assert agent.session.closed


def test_files_while_an_artifact_is_at_work(library):
    """Also between the pieces of a request."""
    pattern = b"/proc/loadavg"
    ask = struct.pack("<IIII", 6, 0, 1, len(pattern)) + pattern
    outside = struct.pack("<IIII", 6, 0, 1, 11) + b"/etc/passwd"
    climbing = struct.pack("<IIII", 6, 0, 1, 23) + b"/proc/../../etc/passwd."
    linked = struct.pack("<IIII", 6, 0, 1, 26) + b"/proc/self/root/etc/passwd"
    first, found, no, neither, nothing, done = agent_calls(
        library, begin(1, 4, HELLO[:1]), ask, outside, climbing, linked, more(HELLO[1:])
    )
    assert first.startswith(bytes(4)) and done.startswith(struct.pack("<II", 2, 0))
    assert found.startswith(struct.pack("<II", 2, 0)) and found[16:20] == struct.pack("<I", 1) and pattern in found
    assert no.startswith(struct.pack("<I", 3)) and neither.startswith(struct.pack("<I", 3))
    assert nothing[16:] == bytes(4)


def test_too_many_artifacts():
    agent = agent_that()
    links = [agent.link() for _ in range(INSTANCES)]
    with pytest.raises(DeviceError, match="16 artifacts are open"):
        agent.link()
    agent.session.kill()
    links[3].close()
    assert agent.link().name == "a fake"


def test_the_key_follows_the_sources():
    assert len(agent_key()) == 16 and int(agent_key(), 16)


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """TVM's own server, as it comes."""
    rpc = pytest.importorskip("tvm.rpc")
    server = rpc.Server("127.0.0.1", 9190, 9299, key="k", silent=True)
    yield server.port
    server.terminate()


def test_a_stock_server_runs_artifacts(stock, local_fake, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (133, 147, 3), np.uint8)
    with RpcDevice("board", Direct("127.0.0.1", stock, "k")) as device:
        facts = device.facts()
        assert facts.system == "Linux" and facts.cores >= 1
        assert list(device.files(["/proc/loadavg", "/proc/no/such/thing"])) == ["/proc/loadavg"]
        assert device.levels(local_fake) == ("direct", "copied")
        with device.open(local_fake) as one, device.open(local_fake) as other:
            want = fake_reference.upscale(image)
            np.testing.assert_array_equal(one.upscale(image), want)
            np.testing.assert_array_equal(other.upscale(image), want)
            assert one.last().strips >= 1 and one.profiled(image) and one.memory().peak > 0
        cut = tmp_path / "cut.so"
        cut.write_bytes(local_fake.read_bytes()[:-5000])
        with pytest.raises(InputFileError, match="cut"):
            device.open(cut)
        session = device._agent.session
        session.kill()
        with device.open(local_fake) as again:
            np.testing.assert_array_equal(again.upscale(image), want)


def test_a_large_picture_and_cancelling_it(stock, local_fake):
    image = np.random.default_rng(0).integers(0, 256, (2500, 1500, 3), np.uint8)
    with RpcDevice("board", Direct("127.0.0.1", stock, "k")) as device, device.open(local_fake) as runner:
        seen: list[tuple[int, int]] = []
        result = runner.upscale(image)
        np.testing.assert_array_equal(result[::7], fake_reference.upscale(image)[::7])
        with pytest.raises(WorkError, match="cancelled"):
            while True:  # where it is quicker than the first look, try again
                runner.upscale(image, lambda done, total: seen.append((done, total)) or True)
        assert seen
        np.testing.assert_array_equal(runner.upscale(image[:9]), fake_reference.upscale(image[:9]))


def test_closing_one_does_not_end_another(stock, local_fake):
    """While one upscales in a thread, another artifact of the same session is closed in this one."""
    image = np.random.default_rng(0).integers(0, 256, (1200, 1500, 3), np.uint8)
    with RpcDevice("board", Direct("127.0.0.1", stock, "k")) as device:
        one, other = device.open(local_fake), device.open(local_fake)
        with ThreadPoolExecutor(1) as pool:
            results = [pool.submit(one.upscale, image) for _ in range(3)]
            other.close()
            for result in results:
                np.testing.assert_array_equal(result.result()[::9], fake_reference.upscale(image)[::9])


def test_an_upscale_beyond_its_limit(monkeypatch):
    monkeypatch.setattr("tvmsr.devices.rpc.agent._LEAST_LIMIT", 0.3)
    working = [struct.pack("<IQQQ", 1, 0, 0, cpu) for cpu in range(1000)]
    agent = agent_that(done(b"x" * 4), *working, pause=0.05)
    link = agent.link()
    assert link.call(Command.UPSCALE, bytes(1 << 16))[0] == 0
    with pytest.raises(DeviceError, match="30 times as long as pictures before"):
        link.call(Command.UPSCALE, bytes(8))


def test_a_new_session(stock, local_fake):
    with RpcDevice("board", Direct("127.0.0.1", stock, "k")) as device:
        with device.open(local_fake):
            before = device._agent
        device.renew()
        with device.open(local_fake):
            assert device._agent is not before


def test_hosted_runner_is_the_same_type(stock, local_fake):
    with RpcDevice("board", Direct("127.0.0.1", stock, "k")) as device:
        runner = device.open(local_fake, Opening(threads=2, level="copied"))
        assert isinstance(runner, HostedRunner) and runner.level == "copied"
    with pytest.raises(DeviceError, match="is closed"):
        runner.last()
