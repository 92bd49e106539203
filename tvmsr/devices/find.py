"""What --device means: one table of schemes."""

from __future__ import annotations

from collections.abc import Callable

from tvmsr.devices.here import Here
from tvmsr.devices.qemu import ARCHITECTURES, DEFAULT_CPU, Qemu
from tvmsr.devices.runner import Device
from tvmsr.errors import UsageError

#: How names are written, for errors.
KNOWN = ("here", *(f"qemu:{architecture}[:CPU]" for architecture in ARCHITECTURES))


def _here(text: str, rest: str) -> Device:
    if rest:
        raise _unknown(text)
    return Here()


def _qemu(text: str, rest: str) -> Device:
    architecture, colon, cpu = rest.partition(":")
    if architecture not in ARCHITECTURES or (colon and not cpu):
        raise _unknown(text)
    return Qemu(architecture, cpu or DEFAULT_CPU)


#: What stands before the first colon, and what makes a device of the whole text and what comes after it.
SCHEMES: dict[str, Callable[[str, str], Device]] = {"here": _here, "qemu": _qemu}


def find_device(device: str | Device = "here") -> Device:
    """The device of this name; a Device is given back as it is.

    Raises UsageError where no device is called so, DeviceError where what it needs is not installed.
    """
    if not isinstance(device, str):
        return device
    scheme, _, rest = device.partition(":")
    if scheme not in SCHEMES:
        raise _unknown(device)
    return SCHEMES[scheme](device, rest)


def _unknown(text: str) -> UsageError:
    return UsageError(f"no device {text!r}; known are {', '.join(KNOWN)}")
