"""Network namespaces joined by a relay of IP packets with delay, loss and cuts: a process of its own.

    python -m tests.devices.network.relay client board ...

Each name becomes a namespace `tvmsr-PID-NAME` with an address of its own on a TUN device, whose other end is here: the
kernel's own qdisc for this (netem) is not in every kernel. Replies a line of JSON when all is set up, then to each line
{"node": NAME, "delay": seconds, "loss": 0 to 1, "cut": bool}. When its standard input ends, or it is told to end, it
kills what runs in the namespaces and removes them: so they go too when the tests are killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000

#: Of the network benchmark range: it is routed nowhere.
NET = "198.18.0"

#: Packets from one node in a row before the others get a turn.
_BURST = 64

_RUN = Path("/run/netns")
_PREFIX = "tvmsr-"


def address(index: int) -> str:
    return f"{NET}.{index + 1}"


@dataclass
class Node:
    """One namespace and its link to all others. delay, loss: of the link, in each direction."""

    name: str
    fd: int
    delay: float = 0.0
    loss: float = 0.0
    cut: bool = False


@dataclass
class Relay:
    """Where packets wait. Loss comes from a fixed seed."""

    nodes: dict[bytes, Node] = field(default_factory=dict)  # by address
    waiting: list[tuple[float, int, bytes, Node]] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    count: int = 0

    def take(self, source: Node) -> None:
        """Packets that a node sent."""
        for _ in range(_BURST):
            try:
                packet = os.read(source.fd, 65536)
            except BlockingIOError:
                return
            target = self.nodes.get(packet[16:20]) if packet[0] >> 4 == 4 else None
            if target is not None and not self._lost(source) and not self._lost(target):
                self._forward(packet, source.delay + target.delay, target)

    def _lost(self, node: Node) -> bool:
        return node.cut or (node.loss > 0 and self.chance.random() < node.loss)

    def _forward(self, packet: bytes, delay: float, target: Node) -> None:
        if delay <= 0:
            _write(target, packet)
        else:
            self.count += 1
            heapq.heappush(self.waiting, (time.monotonic() + delay, self.count, packet, target))

    def deliver(self) -> float | None:
        """Send what is due; seconds until more is, None where nothing waits."""
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            *_, packet, target = heapq.heappop(self.waiting)
            if not target.cut:
                _write(target, packet)
        return max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None

    def run(self) -> None:
        """Until standard input ends."""
        poll, by_fd = select.poll(), {node.fd: node for node in self.nodes.values()}
        for fd in (*by_fd, sys.stdin.fileno()):
            poll.register(fd, select.POLLIN)
        while True:
            wait = self.deliver()
            for fd, _ in poll.poll(None if wait is None else wait * 1e3):
                if fd in by_fd:
                    self.take(by_fd[fd])
                elif not self._obey(sys.stdin.readline()):
                    return

    def _obey(self, line: str) -> bool:
        if not line:
            return False
        wanted = json.loads(line)
        name = wanted.pop("node")
        for node in self.nodes.values():
            if node.name == name:
                for key, value in wanted.items():
                    setattr(node, key, value)
        _say({})
        return True


def _write(target: Node, packet: bytes) -> None:
    with contextlib.suppress(OSError):  # its device is down: lost
        os.write(target.fd, packet)


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _open_tun() -> tuple[int, str]:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    answer = fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"tvmsr%d", _IFF_TUN | _IFF_NO_PI))
    return fd, answer[:16].rstrip(b"\0").decode()


def _make_node(name: str, namespace: str, at: str) -> Node:
    """A namespace and a device in it; the descriptor stays ours when the device moves."""
    _ip("netns", "add", namespace)
    fd, device = _open_tun()
    _ip("link", "set", device, "netns", namespace)
    # Longer than what TCP has on its way: the kernel drops what does not fit, and loss is the tests' to choose.
    for words in (
        "link set lo up", f"addr add {at}/24 dev {device}", f"link set {device} mtu 1500 txqueuelen 20000 up",
    ):  # fmt: skip
        _ip("-n", namespace, *words.split())
    return Node(name, fd)


def _remove(namespace: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        for pid in _ip("netns", "pids", namespace).split():
            if int(pid) not in (os.getpid(), os.getppid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    with contextlib.suppress(OSError):
        _ip("netns", "del", namespace)


def _remove_stale() -> None:
    """Namespaces of relays that were killed."""
    for path in _RUN.glob(f"{_PREFIX}*"):
        owner = path.name.split("-")[1]
        if owner.isdigit() and not Path("/proc", owner).exists():
            _remove(path.name)


def main(names: list[str]) -> None:
    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    namespaces = {name: f"{_PREFIX}{os.getpid()}-{name}" for name in names}
    try:
        _remove_stale()
        relay = Relay()
        for index, (name, namespace) in enumerate(namespaces.items()):
            node = _make_node(name, namespace, address(index))
            relay.nodes[bytes(map(int, address(index).split(".")))] = node
        _say({name: [namespace, address(index)] for index, (name, namespace) in enumerate(namespaces.items())})
        relay.run()
    except OSError as error:
        _say({"error": str(error)})
    finally:
        for namespace in namespaces.values():
            _remove(namespace)


if __name__ == "__main__":
    main(sys.argv[1:])
