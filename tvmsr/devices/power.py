"""What a machine says of its power and energy: sensors on its rails, a battery, counters of the processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tvmsr.devices.sysfiles import Files, matching, number, text

_HWMON, _SUPPLY, _POWERCAP = "/sys/class/hwmon/hwmon", "/sys/class/power_supply/", "/sys/class/powercap/"

#: Chips that measure what a whole board or module takes; others are of a graphics card or a drive.
_SENSORS = ("ina3221", "ina219", "ina220", "ina226", "ina230", "ina231", "ina233", "ina238", "power_meter")


@dataclass(frozen=True)
class Power:
    """Watts now. source: the sensor, in words."""

    watts: float
    source: str


@dataclass(frozen=True)
class Energy:
    """A counter in joules that starts again at 0 after `top`. source: what it counts, in words."""

    joules: float
    top: float
    source: str

    def since(self, before: Energy) -> float:
        """Joules since an earlier look at the same counter, which began anew at most once."""
        spent = self.joules - before.joules
        return spent if spent >= 0 else spent + self.top


@dataclass(frozen=True)
class Battery:
    """percent: of its charge; discharging: nothing else feeds the device."""

    percent: int
    discharging: bool


def power_of(files: Files) -> Power | None:
    """What the device takes: by its sensors, else what its battery gives; None where nothing tells."""
    rails = tuple(_rails(files))
    whole = [rail for rail in rails if rail.source.upper().endswith("_IN")]  # NVIDIA's names of the supply of all
    if whole:
        return whole[0]
    if rails:
        return Power(sum(rail.watts for rail in rails), " + ".join(rail.source for rail in rails))
    return _from_battery(files)


def energy_of(files: Files) -> Energy | None:
    """The sum of the processors' packages. A counter that may not be read is not there."""
    total = top = 0.0
    sources = []
    for zone in matching(files, _POWERCAP, "/energy_uj"):
        name = text(files, f"{_POWERCAP}{zone}/name")
        value = number(files, f"{_POWERCAP}{zone}/energy_uj", 1e-6)
        if not name.startswith("package") or value is None or name in sources:
            continue
        total += value
        top += number(files, f"{_POWERCAP}{zone}/max_energy_range_uj", 1e-6) or 0.0
        sources.append(name)
    # With two packages one counter may begin anew; the sum then tells nothing, which `since` cannot see.
    return Energy(total, top, f"RAPL counter, {sources[0]}") if len(sources) == 1 else None


def battery_of(files: Files) -> Battery | None:
    for name in matching(files, _SUPPLY, "/type"):
        charge = number(files, f"{_SUPPLY}{name}/capacity")
        if text(files, f"{_SUPPLY}{name}/type") == "Battery" and charge is not None:
            return Battery(int(charge), text(files, f"{_SUPPLY}{name}/status") == "Discharging")
    return None


def _rails(files: Files) -> Iterator[Power]:
    for chip in matching(files, _HWMON, "/name"):
        name = text(files, f"{_HWMON}{chip}/name")
        if name not in _SENSORS:
            continue
        for i in range(1, 5):
            watts = _watts(files, f"{_HWMON}{chip}", i)
            label = text(files, f"{_HWMON}{chip}/in{i}_label") or text(files, f"{_HWMON}{chip}/power{i}_label")
            # The fourth channel of an ina3221 is the sum of shunt voltages.
            if watts is not None and not label.startswith("sum"):
                yield Power(watts, f"{name} {label}".strip())


def _watts(files: Files, chip: str, i: int) -> float | None:
    """hwmon: power in microwatts, voltage in millivolts, current in milliamperes."""
    for kind in ("input", "average"):
        power = number(files, f"{chip}/power{i}_{kind}", 1e-6)
        if power is not None:
            return power
    volts, amperes = number(files, f"{chip}/in{i}_input", 1e-3), number(files, f"{chip}/curr{i}_input", 1e-3)
    return volts * amperes if volts is not None and amperes is not None else None


def _from_battery(files: Files) -> Power | None:
    """Only where it discharges: else the mains give what is not seen. Some count a current out of it as negative."""
    for name in matching(files, _SUPPLY, "/type"):
        at = f"{_SUPPLY}{name}"
        if text(files, f"{at}/type") != "Battery" or text(files, f"{at}/status") != "Discharging":
            continue
        watts = number(files, f"{at}/power_now", 1e-6)
        volts, amperes = number(files, f"{at}/voltage_now", 1e-6), number(files, f"{at}/current_now", 1e-6)
        if watts is None and volts is not None and amperes is not None:
            watts = volts * amperes
        if watts:
            return Power(abs(watts), f"battery {name}")
    return None
