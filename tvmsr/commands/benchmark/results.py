"""What `tvmsr bench` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from tvmsr.commands.benchmark.profile import LayerTime, Profile

if TYPE_CHECKING:
    from tvmsr.devices.health import Health
    from tvmsr.devices.runner import Speed
    from tvmsr.errors import TvmsrError
    from tvmsr.evaluation.peers import PeerTiming


@dataclass(frozen=True)
class Timing:
    """Milliseconds a picture of one size on some threads took after warm-up; times: each run's, in their order.

    p90, p99: what so many percent of the runs did not exceed. workspace: bytes that the artifact works in. memory: the
    most bytes of the process that runs it, of its own mappings under an emulator; 0: it runs in this Python process.
    joules: energy a picture; None where the device does not tell.
    """

    threads: int
    runs: int
    minimum: float
    median: float
    p90: float
    p99: float
    mean: float
    times: tuple[float, ...]
    workspace: int = 0
    memory: int = 0
    joules: float | None = None

    @staticmethod
    def of(speed: Speed, threads: int, *, workspace: int, memory: int, joules: float | None) -> Timing:
        return Timing(
            threads=threads,
            runs=speed.runs,
            minimum=1e3 * speed.minimum,
            median=1e3 * speed.median,
            p90=1e3 * speed.percentile(90),
            p99=1e3 * speed.percentile(99),
            mean=1e3 * speed.mean,
            times=tuple(1e3 * time for time in speed.times),
            workspace=workspace,
            memory=memory,
            joules=joules,
        )


@dataclass(frozen=True)
class PeerResult:
    """Another runtime on the same network. difference: largest, of its float32 output from our FP32 executor's (0..1).

    precision: in which it computed when it was timed.
    """

    runtime: str
    version: str
    precision: str
    difference: float
    timings: tuple[PeerTiming, ...]


@dataclass(frozen=True)
class Benchmark:
    """One artifact on one device.

    open_ms: opening the artifact, weights packed. before, after: looks at the device, None where it was not looked at
    or did not answer; changes: between them. energy_from: what the joules are of, "" for none. notes: why the figures
    are not to be trusted, with what to do. profile: where the layers were asked for, on the first number of threads.
    choice: of bits, that was timed; "" where the artifact has one.
    """

    artifact: str
    level: str
    width: int
    height: int
    gmac: float
    open_ms: float
    timings: tuple[Timing, ...]
    profile: Profile | None = None
    device: str = "here"
    notes: tuple[str, ...] = ()
    target: str = ""
    before: Health | None = None
    after: Health | None = None
    changes: tuple[str, ...] = ()
    energy_from: str = ""
    peer: PeerResult | None = None
    choice: str = ""

    @property
    def layers(self) -> tuple[LayerTime, ...]:
        """The layers of the profile."""
        return () if self.profile is None else self.profile.layers

    def as_json(self) -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **plain,
            "timings": [asdict(timing) for timing in self.timings],
            "profile": None if self.profile is None else self.profile.as_json(),
            "layers": [asdict(layer) for layer in self.layers],
            "notes": list(self.notes),
            "changes": list(self.changes),
            "before": None if self.before is None else self.before.as_json(),
            "after": None if self.after is None else self.after.as_json(),
            "peer": None if self.peer is None else asdict(self.peer),
        }


@dataclass(frozen=True)
class DeviceResult:
    """What came of one of several devices: a benchmark, or the error that it ended with."""

    device: str
    found: Benchmark | None = None
    error: TvmsrError | None = None

    def as_json(self) -> dict[str, Any]:
        found = {} if self.found is None else self.found.as_json()
        return {**found, "device": self.device, "error": None if self.error is None else str(self.error)}


@dataclass(frozen=True)
class Benchmarks:
    """Several devices, in the order in which they were named."""

    devices: tuple[DeviceResult, ...]

    @property
    def failed(self) -> tuple[DeviceResult, ...]:
        return tuple(result for result in self.devices if result.error is not None)

    def as_json(self) -> dict[str, Any]:
        return {"devices": [result.as_json() for result in self.devices]}
