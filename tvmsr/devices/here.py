"""The runner of this machine: artifacts run in this process, through the C ABI."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.devices.closing import Closing, Owner
from tvmsr.devices.leash import hold
from tvmsr.devices.runner import PLAIN, Facts, Memory, Opening, Speed, force_named, measure
from tvmsr.errors import DeviceError
from tvmsr.runtime import ArtifactInfo, LastRun, Session, StepTime, load, usable_levels
from tvmsr.runtime.results import StepSum
from tvmsr.runtime.session import ProgressFunction

if TYPE_CHECKING:
    from tvmsr.devices.reach.shell import Shell

U8 = NDArray[np.uint8]


class HereRunner(Closing):
    """A session of this process. Killable (leash.py): its upscale ends at the next strip."""

    name = "this machine"

    def __init__(
        self,
        artifact: str | Path,
        *,
        threads: int | None = None,
        level: str | None = None,
        memory: float | None = None,
        check: bool = False,
        adaptive: bool = True,
        choice: str | None = None,
    ) -> None:
        start = time.perf_counter()
        self._killed = False
        self._session: Session = load(
            artifact, threads=threads, level=level, memory=memory, adaptive=adaptive, self_check=check
        )
        self.opening_seconds = time.perf_counter() - start
        try:
            force_named(self, artifact, choice)
        except BaseException:
            self.close()
            raise

    @property
    def level(self) -> str:
        return self._session.level

    @property
    def info(self) -> ArtifactInfo:
        return self._session.info

    @property
    def manifest(self) -> Mapping[str, Any]:
        return self._session.manifest

    def kill(self) -> None:
        """From any thread: end what it does soon, and do nothing any more."""
        self._killed = True

    def _held(self) -> Session:
        """The session, for a call that may take long."""
        if self._killed or not hold(self):
            raise DeviceError(f"{self.name}: was stopped")
        return self._session

    def _or_killed(self, progress: ProgressFunction | None = None) -> ProgressFunction:
        return lambda done, rows: self._killed or (progress is not None and progress(done, rows))

    def upscale(self, picture: U8, progress: ProgressFunction | None = None) -> U8:
        return self._held().upscale(picture, self._or_killed(progress))

    def traced(self, picture: U8) -> tuple[U8, tuple[StepSum, ...]]:
        return self._held().traced(picture, self._or_killed())

    def profiled(self, picture: U8) -> tuple[StepTime, ...]:
        self._held().profiling(True)
        try:
            self.upscale(picture)
            return self._session.profile()
        finally:
            self._session.profiling(False)

    def check(self) -> None:
        self._held().check()

    def force_choice(self, choice: int | None) -> None:
        self._session.force_choice(choice)

    def last(self) -> LastRun:
        return self._session.last()

    def workspace(self, width: int, height: int) -> int:
        return self._session.workspace(width, height)

    def memory(self) -> Memory:
        """Of this whole Python process."""
        sizes = _status_sizes()
        return Memory(sizes.get("VmRSS", 0), sizes.get("VmHWM", 0))

    def bench(self, width: int, height: int, *, runs: int = 10, warmup: int = 2, seconds: float = 0.0) -> Speed:
        """Every run ends when the last row is stored."""

        def run(picture: U8) -> float:
            start = time.perf_counter()
            self.upscale(picture)
            return time.perf_counter() - start

        return measure(run, lambda: self._session.last().threads, (width, height), runs, warmup, seconds)

    def close(self) -> None:
        self._session.close()


class Here(Owner):
    """The machine that this process is on."""

    name = "here"
    emulated = False
    target = "host"
    shell: Shell | None = None

    def facts(self) -> Facts:
        from tvmsr.hardware.cpuinfo import features, usable_cpus

        system = platform.uname()
        name, version = platform.libc_ver()
        return Facts(
            machine=system.machine,
            system=system.system,
            libc=f"{name} {version}".strip(),
            features=features(),
            cores=usable_cpus(),
            page_size=_system_number("SC_PAGE_SIZE"),
            memory=_system_number("SC_PAGE_SIZE") * _system_number("SC_PHYS_PAGES"),
        )

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        from tvmsr.devices.sysfiles import local_files

        return local_files(patterns)

    def levels(self, artifact: str | Path) -> tuple[str, ...]:
        return usable_levels(artifact)

    def renew(self) -> None:
        """There is this process only."""

    def open(self, artifact: str | Path, opening: Opening = PLAIN) -> HereRunner:
        runner = HereRunner(artifact, **vars(opening))
        self._kept.add(runner)
        return runner


def _system_number(name: str) -> int:
    return os.sysconf(name) if name in getattr(os, "sysconf_names", ()) else 0


def _status_sizes() -> dict[str, int]:
    """Sizes in /proc/self/status, in bytes; none where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines]
    return {w[0].rstrip(":"): int(w[1]) << 10 for w in words if len(w) == 3 and w[2] == "kB"}
