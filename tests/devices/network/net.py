"""Places that servers and clients run in: network namespaces with links between them, or this machine as it is."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tvmsr.devices.closing import Closing

_CLONE_NEWNET = 0x40000000

ROOT = Path(__file__).resolve().parents[3]


class NoNetworkError(Exception):
    """Says why there can be no namespaces here."""


@dataclass(frozen=True)
class Place:
    """Where something runs, and its address there. namespace: None for this machine."""

    name: str
    address: str
    namespace: str | None = None

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that this thread opens, and processes that it starts, are in this place."""
        if self.namespace is None:
            yield
            return
        with Path("/proc/thread-self/ns/net").open("rb") as before, Path("/run/netns", self.namespace).open("rb") as to:
            _set_namespace(to.fileno())
            try:
                yield
            finally:
                _set_namespace(before.fileno())


def _set_namespace(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is new in Python 3.12
    if libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Here(Closing):
    """Every place is this machine's loopback: what needs no links can be tried without namespaces."""

    has_links = False

    def __getitem__(self, name: str) -> Place:
        return Place(name, "127.0.0.1")

    def heal(self) -> None:
        """There is nothing to heal."""

    def close(self) -> None:
        """There is nothing to remove."""


class Network(Closing):
    """Namespaces with one address each. NoNetworkError where they cannot be had."""

    has_links = True

    def __init__(self, *names: str) -> None:
        if os.geteuid() != 0:
            raise NoNetworkError("network namespaces need root")
        if not Path("/dev/net/tun").exists() or shutil.which("ip") is None:
            raise NoNetworkError("network namespaces need /dev/net/tun and ip (apt-get install iproute2)")
        self._relay = subprocess.Popen(
            [sys.executable, "-m", "tests.devices.network.relay", *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C ends it by the end of its input, after us
        )
        made = self._answer()
        if "error" in made:
            self.close()
            raise NoNetworkError(f"no network namespaces: {made['error']}")
        self._places = {name: Place(name, at, namespace) for name, (namespace, at) in made.items()}

    def __getitem__(self, name: str) -> Place:
        return self._places[name]

    def set(self, name: str, *, delay: float = 0.0, loss: float = 0.0, cut: bool = False) -> None:
        """The link between a place and all others: delay in seconds and loss of packets each way."""
        assert self._relay.stdin is not None
        self._relay.stdin.write(json.dumps({"node": name, "delay": delay, "loss": loss, "cut": cut}) + "\n")
        self._relay.stdin.flush()
        self._answer()

    def heal(self) -> None:
        """All links as they were."""
        for name in self._places:
            self.set(name)

    def _answer(self) -> dict:
        assert self._relay.stdout is not None
        return json.loads(self._relay.stdout.readline() or '{"error": "the relay ended"}')

    def close(self) -> None:
        with self._relay:
            assert self._relay.stdin is not None
            with contextlib.suppress(OSError):
                self._relay.stdin.close()
            try:
                self._relay.wait(30)
            except subprocess.TimeoutExpired:
                self._relay.kill()
