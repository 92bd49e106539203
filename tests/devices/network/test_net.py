"""The harness itself: links delay, lose and cut as they are told, and nothing of it stays."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.devices.network.board import until
from tests.devices.network.net import ROOT, Here, Network, NoNetworkError
from tests.needs import lacking


@pytest.fixture
def links(net):
    if not net.has_links:
        lacking(net.reason)
    net.heal()
    yield net
    net.heal()


def datagrams(links, count: int) -> tuple[int, float]:
    """How many of so many come from `client` to `one`, and the seconds that the first took."""
    with links["one"].entered():
        there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        there.bind((links["one"].address, 0))
    with links["client"].entered():
        here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with here, there:
        began, came, first = time.monotonic(), 0, 0.0
        for _ in range(count):
            here.sendto(b"x", there.getsockname())
        while select.select([there], [], [], 0.5)[0]:
            there.recv(9)
            came += 1
            first = first or time.monotonic() - began
    return came, first


def test_whole_links(links):
    assert datagrams(links, 100)[0] == 100


def test_delay_adds_up(links):
    links.set("client", delay=0.1)
    links.set("one", delay=0.1)
    came, seconds = datagrams(links, 10)
    assert came == 10 and seconds >= 0.2


def test_loss(links):
    links.set("client", loss=0.3)
    assert 90 < datagrams(links, 200)[0] < 190


def test_cut_and_healed(links):
    links.set("one", cut=True)
    assert datagrams(links, 10)[0] == 0
    links.heal()
    assert datagrams(links, 10)[0] == 10


def test_places_are_apart(links):
    with links["one"].entered(), socket.create_server(("127.0.0.1", 0)) as door:
        with links["one"].entered():
            socket.create_connection(door.getsockname(), 5).close()
        with links["two"].entered(), pytest.raises(ConnectionRefusedError):
            socket.create_connection(door.getsockname(), 5)


def test_nothing_stays_when_the_tests_are_killed(links):
    code = "from tests.devices.network.net import Network\nimport time\n"
    code += "net = Network('a')\nprint(net['a'].namespace, flush=True)\ntime.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        assert owner.stdout is not None
        namespace = Path("/run/netns", owner.stdout.readline().strip())
        assert namespace.is_file()
        owner.send_signal(signal.SIGKILL)
    until(lambda: not namespace.exists(), 10, "a namespace is left")


def test_no_network_says_why(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NoNetworkError, match="need root"):
        Network("a")
    assert not Here().has_links
