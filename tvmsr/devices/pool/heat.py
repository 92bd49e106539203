"""Whether a device of a pool is slower than it could be, and why."""

from __future__ import annotations

from tvmsr.devices.health import complaints, health_of
from tvmsr.devices.runner import Device
from tvmsr.devices.sysfiles import HOW

#: Complaints of health.py that mean slower work.
_SLOWER = ("throttled", "limit", "heat")


def slowed_down(device: Device) -> str:
    """Why a device is slowed down, and how hot it is; "" where it is not, or does not say. DeviceError."""
    health = health_of(device.files(HOW))
    reason = next((c.what for c in complaints(health) if c.severity == "fault" and c.kind in _SLOWER), "")
    hottest = health.hottest
    return f"{reason}, {hottest.celsius:.0f} C" if reason and hottest is not None else reason
