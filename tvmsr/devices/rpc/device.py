"""A device behind a server of TVM's RPC."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from tvmsr.devices.closing import Owner
from tvmsr.devices.fit import fit_facts
from tvmsr.devices.hosted import Connection, HostedRunner
from tvmsr.devices.reach.reach import Reach
from tvmsr.devices.reach.shell import Shell
from tvmsr.devices.reach.through import ThroughShell
from tvmsr.devices.rpc.agent import Agent
from tvmsr.devices.runner import PLAIN, Facts, Opening
from tvmsr.errors import DeviceError

T = TypeVar("T")

#: What an agent is built for where nothing is known of the device.
TRIPLES = (
    "aarch64-linux-gnu.2.17",
    "x86_64-linux-gnu.2.17",
    "arm-linux-gnueabihf.2.17",
    "aarch64-linux-musl",
    "x86_64-linux-musl",
    "arm-linux-musleabihf",
)


class RpcDevice(Owner):
    """Connects when it is first used, keeps its session, and connects again after a failure.

    target: name of the target that it was added with; None where none is known.
    """

    def __init__(self, name: str, reach: Reach, *, target: str | None = None, emulated: bool = False) -> None:
        super().__init__()
        self.name = name
        self.target = target
        self.emulated = emulated
        self.reach = reach
        self._lock = threading.RLock()
        self._agent: Agent | None = None
        self._facts: Facts | None = None

    @property
    def shell(self) -> Shell | None:
        """Commands on the device; None where the way to it has none."""
        return self.reach.shell(self.name) if isinstance(self.reach, ThroughShell) else None

    def facts(self) -> Facts:
        with self._lock:
            if self._facts is None:
                with self._connection() as connection:
                    self._facts = connection.facts
            return self._facts

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        """Also while an artifact runs there."""
        return self._with_agent(lambda agent: agent.files(patterns))

    def levels(self, artifact: str | Path) -> tuple[str, ...]:
        manifest = fit_facts(Path(artifact), self.name, self.facts())
        with self._connection() as connection:
            return connection.load(Path(artifact), manifest["prefix"]).runs

    def open(self, artifact: str | Path, opening: Opening = PLAIN) -> HostedRunner:
        manifest = fit_facts(Path(artifact), self.name, self.facts())
        runner = HostedRunner(self._connection(), Path(artifact), manifest, opening)
        self._kept.add(runner)
        return runner

    def renew(self) -> None:
        """End the session there; what is opened next gets a new one, with memory of its own.

        Not with a tracker, which might give us another machine in the middle of a measurement.
        """
        if self.reach.one_machine:
            self.close()

    def close(self) -> None:
        """A call that another thread waits for ends with an error."""
        agent = self._agent
        if agent is not None and agent.busy is not None:
            agent.session.kill()
        super().close()
        with self._lock:
            if self._agent is not None:
                self._agent.close()
            self._agent = None

    def _connection(self) -> Connection:
        return self._with_agent(_connection)

    def _with_agent(self, use: Callable[[Agent], T]) -> T:
        """What `use` makes of the agent; of a new session's where the last one ended while nobody asked: its time was
        up, or the server began anew.
        """
        with self._lock:
            agent = self._agent
            if agent is not None and not agent.session.closed:
                try:
                    return use(agent)
                except DeviceError:
                    if not agent.session.closed:
                        raise
            self._agent = self._connected()
            if not self.reach.one_machine:
                self._facts = None
            return use(self._agent)

    def _connected(self) -> Agent:
        session = self.reach.connect(self.name)
        try:
            return Agent(session, self.reach.triples or TRIPLES)
        except BaseException:
            session.kill()
            raise


def _connection(agent: Agent) -> Connection:
    link = agent.link()
    try:
        return Connection(link)
    except BaseException:
        link.close()
        raise
