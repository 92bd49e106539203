"""Small files below /proc and /sys: those that tell what a machine is and how it is, and reading those of this one."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tvmsr.errors import DeviceError

#: Limits, as those of host/files.c: bytes of a file, bytes of all, number of patterns.
LARGEST_FILE, LARGEST_SUM, MOST_PATTERNS = 1 << 16, 1 << 18, 256

_CPU, _THERMAL, _HWMON = "/sys/devices/system/cpu", "/sys/class/thermal", "/sys/class/hwmon/hwmon*"

#: What a machine is. modalias and compatible name the CPU of the kernel and the board, whatever a process is told.
WHAT = (
    *("/proc/cpuinfo", "/proc/version", "/proc/device-tree/model", "/proc/device-tree/compatible"),
    *(f"{_CPU}/{name}" for name in ("modalias", "cpu*/cpu_capacity", "cpu*/cpufreq/cpuinfo_max_freq")),
)

CLOCKS = tuple(
    f"{_CPU}/cpu*/cpufreq/{name}"
    for name in ("scaling_governor", "scaling_driver", "scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq")
)

#: Zones with the points at which the system begins to cool, and what it does of that now.
HEAT = (
    *(f"{_THERMAL}/thermal_zone*/{name}" for name in ("type", "temp", "trip_point_*_type", "trip_point_*_temp")),
    *(f"{_THERMAL}/cooling_device*/{name}" for name in ("type", "cur_state")),
)

#: The firmware of the Raspberry Pi (with an address in its name on some kernels), its supply, and what x86 counts.
THROTTLING = (
    "/sys/devices/platform/soc*/soc*firmware/get_throttled",
    f"{_HWMON}/in*_lcrit_alarm",
    f"{_CPU}/cpu*/thermal_throttle/core_throttle_count",
)

LOAD = ("/proc/loadavg", "/proc/stat", "/proc/meminfo")

#: Sensors of voltage, current and power, by the labels of their rails.
POWER = (
    *(f"{_HWMON}/{name}" for name in ("name", "in*_label", "in*_input", "curr*_input")),
    *(f"{_HWMON}/{name}" for name in ("power*_label", "power*_input", "power*_average")),
    *(
        f"/sys/class/power_supply/*/{name}"
        for name in ("type", "online", "status", "capacity", "voltage_now", "current_now", "power_now")
    ),
)

#: Counters of energy; Linux lets root alone read those of x86.
ENERGY = tuple(f"/sys/class/powercap/*/{name}" for name in ("name", "energy_uj", "max_energy_range_uj"))

#: Of the machine, not of the process: two devices with one of these share their cores.
BOOT = ("/proc/sys/kernel/random/boot_id",)

#: How a machine is. Those first that matter most, as there is a limit on all together.
HOW = (*LOAD, *THROTTLING, *CLOCKS, *HEAT, *ENERGY, *POWER)

Files = Mapping[str, bytes]


def local_files(patterns: Iterable[str]) -> dict[str, bytes]:
    """Files of this machine by their paths: those that match and can be read, none empty, within the limits.

    Raises DeviceError for a pattern that is not below /proc/ or /sys/, and for too many.
    """
    wanted = list(patterns)
    if len(wanted) > MOST_PATTERNS:
        raise DeviceError(f"{len(wanted)} patterns of files; {MOST_PATTERNS} at most")
    found: dict[str, bytes] = {}
    total = 0
    for pattern in wanted:
        if not _below(pattern) or ".." in pattern:
            raise DeviceError(f"{pattern!r} is not below /proc/ or /sys/")
        for path in sorted(map(str, Path("/").glob(pattern[1:]))):
            content = _read(path) if path not in found else b""
            if content and total + len(content) <= LARGEST_SUM:
                found[path] = content
                total += len(content)
    return found


def text(files: Files, path: str) -> str:
    """The content of a file without blanks and NULs at its ends; "" where there is none."""
    return files.get(path, b"").decode("utf-8", "replace").strip().strip("\0")


def number(files: Files, path: str, unit: float = 1.0) -> float | None:
    """The number in a file times `unit`; None where there is none."""
    try:
        value = float(text(files, path)) * unit
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def matching(files: Files, prefix: str, suffix: str = "") -> Sequence[str]:
    """What stands between prefix and suffix in the paths that have both, where it is one name; in order of numbers."""
    inner = (path[len(prefix) : len(path) - len(suffix)] for path in files if _has(path, prefix, suffix))
    return sorted((name for name in inner if "/" not in name), key=lambda name: (len(name), name))


def _has(path: str, prefix: str, suffix: str) -> bool:
    return path.startswith(prefix) and path.endswith(suffix) and len(path) > len(prefix) + len(suffix)


def _below(path: str) -> bool:
    return path.startswith(("/proc/", "/sys/"))


def _read(path: str) -> bytes:
    """Up to LARGEST_FILE bytes; none of what is no regular file, leads elsewhere, or cannot be read."""
    real = os.path.realpath(path)
    if not _below(real):
        return b""
    try:
        if not stat.S_ISREG(Path(real).stat().st_mode):
            return b""
        with Path(real).open("rb") as file:
            return file.read(LARGEST_FILE)
    except OSError:
        return b""
