"""`tvmsr targets`: what can be compiled for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvmsr.hardware.target import Cluster, Level, Target

#: Of the list of all targets; `row_of` gives a row.
COLUMNS = ("target", "machine", "levels", "description")

#: Types that peaks are given for.
_KINDS = ("s8", "s16", "f32")


def targets(name: str | None = None) -> tuple[Target, ...]:
    """All known targets, or the one that `name` (or a path of a .toml) names. Raises UsageError, InputFileError."""
    from tvmsr.hardware import list_targets, load_target

    return (load_target(name),) if name is not None else tuple(load_target(known) for known in list_targets())


def row_of(target: Target) -> tuple[str, ...]:
    """One line of the list."""
    levels = ", ".join(level.name for level in target.levels)
    return target.name, f"{target.architecture} {target.system}", levels, target.description


def facts_of(target: Target) -> list[tuple[str, str]]:
    """All that is known of a target, as label and value; figures with where they are from."""
    clusters = [(f"{c.cores}x {c.core}", line) for c in target.clusters for line in _cluster(c)]
    caches = [(f"L{c.level} of {c.cores} cores", f"{_size(c.bytes)} ({c.source})") for c in target.caches]
    memory = [("memory", f"{target.memory.bandwidth_gb_s:g} GB/s ({target.memory.source})")] if target.memory else []
    rows = [
        ("target", target.name),
        ("description", target.description),
        ("status", target.status),
        ("reached", target.reached),
        ("triple", target.triple),
        ("link triple", target.link_triple),
        ("file", f"{target.object}, C library {target.libc}, pages of up to {_size(target.page_size)}"),
        *((f"level {level.name}", _level(level)) for level in target.levels),
        ("device", target.stands_for),
        ("cores", str(target.cores)),
        ("costs are of", target.costs),
        *clusters,
        *caches,
        *memory,
    ]
    return [(label, value) for label, value in rows if value]


def as_json(target: Target) -> dict[str, Any]:
    """A target with what follows from its keys: architecture, system, peaks of a core in GMAC/s."""
    found = asdict(target)
    found |= {"architecture": target.architecture, "system": target.system, "cache_bytes": list(target.cache_bytes)}
    for keys, cluster in zip(found["clusters"], target.clusters, strict=True):
        keys["gmacs_per_core"] = {kind: cluster.gmacs(kind) for kind in _KINDS}
    return found


def _level(level: Level) -> str:
    features = f" {','.join(level.features)}" if level.features else ""
    return f"needs {', '.join(level.needs) or 'nothing'}; isa {level.isa}; compiled for {level.cpu}{features}"


def _cluster(cluster: Cluster) -> list[str]:
    peaks = ", ".join(f"{kind} {getattr(cluster.macs, kind):g}" for kind in _KINDS)
    per_second = ", ".join(f"{kind} {cluster.gmacs(kind):.1f}" for kind in _KINDS)
    own = f"L1d {_size(cluster.l1d_bytes)}" + (f", L2 {_size(cluster.l2_bytes)}" if cluster.l2_bytes else "")
    return [
        f"{cluster.clock_ghz:g} GHz, {own} each ({cluster.source})",
        f"peak of a core: {per_second} GMAC/s; MACs a cycle: {peaks} ({cluster.macs.source})",
    ]


def _size(count: int) -> str:
    return f"{count / 2**20:g} MiB" if count >= 2**20 else f"{count / 2**10:g} KiB"
