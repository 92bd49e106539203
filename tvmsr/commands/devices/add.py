"""`tvmsr device add`: find out what a device is, and remember it under a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.devices.limited import limited
from tvmsr.commands.progress import Progress, silent
from tvmsr.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from tvmsr.devices import Device
    from tvmsr.devices.examine import Machine
    from tvmsr.devices.registry import Entry, Way

#: Seconds for all that is asked of a device that answers; building its server, which may come first, has no limit.
_LOOK = 120.0

#: Seconds for deleting what was copied there, where adding failed: somebody may have pressed Ctrl-C.
_UNDO = 10.0


@dataclass(frozen=True)
class Added:
    """A device that answered. differs: where it is not as its target says, in sentences; notes: what else to know.

    runs: whether artifacts for its target can run there.
    """

    entry: Entry
    machine: Machine
    differs: tuple[str, ...]
    notes: tuple[str, ...]
    runs: bool = True

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What it is, as label and value."""
        return [("device", self.entry.name), ("reached by", self.entry.reach.words), *machine_rows(self.machine)]

    def as_json(self) -> dict[str, Any]:
        return {
            "device": self.entry.model_dump(mode="json"),
            "machine": self.machine.as_json(),
            "differs": list(self.differs),
            "notes": list(self.notes),
        }


def add_device(
    name: str,
    *,
    ssh: str | None = None,
    ssh_options: Sequence[str] = (),
    adb: str | None = None,
    rpc: str | None = None,
    tracker: str | None = None,
    qemu: str | None = None,
    key: str = "",
    target: str | None = None,
    token_file: str | Path | None = None,
    turn: float | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Added:
    """Connect to a device, see what it is, and remember it under `name`, for `device="NAME"` everywhere.

    Exactly one of: ssh, "[USER@]HOST" with `ssh_options` as words; adb, a serial number or "" for the only phone; rpc,
    "HOST:PORT" with `key`; tracker, "HOST:PORT" with `key`; qemu, "[ARCH:]CPU". target: what is compiled for it
    (default: the one that suits it best); token_file: a file that holds the server's token; turn: seconds to wait while
    others use it. Nothing is remembered, and nothing stays there, where any of it fails. Raises UsageError, DeviceError
    or, for a token file, InputFileError.
    """
    from tvmsr.commands.devices.places import way_from
    from tvmsr.devices.registry import Registry, name_problem, taken
    from tvmsr.hardware import load_target

    wrong = name_problem(name)
    if wrong:
        raise UsageError(f"{name!r}: {wrong}")
    earlier = Registry().get(name)
    if not overwrite and earlier is not None:
        raise taken(name)
    if target is not None:
        load_target(target)
        target = _resolved(target)
    file = _checked_token(token_file, rpc, tracker)
    if turn is not None and (turn <= 0 or (rpc is None and tracker is None)):
        raise UsageError(f"--turn {turn:g}: seconds above 0, for --rpc and --tracker, which others may use meanwhile")
    way = way_from(ssh=ssh, ssh_options=ssh_options, adb=adb, rpc=rpc, tracker=tracker, qemu=qemu, key=key)
    draft = _draft(name, way, target, file, turn)
    added = _examined(draft, progress)
    Registry().add(added.entry, overwrite=overwrite)
    return replace(added, notes=(*added.notes, *_left_behind(earlier, way)))


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def machine_rows(machine: Machine) -> list[tuple[str, str]]:
    """What a machine is, as label and value."""
    clusters = [
        f"{c.count}x {c.core or 'unknown core'}" + (f" at up to {c.mhz:.0f} MHz" if c.mhz else "")
        for c in machine.clusters
    ]
    rows = [
        ("CPU", machine.name + (" (emulated: its times are not those of a CPU)" if machine.emulated else "")),
        ("features", ", ".join(sorted(machine.features)) or "none told"),
        ("cores", ", ".join(clusters) or str(machine.cores)),
        ("memory", f"{machine.memory / 2**30:.1f} GiB" if machine.memory else ""),
        ("system", f"{machine.system}, {machine.libc or 'unknown C library'}"),
        ("page size", f"{machine.page_size >> 10} KiB" if machine.page_size else ""),
    ]
    return [(label, value) for label, value in rows if value]


def _checked_token(file: str | Path | None, rpc: str | None, tracker: str | None) -> str | None:
    """The absolute path of a file that holds a token; it is read again whenever it is needed."""
    from tvmsr.devices.reach.token import read_token

    if file is None:
        return None
    if rpc is None and tracker is None:
        raise UsageError("--token-file is for --rpc and --tracker: the other ways have no token")
    read_token(file)
    return str(Path(file).expanduser().resolve())


def _resolved(target: str) -> str:
    """A target's name; the whole path where it is a file."""
    return str(Path(target).resolve()) if target.endswith(".toml") else target


def _draft(name: str, way: Way, target: str | None, token_file: str | None, turn: float | None) -> Entry:
    """The entry before anything is known of the device."""
    from tvmsr.devices.registry import Entry, Seen

    moment = now()
    return Entry(
        name=name, reach=way, target=target, token_file=token_file, turn=turn, added=moment, seen=Seen(when=moment)
    )


def _examined(draft: Entry, progress: Progress) -> Added:
    """Connect, look, compare; what was copied there is deleted again where something fails."""
    from tvmsr.devices.find import device_of

    device = device_of(draft)
    try:
        with device:
            progress("connect", 0, 2)
            device.facts()  # may build the server first
            progress("connect", 1, 2)
            added = limited(lambda: _look(draft, device), _LOOK, f"{draft.name}: looking at it")
            progress("connect", 2, 2)
            return added
    except BaseException:
        _undo(device)
        raise


def _look(draft: Entry, device: Device) -> Added:
    from tvmsr.devices.examine import machine_of, remedy, suggest
    from tvmsr.devices.registry import Seen
    from tvmsr.devices.sysfiles import WHAT
    from tvmsr.hardware import load_target

    facts = device.facts()
    machine = machine_of(facts, device.files(WHAT))
    target, notes = draft.target, list(_notes(device))
    if target is None:
        try:
            target = suggest(machine)
            notes.append(
                f"artifacts for it are compiled for the target {target}, which suits it; --target says another"
            )
        except DeviceError as error:
            notes.append(str(error))
    differs, stops = _beside(machine, target)
    if stops and target is not None:
        notes.append(f"no artifact for {target} can run there; {remedy(machine, load_target(target))}")
    seen = Seen.of(facts, when=now(), cpu=machine.name, triple=_triple(device, facts), details=machine.as_json())
    entry = draft.model_copy(update={"target": target, "seen": seen})
    return Added(entry, machine, differs, tuple(notes), runs=not stops)


def _beside(machine: Machine, target: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the machine differs from a target, and why nothing for it can run there."""
    from tvmsr.devices.examine import compare, obstacles
    from tvmsr.hardware import load_target

    if target is None:
        return (), ()
    known = load_target(target)
    return compare(machine, known), obstacles(machine, known)


def _triple(device: Device, facts: Any) -> str:
    """Of programs that run there: what the way to it found, else by CPU and C library; "" where nobody knows."""
    from tvmsr.devices.reach.far import TRIPLES
    from tvmsr.hardware.target import architecture

    found = getattr(getattr(device, "reach", None), "triples", ())
    return found[0] if found else TRIPLES.get((architecture(facts.machine), facts.libc.partition(" ")[0]), "")


def _notes(device: Device) -> tuple[str, ...]:
    return getattr(getattr(device, "reach", None), "notes", ())


def _left_behind(earlier: Entry | None, way: Way) -> tuple[str, ...]:
    """What nobody deletes any more where a device's name now means another."""
    if earlier is None or earlier.reach.kind not in ("ssh", "adb") or earlier.reach == way:
        return ()
    return (
        f"the {earlier.name} that was there before ({earlier.reach.words}) keeps its server: tvmsr-device-* in "
        "~/.cache/tvmsr or /data/local/tmp/tvmsr",
    )


def _undo(device: Device) -> None:
    """Delete what this process copied to a device that is not added after all."""
    from tvmsr.devices.reach.through import ThroughShell

    way = getattr(device, "reach", None)
    if isinstance(way, ThroughShell) and way.installed:
        try:
            limited(lambda: way.remove(device.name), _UNDO, "cleaning up")
        except DeviceError:
            return  # what failed before is what the user has to know
