"""Peaks that a target's file and the isa table tell, for machines that cannot be measured from here."""

from __future__ import annotations

from tvmsr.hardware.peaks.values import FLOAT, Bandwidth, Origin, Peaks, Roof
from tvmsr.hardware.target import Cluster, Target
from tvmsr.kernels.isa import ISAS, Isa, Kind, Primitive


def computed_peaks(target: Target, isa: str, threads: tuple[int, ...]) -> Peaks:
    """Of a level of this isa on the device that `target` describes; UNKNOWN where it describes none.

    A core does as many multiplies a cycle as its file says for the type of the factors, and no more than the level's
    primitive takes in the cycles of the isa table. Threads have a core each, the fastest first.
    """
    if not target.clusters:
        return Peaks(Origin.UNKNOWN, f"target {target.name} does not say what its cores can do")
    row = ISAS[isa]
    counts = sorted({1, *threads})
    roofs = [_roof(target, row, primitive, count) for count in counts for primitive in _multipliers(row)]
    roofs += [Roof(FLOAT, count, *_sum(target, count, "f32", None)) for count in counts]
    memory = target.memory
    reads = [Bandwidth("RAM", n, memory.bandwidth_gb_s, memory.source) for n in counts] if memory is not None else []
    stands_for = f", which stands for {target.stands_for}" if target.stands_for else ""
    return Peaks(Origin.COMPUTED, f"target {target.name}{stands_for}", tuple(roofs), tuple(reads))


def _multipliers(row: Isa) -> list[Primitive]:
    """Primitives that sums of inputs are made of: depthwise convolutions have no peak of their own."""
    return [p for p in row.primitives if p.name != "lanewise"]


def _roof(target: Target, row: Isa, primitive: Primitive, count: int) -> Roof:
    kind = "s8" if primitive.weight_bytes == 1 else "s16"
    limit = None if primitive.kind is Kind.PLAIN else row.lanes * primitive.depth / primitive.cycles
    return Roof(primitive.name, count, *_sum(target, count, kind, limit))


def _sum(target: Target, count: int, kind: str, limit: float | None) -> tuple[float, str]:
    """GMAC/s of so many cores, and which they are."""
    left, total, words = count, 0.0, []
    for cluster in target.clusters:
        used = min(left, cluster.cores)
        if used == 0:
            break
        macs = _macs(cluster, kind, limit)
        total, left = total + used * macs * cluster.clock_ghz, left - used
        words.append(f"{used}x {cluster.core}, {macs:.3g} multiplies a cycle at {cluster.clock_ghz:g} GHz")
    return total, "; ".join(words)


def _macs(cluster: Cluster, kind: str, limit: float | None) -> float:
    known = float(getattr(cluster.macs, kind))
    return known if limit is None else min(known, limit)
