"""`tvmsr device list` and `remove`: the devices that were added."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmsr.commands.devices.limited import Limited
from tvmsr.errors import TvmsrError, UsageError

if TYPE_CHECKING:
    from tvmsr.devices.registry import Entry

#: Seconds that a device has to answer in.
PING = 30.0

COLUMNS = ("name", "reached by", "target", "CPU", "last seen")


@dataclass(frozen=True)
class Listed:
    """A device that was added. answers: whether it does, None where nobody asked; said: in how long, or why not."""

    entry: Entry
    answers: bool | None = None
    said: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        entry = self.entry
        return (entry.name, entry.reach.words, entry.target or "", entry.seen.cpu, self.said or _day(entry.seen.when))

    def as_json(self) -> dict[str, Any]:
        return {**self.entry.model_dump(mode="json"), "answers": self.answers, "said": self.said}


def list_devices(*, check: bool = False) -> tuple[Listed, ...]:
    """The devices that were added, by name. check: ask all of them at once whether they answer, 30 seconds at most."""
    from tvmsr.devices.registry import Registry

    entries = Registry().entries()
    if not check:
        return tuple(Listed(entry) for entry in entries)
    _build_servers(entries)
    pings = [Limited(_ping(entry), PING, entry.name) for entry in entries]
    try:
        return tuple(_asked(entry, ping) for entry, ping in zip(entries, pings, strict=True))
    finally:
        for ping in pings:
            ping.end()


@dataclass(frozen=True)
class Removed:
    """A device that is forgotten. deleted: files there; notes: what was left, and why."""

    name: str
    deleted: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "deleted": list(self.deleted), "notes": list(self.notes)}


def remove_device(name: str) -> Removed:
    """Forget a device, and delete what was copied to it; where it cannot be reached, `notes` says what is left there.

    Raises UsageError where none of this name was added.
    """
    from tvmsr.devices.find import reach_of
    from tvmsr.devices.reach.through import ThroughShell
    from tvmsr.devices.registry import Registry

    entry = added_entry(name)
    deleted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    way = reach_of(entry) if entry.reach.kind in ("ssh", "adb") else None
    if isinstance(way, ThroughShell):
        try:
            deleted = way.remove(name)
        except TvmsrError as error:
            notes = (f"its server stays there (tvmsr-device-* in ~/.cache/tvmsr or /data/local/tmp/tvmsr): {error}",)
    Registry().remove(name)
    return Removed(name, deleted, notes)


def added_entry(name: str) -> Entry:
    """The entry of this name; UsageError where there is none."""
    from tvmsr.devices.find import meant
    from tvmsr.devices.registry import Registry

    entries = {entry.name: entry for entry in Registry().entries()}
    if name not in entries:
        there = f"there are {', '.join(entries)}" if entries else "there is none yet; `tvmsr device add` adds one"
        raise UsageError(f"no device {name!r} was added{meant(name, entries)}; {there}")
    return entries[name]


def _build_servers(entries: Sequence[Entry]) -> None:
    """What is copied to devices, ahead of the limits on them: after an update that takes a minute."""
    from tvmsr.devices.reach.far import program_for

    copied = [entry for entry in entries if entry.reach.kind in ("ssh", "adb")]
    for triple in dict.fromkeys(entry.seen.triple for entry in copied if entry.seen.triple):
        with contextlib.suppress(TvmsrError):  # which the device's own row says
            program_for(triple)


def _ping(entry: Entry) -> Callable[[], float]:
    """Asks the device, and says how many seconds that took."""
    from tvmsr.devices.find import device_of

    def ask() -> float:
        start = time.perf_counter()
        with device_of(entry) as device:
            device.facts()
        return time.perf_counter() - start

    return ask


def _asked(entry: Entry, ping: Limited[float]) -> Listed:
    from tvmsr.commands.devices.add import now
    from tvmsr.devices.registry import Registry

    try:
        seconds = ping.result()
    except TvmsrError as error:
        return Listed(entry, False, f"no answer: {str(error).removeprefix(f'{entry.name}: ')}")
    Registry().saw(entry.name, now())
    return Listed(entry, True, f"answers in {seconds:.1f} s")


def _day(when: str) -> str:
    return when.replace("T", " ").partition("+")[0]
