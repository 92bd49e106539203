"""Where artifacts run: this process, an emulator; later boards and phones. docs/devices.md."""

from __future__ import annotations

from tvmsr.devices.find import find_device, find_devices
from tvmsr.devices.here import Here, HereRunner
from tvmsr.devices.runner import Device, Facts, Memory, Opening, Runner, Speed

__all__ = [
    "Device",
    "Facts",
    "Here",
    "HereRunner",
    "Memory",
    "Opening",
    "Runner",
    "Speed",
    "find_device",
    "find_devices",
]
