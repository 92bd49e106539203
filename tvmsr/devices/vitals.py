"""What can be read of how a machine is: clocks, heat, load, memory, power, from small files below /proc and /sys."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from tvmsr.devices.power import Battery, Energy, Power, battery_of, energy_of, power_of
from tvmsr.devices.sysfiles import Files, matching, number, text

_CPU, _THERMAL = "/sys/devices/system/cpu/cpu", "/sys/class/thermal/"

#: Drivers under which a core chooses its clock itself, so that less than the highest is nothing unusual.
_OWN_CHOICE = ("intel_pstate", "intel_cpufreq", "amd-pstate", "amd-pstate-epp", "acpi-cpufreq")

#: Names of thermal zones that are of the chip, not of a battery, a modem or a skin.
_CHIP = re.compile(r"cpu|soc|core|tj|pkg|cluster|package", re.IGNORECASE)

#: What the firmware of the Raspberry Pi says in the bits of get_throttled: now; and, 16 higher, since it was started.
_FIRMWARE = {
    0: "the supply voltage is too low",
    1: "the firmware caps the clock",
    2: "the firmware throttles the CPU",
    3: "the firmware's soft temperature limit is reached",
}
LOW_VOLTAGE = _FIRMWARE[0]


@dataclass(frozen=True)
class Clock:
    """Cores of one kind: their numbers, and MHz: of the fastest now, at most by the present limit, at most at all.

    0: not told. steady: they stay at the limit where the governor wants it. limited: the limit is not the highest.
    """

    cores: tuple[int, ...]
    now: float
    limit: float
    top: float
    steady: bool

    @property
    def limited(self) -> bool:
        return 0 < self.limit < 0.99 * self.top


@dataclass(frozen=True)
class Zone:
    """A temperature in C. trip: where the system begins to slow the CPU down; 0 where it does not say."""

    name: str
    celsius: float
    trip: float


@dataclass(frozen=True)
class Health:
    """One look at a machine; None where it does not tell. Sizes in bytes.

    zones: hottest last. throttled: now, with the reasons; past: reasons since it was started; throttle_count: how often
    the CPU counted. busy: cores at work between two looks at the processor's time, by whatever is running; load: of
    the last minute. power: now; energy: a counter.
    """

    governors: tuple[str, ...] = ()
    clocks: tuple[Clock, ...] = ()
    zones: tuple[Zone, ...] = ()
    throttled: bool | None = None
    reasons: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    throttle_count: int | None = None
    memory: int | None = None
    memory_total: int | None = None
    load: float | None = None
    busy: float | None = None
    cores: int | None = None
    power: Power | None = None
    energy: Energy | None = None
    battery: Battery | None = None

    @property
    def hottest(self) -> Zone | None:
        """The hottest zone of the chip; of all where none is known to be of it."""
        chip = [zone for zone in self.zones if _CHIP.search(zone.name)]
        return max(chip or self.zones, key=lambda zone: zone.celsius, default=None)

    def as_json(self) -> dict[str, Any]:
        hottest = self.hottest
        return {**asdict(self), "hottest": None if hottest is None else asdict(hottest)}


def health_of(files: Files, earlier: Files | None = None) -> Health:
    """What the files of sysfiles.HOW say. earlier: /proc/stat of a moment before, for `busy`."""
    throttled, reasons, past = _throttling(files)
    busy = _busy(earlier, files) if earlier is not None else None
    sizes = _meminfo(files)
    return Health(
        governors=tuple(dict.fromkeys(filter(None, (text(files, p) for p in _of_cores(files, "scaling_governor"))))),
        clocks=_clocks(files),
        zones=_zones(files),
        throttled=throttled,
        reasons=reasons,
        past=past,
        throttle_count=_throttle_count(files),
        memory=sizes.get("MemAvailable"),
        memory_total=sizes.get("MemTotal"),
        load=_load(files),
        busy=busy,
        cores=len(re.findall(rb"^cpu\d+ ", files.get("/proc/stat", b""), re.MULTILINE)) or None,
        power=power_of(files),
        energy=energy_of(files),
        battery=battery_of(files),
    )


def _of_cores(files: Files, name: str) -> list[str]:
    return [f"{_CPU}{core}/cpufreq/{name}" for core in matching(files, _CPU, f"/cpufreq/{name}")]


def _clocks(files: Files) -> tuple[Clock, ...]:
    """Cores by their highest clock, in the order of their numbers. cpufreq counts in kHz."""
    kinds: dict[float, list[int]] = {}
    for core in matching(files, _CPU, "/cpufreq/cpuinfo_max_freq"):
        top = number(files, f"{_CPU}{core}/cpufreq/cpuinfo_max_freq", 1e-3)
        if core.isdigit() and top is not None:
            kinds.setdefault(top, []).append(int(core))

    def most(cores: list[int], name: str) -> float:
        return max((number(files, f"{_CPU}{core}/cpufreq/{name}", 1e-3) or 0.0 for core in cores), default=0.0)

    def least(cores: list[int], name: str) -> float:
        found = (number(files, f"{_CPU}{core}/cpufreq/{name}", 1e-3) for core in cores)
        return min((value for value in found if value is not None), default=0.0)

    drivers = {text(files, path) for path in _of_cores(files, "scaling_driver")}
    steady = not drivers & set(_OWN_CHOICE)
    return tuple(
        Clock(tuple(cores), most(cores, "scaling_cur_freq"), least(cores, "scaling_max_freq"), top, steady)
        for top, cores in kinds.items()
    )


def _zones(files: Files) -> tuple[Zone, ...]:
    """Zones that say something possible, hottest last. Old kernels say degrees, others thousandths of them."""
    found = []
    for zone in matching(files, f"{_THERMAL}thermal_zone", "/temp"):
        at = f"{_THERMAL}thermal_zone{zone}"
        raw = number(files, f"{at}/temp")
        celsius = 0.0 if raw is None else raw / 1000 if abs(raw) >= 200 else raw
        if not 0 < celsius < 150:
            continue
        trips = [
            number(files, f"{at}/trip_point_{i}_temp", 1e-3) or 0.0
            for i in matching(files, f"{at}/trip_point_", "_type")
            if text(files, f"{at}/trip_point_{i}_type") == "passive"
        ]
        # On some boards the lower ones only begin to watch.
        trip = max((value for value in trips if 0 < value < 150), default=0.0)
        found.append(Zone(text(files, f"{at}/type") or f"zone {zone}", celsius, trip))
    return tuple(sorted(found, key=lambda zone: zone.celsius))


def _throttling(files: Files) -> tuple[bool | None, tuple[str, ...], tuple[str, ...]]:
    """Whether it is throttled now (None: nobody tells), why, and why it was since it was started."""
    now: list[str] = []
    past: list[str] = []
    known = False
    for path in files:
        if path.endswith("/get_throttled"):
            known = True
            bits = _hexadecimal(text(files, path))
            now += [words for bit, words in _FIRMWARE.items() if bits >> bit & 1]
            past += [words for bit, words in _FIRMWARE.items() if bits >> (bit + 16) & 1]
        elif re.fullmatch(r"/sys/class/hwmon/hwmon\d+/in\d+_lcrit_alarm", path):
            known = True
            now += [LOW_VOLTAGE] if text(files, path) == "1" else []
    for device in matching(files, f"{_THERMAL}cooling_device", "/type"):
        kind = text(files, f"{_THERMAL}cooling_device{device}/type")
        state = number(files, f"{_THERMAL}cooling_device{device}/cur_state")
        if state is not None and re.search(r"cpu|^processor", kind, re.IGNORECASE):
            known = True
            now += ["the system slows the CPU down as it is too hot"] if state > 0 else []
    return (bool(now) if known else None), tuple(dict.fromkeys(now)), tuple(dict.fromkeys(past))


def _hexadecimal(word: str) -> int:
    try:
        return int(word.removeprefix("throttled="), 16)
    except ValueError:
        return 0


def _throttle_count(files: Files) -> int | None:
    """What x86 counts, of all cores."""
    suffix = "/thermal_throttle/core_throttle_count"
    counts = [number(files, f"{_CPU}{core}{suffix}") for core in matching(files, _CPU, suffix)]
    return sum(int(count) for count in counts if count is not None) if counts else None


def _meminfo(files: Files) -> dict[str, int]:
    rows = re.findall(r"^(\w+):\s+(\d+) kB", text(files, "/proc/meminfo"), re.MULTILINE)
    return {name: int(size) << 10 for name, size in rows}


def _load(files: Files) -> float | None:
    words = text(files, "/proc/loadavg").split()
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None


def _busy(earlier: Files, later: Files) -> float | None:
    """Cores that were at work between two looks at /proc/stat."""
    first, last = _ticks(earlier), _ticks(later)
    cores = len(re.findall(rb"^cpu\d+ ", later.get("/proc/stat", b""), re.MULTILINE))
    if first is None or last is None or not cores or last[1] <= first[1]:
        return None
    return cores * (last[0] - first[0]) / (last[1] - first[1])


def _ticks(files: Files) -> tuple[int, int] | None:
    """Ticks at work and in all, of all cores: user, nice, system, idle, waiting, interrupts twice, stolen."""
    found = re.match(r"cpu +((?:\d+ ?)+)", text(files, "/proc/stat"))
    if found is None:
        return None
    ticks = [int(word) for word in found[1].split()][:8]
    idle = sum(ticks[3:5])
    return sum(ticks) - idle, sum(ticks)
