"""What --device means: schemes, which anybody has, and the names of devices that the user added."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tvmsr.devices.here import Here
from tvmsr.devices.runner import Device
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.devices.reach import Reach
    from tvmsr.devices.registry import Entry

#: How names are written that need not be added, for errors.
KNOWN = ("here", "qemu:aarch64[:CPU]", "qemu:arm[:CPU]")

#: Every device that was added.
ALL = "all"


def _here(text: str, rest: str) -> Device:
    if rest:
        raise _unknown(text)
    return Here()


def _qemu(text: str, rest: str) -> Device:
    from tvmsr.devices.qemu import ARCHITECTURES, DEFAULT_CPU, Qemu

    architecture, colon, cpu = rest.partition(":")
    if architecture not in ARCHITECTURES or (colon and not cpu):
        raise _unknown(text)
    return Qemu(architecture, cpu or DEFAULT_CPU)


#: What stands before the first colon, and what makes a device of the whole text and what comes after it.
SCHEMES: dict[str, Callable[[str, str], Device]] = {"here": _here, "qemu": _qemu}


def find_device(device: str | Device = "here") -> Device:
    """The device of this name; a Device is given back as it is, a handle's without its end. Nothing is connected yet.

    Raises UsageError where no device is called so, DeviceError where what it needs is not installed, InputFileError
    where the file of the added devices is damaged.
    """
    from tvmsr.devices.handle import DeviceHandle

    if isinstance(device, DeviceHandle):
        return device.lent()
    if not isinstance(device, str):
        return device
    scheme, colon, rest = device.partition(":")
    if scheme in SCHEMES:
        return SCHEMES[scheme](device, rest)
    if "," in device or device == ALL:
        raise UsageError(f"--device {device} means several devices, and this takes one")
    entry = None if colon else find_entry(device)
    if entry is None:
        raise _unknown(device)
    return device_of(entry)


def find_devices(devices: str | Device | Iterable[str | Device]) -> tuple[Device, ...]:
    """One or several devices: "pi5", "pi5,pixel8", "all" that were added, a Device, or a sequence of these; each once.

    Raises as find_device does, and UsageError where there is none at all.
    """
    if not isinstance(devices, (str, Iterable)):
        return (find_device(devices),)
    wanted = _names(devices) if isinstance(devices, str) else [n for d in devices for n in _names_of(d)]
    found: dict[str, Device] = {}
    for one in wanted:
        name = one if isinstance(one, str) else one.name
        if name not in found:
            found[name] = find_device(one)
    if not found:
        raise UsageError("no device was named; known are " + ", ".join(known_names()))
    return tuple(found.values())


def find_entry(name: str) -> Entry | None:
    """What is known of a device that was added; None where none of this name was."""
    from tvmsr.devices.registry import Registry

    return Registry().get(name)


def device_of(entry: Entry) -> Device:
    """The device that an entry of the registry describes."""
    way, emulated = entry.reach, entry.seen.details.get("emulated") is True
    if way.kind == "qemu":
        from tvmsr.devices.qemu import Qemu

        device = Qemu(way.architecture, way.cpu, name=entry.name)
        device.target = entry.target or device.target
        return device
    from tvmsr.devices.rpc.device import RpcDevice

    return RpcDevice(entry.name, reach_of(entry), target=entry.target, emulated=emulated)


def reach_of(entry: Entry) -> Reach:
    """The way to a device that is not of this machine."""
    from tvmsr.devices import reach
    from tvmsr.devices.rpc.client import TURN

    way, turn, triple = entry.reach, entry.turn or TURN, entry.seen.triple
    if way.kind == "ssh":
        return reach.Ssh(way.host, way.options, triple=triple)
    if way.kind == "adb":
        return reach.Adb(way.serial, triple=triple)
    triples = (triple,) if triple else ()
    if way.kind == "rpc":
        return reach.Direct(way.host, way.port, way.key, entry.token_file, turn, triples)
    if way.kind == "tracker":
        return reach.Tracked(way.host, way.port, way.key, entry.token_file, turn, triples)
    raise UsageError(f"{entry.name} is an emulator of this machine")


def known_names() -> tuple[str, ...]:
    """All that --device takes: schemes, then the devices that were added."""
    from tvmsr.devices.registry import Registry

    return (*KNOWN, *(entry.name for entry in Registry().entries()))


def _names_of(device: str | Device) -> list[str | Device]:
    return list(_names(device)) if isinstance(device, str) else [device]


def _names(text: str) -> list[str]:
    """The names in "a,b"; CPU models of an emulator may have commas of their own ("qemu:arm:max,neon=off")."""
    from tvmsr.devices.registry import Registry

    found: list[str] = []
    for part in text.split(","):
        if part == ALL:
            added = [entry.name for entry in Registry().entries()]
            if not added:
                raise UsageError("--device all: no device was added yet; `tvmsr device add` adds one")
            found += added
        elif "=" in part and found and found[-1].startswith("qemu:"):
            found[-1] += f",{part}"
        elif part:
            found.append(part)
    return found


def meant(text: str, names: Iterable[str]) -> str:
    """(did you mean NAME?), for an error about a name that is close to one of these; "" where none is."""
    near = difflib.get_close_matches(text, list(names), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _unknown(text: str) -> UsageError:
    names = known_names()
    return UsageError(
        f"no device {text!r}{meant(text, names)}; known are {', '.join(names)}; `tvmsr device add` adds one"
    )
