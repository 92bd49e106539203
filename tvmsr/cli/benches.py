"""How `bench` shows what it found."""

from __future__ import annotations

from collections.abc import Iterator

from tvmsr.cli import profiles, show
from tvmsr.commands.bench import Benchmark, Benchmarks, PeerResult, Timing
from tvmsr.devices.health import Health

_COLUMNS = ("threads", "runs", "minimum ms", "median ms", "p90 ms", "p99 ms", "mean ms", "GMAC/s", "workspace MiB")


def one(found: Benchmark) -> None:
    """A table of one device; what was in doubt goes to standard error."""
    show.notes(found.notes)
    show.say(
        f"{found.artifact}, level {found.level}, {_choice(found)}{found.width}x{found.height}, opened in "
        f"{found.open_ms:.1f} ms, on {found.device}"
    )
    columns, lines = list(_COLUMNS), [_cells(found, timing) for timing in found.timings]
    if any(timing.memory for timing in found.timings):
        columns.append("peak MiB")
        lines = [[*line, f"{t.memory / 2**20:.1f}"] for line, t in zip(lines, found.timings, strict=True)]
    if found.energy_from:
        columns.append("J a picture")
        lines = [
            [*line, "" if t.joules is None else f"{t.joules:.3f}"] for line, t in zip(lines, found.timings, strict=True)
        ]
    show.rows(columns, lines)
    if found.energy_from:
        show.say(f"energy: {found.energy_from}, of all that it feeds")
    for when, health in (("before", found.before), ("after", found.after)):
        if health is not None:
            show.say(f"{when}: {_condition(health)}")
    if found.changes:
        show.say(f"meanwhile: {'; '.join(found.changes)}")
    if found.profile is not None:
        profiles.profile(found.profile)
    if found.peer is not None:
        _peer(found.peer)


def several(found: Benchmarks) -> None:
    """One table: a row a device and thread count; an error in the place of figures."""
    columns = ("device", "level", "threads", "median ms", "p90 ms", "minimum ms", "GMAC/s", "C", "")
    lines: list[list[str]] = []
    for result in found.devices:
        if result.found is None:
            lines.append([result.device, *[""] * 7, f"failed: {result.error}"])
            continue
        show.notes(f"{result.device}: {note}" for note in result.found.notes)
        lines += _lines(result.found)
    show.rows(columns, lines)
    for result in found.devices:
        if result.found is not None and result.found.choice:
            show.say(f"{result.device}: timed was the bit choice {result.found.choice}")
        if result.found is None or (result.found.profile is None and result.found.peer is None):
            continue
        show.say(result.device)
        if result.found.profile is not None:
            profiles.profile(result.found.profile)
        if result.found.peer is not None:
            _peer(result.found.peer)


def _lines(found: Benchmark) -> Iterator[list[str]]:
    hottest = None if found.after is None else found.after.hottest
    for t in found.timings:
        yield [
            found.device,
            found.level,
            str(t.threads),
            f"{t.median:.2f}",
            f"{t.p90:.2f}",
            f"{t.minimum:.2f}",
            f"{found.gmac / t.minimum * 1e3:.1f}",
            "" if hottest is None else f"{hottest.celsius:.0f}",
            "not to be trusted" if found.notes else "",
        ]


def _choice(found: Benchmark) -> str:
    return f"choice {found.choice}, " if found.choice else ""


def _cells(found: Benchmark, t: Timing) -> list[str]:
    times = (t.minimum, t.median, t.p90, t.p99, t.mean)
    speed, workspace = found.gmac / t.minimum * 1e3, t.workspace / 2**20
    return [str(t.threads), str(t.runs), *(f"{time:.2f}" for time in times), f"{speed:.1f}", f"{workspace:.1f}"]


def _condition(health: Health) -> str:
    """Clocks, temperature and load of one look."""
    said = [f"governor {name}" for name in health.governors]
    said += [f"{clock.now:.0f} of {clock.top:.0f} MHz" for clock in health.clocks]
    if health.hottest is not None:
        said.append(f"{health.hottest.celsius:.0f} C ({health.hottest.name})")
    if health.throttled:
        said.append("throttled")
    if not health.clocks and health.hottest is None and health.throttled is None:
        said.append("no clocks and temperatures told")
    if health.busy is not None:
        said.append(f"{health.busy:.1f} of {health.cores} cores busy")
    if health.memory is not None:
        said.append(f"{health.memory >> 20} MiB free")
    if health.power is not None:
        said.append(f"{health.power.watts:.1f} W ({health.power.source})")
    return ", ".join(said)


def _peer(peer: PeerResult) -> None:
    show.notes(t.doubt for t in peer.timings if t.doubt)
    show.say(
        f"{peer.runtime} {peer.version} on the same network, by turns with ours; computed in {peer.precision}; "
        f"its float32 output differs by at most {peer.difference:.1e} from our FP32 executor's"
    )
    lines = [
        [str(t.threads), str(t.runs), *(f"{x:.2f}" for x in (t.minimum, t.median, t.p90, t.ours, t.ratio))]
        for t in peer.timings
    ]
    show.rows(("threads", "runs", "minimum ms", "median ms", "p90 ms", "ours, median ms", "theirs/ours"), lines)
