"""Timing one artifact on one device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.commands.benchmark.energy import Counter, watts_at_work
from tvmsr.commands.benchmark.layers import profiled
from tvmsr.commands.benchmark.profile import Profile
from tvmsr.commands.benchmark.results import Benchmark, PeerResult, Timing
from tvmsr.devices.health import Health, changed, doubts, look
from tvmsr.devices.here import Here
from tvmsr.devices.runner import Opening
from tvmsr.errors import TvmsrError, UsageError

if TYPE_CHECKING:
    from tvmsr.devices.runner import Device, Runner, Speed
    from tvmsr.evaluation.peers import Peer, PeerTiming
    from tvmsr.graph.model import Model

WARM_RUNS, LEAST_RUNS, LEAST_SECONDS = 2, 5, 1.0

#: Of an emulator, whose times nobody needs exactly.
EMULATED = (1, 1, 0.0)

#: A peer and the artifact take turns so often, and run so often in all.
ROUNDS, PEER_RUNS = 3, 9

#: Runs are scattered where p90 is more times the minimum.
_SCATTERED = 2.0


@dataclass(frozen=True)
class Wish:
    """What is measured. size: LR (width, height). runs: exactly so many; None: as many as a figure needs."""

    size: tuple[int, int]
    threads: tuple[int, ...]
    level: str | None = None
    layers: bool = False
    runs: int | None = None
    peer: str = ""
    choice: str = "auto"

    def opening(self, threads: int) -> Opening:
        """How the artifact is opened."""
        return Opening(threads=threads, level=self.level, choice=self.choice)

    def amount(self, emulated: bool) -> tuple[int, int, float]:
        """Runs that warm up, runs at least, seconds at least."""
        warm, runs, seconds = EMULATED if emulated else (WARM_RUNS, LEAST_RUNS, LEAST_SECONDS)
        return (warm, runs, seconds) if self.runs is None else (warm, self.runs, 0.0)

    @property
    def turns(self) -> tuple[int, ...]:
        """Runs of each turn of a peer."""
        runs = PEER_RUNS if self.runs is None else self.runs
        rounds = min(ROUNDS, runs)
        return tuple((runs + i) // rounds for i in range(rounds))


def thread_counts(threads: int | Sequence[int]) -> tuple[int, ...]:
    """One or several counts, checked."""
    counts = (threads,) if isinstance(threads, int) else tuple(threads)
    if not counts or min(counts) < 1:
        raise UsageError(f"threads: {threads!r}; at least one count, of at least 1")
    return counts


@dataclass(frozen=True)
class Subject:
    """What is measured: the file, how it is called, the target that it was compiled for ("": it was given), its network
    where a peer runs it.
    """

    artifact: Path
    title: str
    target: str = ""
    network: Model | None = None


def bench_on(where: Device, subject: Subject, wish: Wish, tick: Callable[[], object]) -> Benchmark:
    """Time an artifact on a device. tick: called after every thread count.

    Raises UsageError, InputFileError, WorkError or DeviceError.
    """
    with _called(subject):
        return _benched(where, subject, wish, tick)


@contextlib.contextmanager
def _called(subject: Subject) -> Iterator[None]:
    """Errors about a file that was compiled for the purpose, which nobody knows, name the network."""
    try:
        yield
    except TvmsrError as error:
        if subject.target:
            file, title = str(subject.artifact), subject.title
            error.args = tuple(arg.replace(file, title) if isinstance(arg, str) else arg for arg in error.args)
        raise


def _benched(where: Device, subject: Subject, wish: Wish, tick: Callable[[], object]) -> Benchmark:
    peer = _peer(where, wish, subject.network)
    try:
        before = _look(where)
        timings: list[Timing] = []
        opened: list[float] = []
        profile: Profile | None = None
        source = ""
        for count in wish.threads:
            # A process of its own each where the device has one: the peak of its memory is that of these runs alone.
            where.renew()
            with where.open(subject.artifact, wish.opening(count)) as runner:
                opened.append(runner.opening_seconds)
                timing, energy = _timing(where, runner, count, wish, before)
                timings.append(timing)
                source = source or energy
                if wish.layers and count == wish.threads[0]:
                    profile = profiled(where, runner, wish.size, wish.threads, wish.runs)
                choice = _choice(runner)
                name, macs = runner.level, float(runner.manifest.get("macs_per_pixel", 0))
            tick()
        compared = None if peer is None else _compared(where, subject.artifact, wish, peer)
        after = _look(where)
    finally:
        if peer is not None:
            peer.close()
    return Benchmark(
        artifact=subject.title,
        level=name,
        width=wish.size[0],
        height=wish.size[1],
        gmac=macs * wish.size[0] * wish.size[1] / 1e9,
        open_ms=1e3 * min(opened),
        timings=tuple(timings),
        profile=profile,
        device=where.name,
        notes=doubts(before, after, where.name if where.emulated else ""),
        target=subject.target,
        before=before,
        after=after,
        changes=changed(before, after) if before is not None and after is not None else (),
        energy_from=source,
        peer=compared,
        choice=choice,
    )


def _look(where: Device) -> Health | None:
    """None for an emulator, whose files are those of this machine, and where it does not answer."""
    if where.emulated:
        return None
    try:
        return look(where.files, time.sleep)
    except TvmsrError:
        return None


def _timing(where: Device, runner: Runner, count: int, wish: Wish, health: Health | None) -> tuple[Timing, str]:
    """The times on some threads, and what their energy is of ("" for none)."""
    warm, runs, seconds = wish.amount(where.emulated)
    with Counter(where, health) as counter:
        speed = runner.bench(*wish.size, runs=runs, warmup=warm, seconds=seconds)
    memory = 0
    if where.name != Here.name:
        sizes = runner.memory()
        memory = sizes.mapped if where.emulated else sizes.peak
    joules, source = None, ""
    if counter.joules is not None:
        joules, source = counter.joules / (warm + speed.runs), counter.source
    elif health is not None and health.energy is None and health.power is not None:
        watts = watts_at_work(where, runner, wish.size, speed.mean)
        if watts is not None:
            joules = watts * speed.mean
            source = f"{health.power.source}, mean of samples while pictures were upscaled after the runs, times time"
    return Timing.of(speed, count, workspace=runner.last().workspace, memory=memory, joules=joules), source


def _choice(runner: Runner) -> str:
    """What the last run had of several bit choices; "" where there is one."""
    names = runner.info.choices
    return names[runner.last().choice] if len(names) > 1 else ""


def check_peer(where: Device, wish: Wish) -> None:
    """UsageError where the peer cannot run there, as far as that is known without installing it: before all work."""
    if wish.peer:
        from tvmsr.evaluation.peers import PEERS, check_place

        check_place(where, PEERS[wish.peer].package, PEERS[wish.peer].module)


def _peer(where: Device, wish: Wish, network: Model | None) -> Peer | None:
    if not wish.peer or network is None:
        return None
    from tvmsr.evaluation.peers import ready_peer

    return ready_peer(wish.peer, where, network, *wish.size)


def _compared(where: Device, artifact: Path, wish: Wish, peer: Peer) -> PeerResult:
    return PeerResult(
        runtime=peer.runtime.title,
        version=peer.version,
        precision=peer.runtime.precision,
        difference=peer.difference,
        timings=tuple(_by_turns(where, artifact, wish, peer, count) for count in wish.threads),
    )


def _by_turns(where: Device, artifact: Path, wish: Wish, peer: Peer, count: int) -> PeerTiming:
    """Ours and theirs by turns, so that what disturbs the device disturbs both."""
    from tvmsr.devices.runner import Speed
    from tvmsr.evaluation.peers import PeerTiming

    ours: list[float] = []
    theirs: list[float] = []
    with where.open(artifact, wish.opening(count)) as runner:
        for runs in wish.turns:
            ours += runner.bench(*wish.size, runs=runs, warmup=1).times
            theirs += peer.times(count, runs)
    mine, other = Speed(*wish.size, count, tuple(ours)), Speed(*wish.size, count, tuple(theirs))
    return PeerTiming(
        threads=count,
        runs=other.runs,
        minimum=1e3 * other.minimum,
        median=1e3 * other.median,
        p90=1e3 * other.percentile(90),
        ours=1e3 * mine.median,
        ratio=other.median / mine.median,
        doubt=_scatter({"our": mine, f"{peer.runtime.title}'s": other}),
    )


def _scatter(speeds: dict[str, Speed]) -> str:
    """Why a ratio says little, with what to do; "" where runs took alike long. speeds: by whose they are."""
    for whose, speed in speeds.items():
        least, most = speed.minimum, speed.percentile(90)
        if most > _SCATTERED * least:
            return (
                f"theirs/ours on {speed.threads} threads is not to be trusted, as {whose} runs took {1e3 * least:.2f} "
                f"to {1e3 * most:.2f} ms: end other programs, or take more runs with --runs"
            )
    return ""
