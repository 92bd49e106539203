"""How a machine is, what is wrong with it, and whether figures that were measured on it are to be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tvmsr.devices.sysfiles import HOW, Files
from tvmsr.devices.vitals import LOW_VOLTAGE, Clock, Health, Zone, health_of

__all__ = ["Clock", "Complaint", "Health", "Zone", "changed", "complaints", "doubts", "health_of", "look"]

#: Cores that others may use, memory that should be free, and C: how near to its limit, and what is hot without one.
_BUSY, _LOW_MEMORY, _NEAR, _HOT = 0.3, 256 << 20, 5.0, 80.0

_COOL = "let it cool down, give it a heat sink or a fan, and measure again"

#: NVIDIA's boards come in a mode that saves power: nvpmodel lowers the limit, jetson_clocks holds the clocks up.
_RAISE = (
    "somebody lowered scaling_max_freq in /sys/devices/system/cpu/cpu*/cpufreq: raise it (on a Jetson: "
    "sudo nvpmodel -m 0, then sudo jetson_clocks), and measure again"
)


@dataclass(frozen=True)
class Complaint:
    """What is wrong, as a clause, and what to do about it. severity: a fault makes figures wrong, a doubt may.

    kind: one word for what it is about, the same for the same complaint of two looks.
    """

    severity: Literal["fault", "doubt", "note"]
    kind: str
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.what}: {self.do}"


def look(read: Callable[[Iterable[str]], Files], wait: Callable[[float], object], seconds: float = 0.3) -> Health:
    """Two looks, `seconds` apart: only so is seen what else is running. read: Device.files; wait: time.sleep."""
    earlier = read(("/proc/stat",))
    wait(seconds)
    return health_of(read(HOW), earlier)


def changed(before: Health, after: Health) -> tuple[str, ...]:
    """What differs between two looks, in words: clocks, the hottest temperature, throttling."""
    said = []
    for old, new in zip(before.clocks, after.clocks, strict=False):
        if old.cores == new.cores and abs(old.now - new.now) > 0.02 * max(old.now, new.now):
            said.append(f"clock of {_numbers(new.cores)}: {old.now:.0f} to {new.now:.0f} MHz")
        if old.cores == new.cores and old.limit != new.limit:
            said.append(f"highest clock of {_numbers(new.cores)}: {old.limit:.0f} to {new.limit:.0f} MHz")
    if before.hottest is not None and after.hottest is not None:
        warmer = after.hottest.celsius - before.hottest.celsius
        if abs(warmer) >= 1:
            said.append(f"{after.hottest.name}: {before.hottest.celsius:.0f} to {after.hottest.celsius:.0f} C")
    said += [f"began: {reason}" for reason in after.reasons if reason not in before.reasons]
    said += [f"ended: {reason}" for reason in before.reasons if reason not in after.reasons]
    if throttles_between(before, after):
        said.append(f"the CPU throttled itself {throttles_between(before, after)} times")
    return tuple(said)


def throttles_between(before: Health, after: Health) -> int:
    """How often the CPU counted that it throttled; 0 where it does not count."""
    if before.throttle_count is None or after.throttle_count is None:
        return 0
    return max(after.throttle_count - before.throttle_count, 0)


def _numbers(cores: tuple[int, ...]) -> str:
    return f"core {cores[0]}" if len(cores) == 1 else f"cores {cores[0]} to {cores[-1]}"


def complaints(health: Health) -> tuple[Complaint, ...]:
    """What is wrong at one look, the weightiest first."""
    return tuple(complaint for rule in _RULES for complaint in rule(health))


def doubts(before: Health | None, after: Health | None, emulated: str = "") -> tuple[str, ...]:
    """Why figures measured between two looks are not to be trusted, a sentence each with what to do; () for no reason.

    emulated: the name of an emulator, "" for real hardware. None: a look that failed.
    """
    if emulated:
        return (f"times are those of the emulator {emulated}, not of a CPU: measure on the board itself",)
    if before is None or after is None:
        return ("the device does not tell how it is: clocks, heat and other load are unknown",)
    found = {complaint.kind: complaint for complaint in (*complaints(before), *_during(before, after))}
    for complaint in complaints(after):
        known = found.get(complaint.kind)
        if known is None or _WEIGHT[complaint.severity] < _WEIGHT[known.severity]:
            found[complaint.kind] = complaint
    kept = sorted(found.values(), key=lambda complaint: _WEIGHT[complaint.severity])
    return tuple(str(complaint) for complaint in kept if complaint.severity != "note")


_WEIGHT = {"fault": 0, "doubt": 1, "note": 2}


def _during(before: Health, after: Health) -> Iterator[Complaint]:
    """What only both looks show."""
    times = throttles_between(before, after)
    if times:
        yield Complaint("fault", "throttled", f"the CPU throttled itself {times} times meanwhile", _COOL)
    fresh = [reason for reason in after.past if reason not in before.past]
    if fresh:
        yield Complaint("fault", "throttled", f"meanwhile {fresh[0]}", _remedy(fresh[0]))


def _remedy(reason: str) -> str:
    if reason == LOW_VOLTAGE:
        return "use a stronger power supply (the board's own) and a short cable"
    return _COOL


def _throttled(health: Health) -> Iterator[Complaint]:
    if health.reasons:
        voltage = LOW_VOLTAGE in health.reasons  # it is the cause of the others then
        reason = LOW_VOLTAGE if voltage else health.reasons[0]
        more = f" ({', '.join(r for r in health.reasons if r != reason)})" if len(health.reasons) > 1 else ""
        yield Complaint("fault", "throttled", f"throttled: {reason}{more}", _remedy(reason))


def _limited(health: Health) -> Iterator[Complaint]:
    for clock in health.clocks:
        if clock.limited:
            what = f"{_numbers(clock.cores)} may run at {clock.limit:.0f} MHz of {clock.top:.0f} only"
            heated = health.reasons or any(_hot(health))
            yield Complaint("fault", "limit", what, _COOL if heated else _RAISE)
            return


def _slow(health: Health) -> Iterator[Complaint]:
    """A clock below the limit says something only where the governor wants the limit."""
    if health.governors != ("performance",):
        return
    for clock in health.clocks:
        if clock.steady and 0 < clock.now < 0.95 * (clock.limit or clock.top):
            what = f"under performance {_numbers(clock.cores)} run at {clock.now:.0f} MHz of {clock.top:.0f} only"
            yield Complaint("fault", "clock", what, "look at its supply and its temperature")
            return


def _hot(health: Health) -> Iterator[Complaint]:
    limited = [zone for zone in health.zones if zone.trip]
    zone = min(limited, key=lambda z: z.trip - z.celsius, default=None)
    hottest = health.hottest
    if zone is not None and zone.celsius >= zone.trip - _NEAR:
        what = f"{zone.name} has {zone.celsius:.0f} C and is slowed down from {zone.trip:.0f} C on"
        yield Complaint("fault" if zone.celsius >= zone.trip else "doubt", "heat", what, _COOL)
    elif hottest is not None and not hottest.trip and hottest.celsius >= _HOT:
        yield Complaint("doubt", "heat", f"{hottest.name} has {hottest.celsius:.0f} C", _COOL)


def _loaded(health: Health) -> Iterator[Complaint]:
    do = "end the other programs, or wait until they are done (top shows them)"
    if health.busy is not None:
        if health.busy > max(_BUSY, 0.05 * (health.cores or 1)):
            what = f"other programs use {health.busy:.1f} of {health.cores} cores"
            yield Complaint("doubt", "load", what, do)
    elif health.load is not None and health.load > 0.25 * (health.cores or 4):
        yield Complaint("doubt", "load", f"its load of the last minute is {health.load:.1f}", do)


def _memory(health: Health) -> Iterator[Complaint]:
    if health.memory is not None and health.memory < _LOW_MEMORY:
        total = f" of {health.memory_total >> 20}" if health.memory_total else ""
        what = f"only {health.memory >> 20} MiB{total} of memory are free"
        yield Complaint("doubt", "memory", what, "end other programs, or work in strips with --memory")


def _governor(health: Health) -> Iterator[Complaint]:
    others = [name for name in health.governors if name != "performance"]
    if others:
        do = (
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; a phone "
            "allows it to root only, so measure longer there"
        )
        yield Complaint("doubt", "governor", f"the clock governor is {others[0]}, not performance", do)


def _battery(health: Health) -> Iterator[Complaint]:
    if health.battery is not None and health.battery.discharging and health.battery.percent < 20:
        what = f"its battery has {health.battery.percent} % left, and systems save power then"
        yield Complaint("doubt", "battery", what, "charge it")


def _past(health: Health) -> Iterator[Complaint]:
    if health.past and not health.reasons:
        what = f"since it was started, {health.past[0]} at times"
        yield Complaint("note", "past", what, _remedy(health.past[0]))


#: The weightiest first.
_RULES: tuple[Callable[[Health], Iterator[Complaint]], ...] = (
    *(_throttled, _limited, _slow, _hot, _loaded, _memory, _governor, _battery, _past),
)
