"""What a tracker says, and trackers that are none."""

from __future__ import annotations

import json
import struct
import time

import pytest

from tests.devices.rpc.scripted import Peer, channel_to
from tvmsr.devices.rpc.tracker import Assigned, Queue, Tracker
from tvmsr.devices.rpc.wire import TRACKER_MAGIC
from tvmsr.errors import DeviceError


def says(*answers):
    """A tracker that answers so, one after the other: values as JSON, bytes as they are."""

    def script(peer: Peer) -> None:
        assert struct.unpack("<i", peer.take(4))[0] == TRACKER_MAGIC
        peer.send(struct.pack("<i", TRACKER_MAGIC))
        for answer in answers:
            script.asked.append(json.loads(peer.take(struct.unpack("<i", peer.take(4))[0])))
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            peer.send(struct.pack("<i", len(raw)) + raw)
        time.sleep(60)

    script.asked = []
    return script


SUMMARY = [0, {"queue_info": {"rpi5": {"free": 1, "pending": 0}}, "server_info": [{"key": "server:rpi5"}]}]


def test_a_device():
    script = says(SUMMARY, [0, ["10.0.0.5", 9090, "rpi5:0.25"]], SUMMARY, [0, [None, 9091, "rpi5:0.5"]])
    with Tracker(channel_to(script)) as tracker:
        assert tracker.request("rpi5", turn=5, priority=2) == Assigned("10.0.0.5", 9090, "rpi5:0.25")
        assert tracker.request("rpi5", turn=5).host == ""
    assert script.asked[:2] == [[6], [4, "rpi5", "tvmsr", 2]]


def test_summary():
    servers = [{"key": "server:rpi5", "addr": ["h", 1]}, {"key": "server:rpi5", "addr": ["h", 2]}, {"key": "server:x"}]
    script = says([0, {"queue_info": {"rpi5": {"free": 1, "pending": 3}}, "server_info": servers}])
    with Tracker(channel_to(script)) as tracker:
        assert tracker.summary() == (Queue("rpi5", 2, 1, 3), Queue("x", 1, 0, 0))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([0, ["h", 0, "k"]], "something else than a device"),
        ([0, ["h", "9090", "k"]], "something else than a device"),
        ([0], "something else than what it was asked"),
        ([-1, "no such key"], "it says: no such key"),
        (b"{", "no JSON"),
        (b"", "too long"),
    ],
)
def test_nonsense(answer, words):
    with Tracker(channel_to(says(SUMMARY, answer))) as tracker, pytest.raises(DeviceError, match=words):
        tracker.request("rpi5", turn=5)


def test_nobody_is_free():
    with Tracker(channel_to(says(SUMMARY))) as tracker, pytest.raises(DeviceError, match=r"free within 0\.2 seconds"):
        tracker.request("rpi5", turn=0.2)


def test_a_key_that_it_does_not_have():
    script = says(*[SUMMARY] * 9)
    with Tracker(channel_to(script)) as tracker, pytest.raises(DeviceError, match=r"'rpi4'; its keys: rpi5"):
        tracker.request("rpi4", turn=0.5)
    assert len(script.asked) > 1


def test_a_device_that_registers_later():
    nothing = [0, {"queue_info": {}, "server_info": []}]
    with Tracker(channel_to(says(nothing, SUMMARY, [0, ["h", 9090, "rpi5:1"]]))) as tracker:
        assert tracker.request("rpi5", turn=20).host == "h"


def test_no_tracker():
    with pytest.raises(DeviceError, match="no TVM RPC tracker"):
        Tracker(channel_to(lambda peer: (peer.send(b"HTTP"), time.sleep(60))))
