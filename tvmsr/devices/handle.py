"""A device as Python code holds it: the commands as methods, over one connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tvmsr.devices.closing import Closing
from tvmsr.devices.find import find_device
from tvmsr.devices.runner import PLAIN, Device, Facts, Opening, Runner

if TYPE_CHECKING:
    from tvmsr.commands.bench import Benchmark
    from tvmsr.commands.devices.doctor import DeviceDiagnosis
    from tvmsr.commands.upscale import Upscaled
    from tvmsr.commands.verify import Verified
    from tvmsr.devices.examine import Machine
    from tvmsr.devices.health import Health
    from tvmsr.devices.reach.shell import Shell


def device(name: str | Device = "here") -> DeviceHandle:
    """The device that --device calls `name`: `with tvmsr.device("pi5") as pi5: pi5.bench("sr.so")`.

    Connects when it is first used. Raises UsageError where there is none of the name, DeviceError where what it needs
    is not installed.
    """
    return DeviceHandle(find_device(name))


class DeviceHandle(Closing):
    """A context manager; closing it ends what runs there, and using it again connects again.

    Methods take the keywords of the functions of their names in `tvmsr`, `device` aside, and raise what those do. It is
    a Device itself, for the `device` of all functions.
    """

    def __init__(self, where: Device) -> None:
        self._where = where

    @property
    def name(self) -> str:
        return self._where.name

    @property
    def target(self) -> str | None:
        """Name of the target that artifacts for it are compiled for; None where nobody said."""
        return self._where.target

    @property
    def emulated(self) -> bool:
        """True where times say nothing about real hardware."""
        return self._where.emulated

    @property
    def shell(self) -> Shell | None:
        """Commands on the device; None where there are none."""
        return self._where.shell

    def __repr__(self) -> str:
        return f"<device {self.name}" + (f", target {self.target}>" if self.target else ">")

    def facts(self) -> Facts:
        """What it is, in short."""
        return self._where.facts()

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        """Small files of its system, as tvmsr.devices.Device says."""
        return self._where.files(patterns)

    def machine(self) -> Machine:
        """What it is: CPU, kinds of cores with their clocks, board, memory."""
        from tvmsr.devices.examine import machine_of
        from tvmsr.devices.sysfiles import WHAT

        return machine_of(self._where.facts(), self._where.files(WHAT))

    def health(self) -> Health:
        """How it is now: clocks, heat, throttling, load, memory."""
        import time

        from tvmsr.devices.health import look

        return look(self._where.files, time.sleep)

    def doctor(self) -> DeviceDiagnosis:
        """What is wrong with it, over a connection of its own; of devices that were added."""
        from tvmsr.commands.devices.doctor import doctor_device

        self._where.close()  # many servers serve one client at a time
        return doctor_device(self.name)

    def levels(self, artifact: str | Path) -> tuple[str, ...]:
        """The CPU levels of an artifact that it can run, best first."""
        return self._where.levels(artifact)

    def open(self, artifact: str | Path, opening: Opening = PLAIN, **options: Any) -> Runner:
        """Open an artifact there, to upscale arrays; keywords: those of tvmsr.devices.Opening."""
        return self._where.open(artifact, replace(opening, **options))

    def bench(self, what: str | Path, **options: Any) -> Benchmark:
        """As tvmsr.bench; a network is compiled first, for this device's target. Ends what is open in its session."""
        from tvmsr.commands.bench import bench

        return bench(what, **self._there(options))

    def upscale(self, artifact: str | Path, source: str | Path, out: str | Path, **options: Any) -> Upscaled:
        """As tvmsr.upscale: a picture, or a folder of them."""
        from tvmsr.commands.upscale import upscale

        return upscale(Path(artifact), Path(source), Path(out), **self._there(options))

    def evaluate(self, what: str | Path, **options: Any) -> Any:
        """As tvmsr.evaluate."""
        from tvmsr.commands.evaluate import evaluate

        return evaluate(what, **self._there(options))

    def verify(self, artifact: str | Path, **options: Any) -> Verified:
        """As tvmsr.verify."""
        from tvmsr.commands.verify import verify

        return verify(Path(artifact), **self._there(options))

    def renew(self) -> None:
        """End its session; the next call gets a new one."""
        self._where.renew()

    def close(self) -> None:
        self._where.close()

    def lent(self) -> Device:
        """The device for a command, whose end does not close it: the next one goes on over the same connection."""
        return cast(Device, _Lent(self._where))

    def _there(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**options, "device": self.lent()}


class _Lent(Closing):
    """A device that a command may use and not close."""

    def __init__(self, where: Device) -> None:
        self._where = where

    def __repr__(self) -> str:
        return f"<device {self._where.name}, lent>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._where, name)

    def close(self) -> None:
        """Commands close what they opened."""
