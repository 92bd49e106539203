"""`tvmsr device doctor`: what is wrong with a device, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmsr.commands.devices.limited import limited
from tvmsr.commands.devices.listing import added_entry
from tvmsr.commands.doctor import Check
from tvmsr.commands.progress import Progress, silent
from tvmsr.devices.health import Complaint, complaints, look
from tvmsr.errors import DeviceError, TvmsrError

if TYPE_CHECKING:
    from tvmsr.devices import Device
    from tvmsr.devices.examine import Machine
    from tvmsr.devices.health import Health
    from tvmsr.devices.registry import Entry
    from tvmsr.hardware import Target

#: Seconds that a check may take, beside the time that one waits for one's turn. A server may have to be built first.
_LIMIT, _BUILD = 60.0, 600.0

#: Checks without which a device cannot be used at all.
_REACHING = ("reachable", "session")


@dataclass(frozen=True)
class DeviceDiagnosis:
    """What was looked at, in order; after a check without which there is no other it ends. ok None: a doubt.

    verdict: the one thing that is wrong and what to do, "" for a healthy device.
    """

    name: str
    checks: tuple[Check, ...]
    health: Health | None = None

    @property
    def reached(self) -> bool:
        return all(check.ok is not False for check in self.checks if check.name in _REACHING)

    @property
    def healthy(self) -> bool:
        return all(check.ok is not False for check in self.checks)

    @property
    def verdict(self) -> str:
        worst = next((c for c in self.checks if c.ok is False), next((c for c in self.checks if c.ok is None), None))
        return f"{worst.name}: {worst.detail}" if worst is not None else ""

    @property
    def exit_code(self) -> int:
        """0 for a healthy one, 4 where it cannot be reached, 1 for what else is wrong."""
        return 0 if self.healthy else DeviceError.exit_code if not self.reached else 1

    def as_json(self) -> dict[str, Any]:
        return {
            "device": self.name,
            "healthy": self.healthy,
            "reached": self.reached,
            "verdict": self.verdict,
            "checks": [vars(check) for check in self.checks],
            "health": self.health.as_json() if self.health is not None else None,
        }


def doctor_device(name: str, *, progress: Progress = silent) -> DeviceDiagnosis:
    """Look at a device that was added: the way to it, its server, what it is beside what it was, and how it is.

    Raises UsageError where none of this name was added; what is wrong with the device itself is in the result.
    """
    from tvmsr.commands.devices.add import now
    from tvmsr.devices.registry import Registry

    entry = added_entry(name)
    visit = _Visit(entry)
    checks: list[Check] = []
    try:
        for done, (check, step, seconds) in enumerate(visit.steps):
            progress("doctor", done, len(visit.steps))
            found = _attempt(name, check, step, seconds)
            checks += found
            if any(one.ok is False and one.name == check for one in found):
                break
        else:
            Registry().saw(name, now())
    finally:
        visit.close()
    progress("doctor", len(visit.steps), len(visit.steps))
    return DeviceDiagnosis(name, tuple(checks), visit.health)


def _attempt(device: str, name: str, step: Callable[[], list[Check]], seconds: float) -> list[Check]:
    try:
        return limited(step, seconds, "it")
    except TvmsrError as error:
        return [Check(name, False, str(error).removeprefix(f"{device}: "))]


class _Visit:
    """The checks, in order; each stands on those before it."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._device: Device | None = None
        self._machine: Machine | None = None
        self.health: Health | None = None
        wait = _LIMIT + (entry.turn or _LIMIT)
        self.steps: tuple[tuple[str, Callable[[], list[Check]], float], ...] = (
            ("reachable", self._reach, _LIMIT),
            ("session", self._session, _BUILD),
            ("agent", self._agent, _BUILD),
            ("as it was added", self._as_added, wait),
            ("target", self._target, wait),
            ("health", self._health, wait),
        )

    def close(self) -> None:
        if self._device is not None:
            self._device.close()

    @property
    def device(self) -> Device:
        from tvmsr.devices.find import device_of

        if self._device is None:
            self._device = device_of(self._entry)
        return self._device

    def _reach(self) -> list[Check]:
        return [Check("reachable", True, _reached(self._entry, self.device))]

    def _session(self) -> list[Check]:
        """A session of its own: it may be with a server that knows nothing of us."""
        from tvmsr.devices.program import agent_key
        from tvmsr.devices.rpc.wire import PROTOCOL

        reach = getattr(self.device, "reach", None)
        if reach is None:
            return [Check("session", True, "the emulator runs our host program")]
        with reach.connect(self.device.name) as session:
            ours = session.function(f"tvmsr.agent.{agent_key()}") is not None
            version = session.call("tvmsr.version") if session.function("tvmsr.version") is not None else ""
        server = f"{version or 'a server of TVM'}, {'with our agent' if ours else 'our agent is sent there'}"
        return [Check("session", True, f"it takes our key; {server}; TVM's RPC protocol {PROTOCOL.decode()}")]

    def _agent(self) -> list[Check]:
        from tvmsr.devices.examine import machine_of
        from tvmsr.devices.sysfiles import WHAT

        start = time.perf_counter()
        facts = self.device.facts()
        self._machine = machine_of(facts, self.device.files(WHAT))
        took = f"answers ({1e3 * (time.perf_counter() - start):.0f} ms with the connection)"
        return [Check("agent", True, f"{took}; features: {', '.join(sorted(facts.features)) or 'none told'}")]

    def _as_added(self) -> list[Check]:
        seen, facts = self._entry.seen, self.device.facts()
        pairs = {
            "CPU": (seen.machine, facts.machine),
            "system": (seen.system, facts.system),
            "C library": (seen.libc, facts.libc),
            "page size": (seen.page_size, facts.page_size),
            "features": (", ".join(seen.features), ", ".join(sorted(facts.features))),
        }
        changed = [f"{what} was {old} and is {new}" for what, (old, new) in pairs.items() if old != new]
        if changed:
            again = f"`tvmsr device add {self._entry.name} ... --overwrite` notes what it is now"
            return [Check("as it was added", None, f"{'; '.join(changed)}: {again}")]
        pages = f"pages of {facts.page_size >> 10} KiB"
        return [Check("as it was added", True, f"{facts.machine}, {facts.system}, {facts.libc}, {pages}")]

    def _target(self) -> list[Check]:
        from tvmsr.hardware import load_target

        if self._entry.target is None:
            return [Check("target", None, "none is known: add it again with --target, or compile with one")]
        assert self._machine is not None
        return list(_against(self._machine, load_target(self._entry.target)))

    def _health(self) -> list[Check]:
        assert self._machine is not None
        if self._machine.emulated or self.device.emulated:
            return [Check("health", True, "emulated: clocks, heat and load are those of the machine below")]
        self.health = look(self.device.files, time.sleep)
        found = [_check_of(complaint) for complaint in complaints(self.health)]
        if any(check.ok is False for check in found):
            return found
        return [Check("health", True, _how(self.health)), *found]


def _reached(entry: Entry, device: Device) -> str:
    """The way there, by itself."""
    from tvmsr.devices.reach.sockets import connect
    from tvmsr.devices.reach.through import ThroughShell
    from tvmsr.devices.reach.tracked import TRACKER
    from tvmsr.devices.rpc.tracker import Tracker

    way, reach = entry.reach, getattr(device, "reach", None)
    if isinstance(reach, ThroughShell):
        far = reach.look(entry.name)
        return f"{way.words}: {far.machine}, {far.one('system')}"
    if way.kind == "rpc":
        connect(entry.name, way.host, way.port).kill()
        return f"{way.host}:{way.port} takes connections"
    if way.kind == "tracker":
        with Tracker(connect(f"{entry.name}'s tracker", way.host, way.port, program=TRACKER)) as tracker:
            queue = next((queue for queue in tracker.summary() if queue.key == way.key), None)
        if queue is None or queue.devices == 0:
            raise DeviceError(
                f"the tracker {way.host}:{way.port} has no device with the key {way.key}; is a server started with "
                f"--tracker and --key {way.key}?"
            )
        return f"the tracker has {queue.devices} devices with the key, {queue.free} free, {queue.waiting} clients wait"
    return f"{way.words} is installed"


def _against(machine: Machine, target: Target) -> Iterator[Check]:
    """Whether artifacts for the target run there, and at which levels."""
    from tvmsr.devices.examine import compare, obstacles, remedy, unlike

    stops, others = obstacles(machine, target), tuple(unlike(machine, target))
    if stops:
        what = f"{target.name} is not for this device: {'; '.join(stops)}; {remedy(machine, target)}"
        yield Check("target", False, what)
        return
    runs = [level.name for level in target.levels if set(level.needs) <= machine.features]
    yield Check("target", True, f"{target.name}, levels {', '.join(runs) or 'unknown'}")
    if others:
        yield Check("target", None, f"{target.name}: {'; '.join(others)}; {remedy(machine, target)}")
    for sentence in compare(machine, target):
        if sentence not in others and not sentence.startswith("level "):  # an unused level harms nobody
            yield Check("target", None, f"{target.name}: {sentence}")


def _check_of(complaint: Complaint) -> Check:
    return Check(complaint.kind, False if complaint.severity == "fault" else None, str(complaint))


def _how(health: Health) -> str:
    """In a few words, and what it does not tell: a doctor that is silent about it seems to have looked."""
    hottest, said = health.hottest, []
    if health.governors:
        said.append(f"governor {', '.join(health.governors)}")
    if hottest is not None:
        said.append(f"{hottest.celsius:.0f} C")
    if health.throttled is not None:
        said.append("throttled" if health.throttled else "not throttled")
    if health.memory is not None:
        said.append(f"{health.memory >> 20} MiB free")
    if health.busy is not None:
        said.append(f"{health.busy:.1f} cores busy")
    if not said:
        return "it tells nothing of clocks, heat or load"
    told = {
        "clock governor": bool(health.governors),
        "temperature": hottest is not None,
        "throttling": health.throttled is not None or health.throttle_count is not None,
    }
    untold = [what for what, known in told.items() if not known]
    return ", ".join(said) + (f"; not told: {', '.join(untold)}" if untold else "")
