"""Markdown of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import geometric_mean
from typing import Any

from adapting.measure import set_means
from adapting.timing import mean_time
from adapting.ways import NETWORKS, SETS, WAYS, Run

Records = Mapping[str, Mapping[str, Any]]


def lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table."""
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(r) + " |" for r in rows)]


def quality(records: Records, networks: Sequence[str]) -> list[str]:
    """One row a network and way: FAB, PSNR and SSIM, time, size, seconds."""
    head = ["network", "bits", "FAB", "MACs at 8 bits", "bit operations", "Set5", "drop", "SSIM", "Set14", "drop"]
    head += ["SSIM", "time of 8 bits", "KB", "calibrated in"]
    rows = []
    for network in networks:
        first = records.get(Run(network, WAYS[0]).key)
        for way in WAYS:
            found = records.get(Run(network, way).key)
            if found is not None and first is not None:
                rows.append(
                    [network, f"`{way.name}`", *_quality_cells(found, network, _time_cell(records, network, way))]
                )
    return lines(head, rows)


def _quality_cells(found: Mapping[str, Any], network: str, time: str) -> list[str]:
    means = {name: set_means(dict(found), name) for name in SETS}
    first = means[SETS[0]]
    cells = [f"{first['fab']:.2f}", f"{first['at_8_bits']:.0%}", f"{first['bit_operations']:.0%}"]
    for name in SETS:
        one = means[name]
        drop = f"{one['fp32'] - one['psnr']:.3f}" if NETWORKS[network] == "hr" else "-"
        cells += [f"{one['psnr']:.2f}", drop, f"{one['ssim']:.4f}"]
    return [*cells, time, f"{found['size'] / 1024:.0f}", f"{found['seconds']:.0f} s"]


def _time_cell(records: Records, network: str, way: Any) -> str:
    """Of the larger size, the pictures' choices averaged, beside 8 bits."""
    timed = records.get(f"{network} times")
    if timed is None:
        return "-"
    size = list(timed["sizes"])[-1]
    try:
        own = mean_time(records[Run(network, way).key], timed["sizes"][size], way.name)
        base = mean_time(records[Run(network, WAYS[0]).key], timed["sizes"][size], WAYS[0].name)
    except KeyError:
        return "-"
    return f"{own / base:.2f}"


def speed(records: Records, networks: Sequence[str]) -> list[str]:
    """How many times as fast as 8 bits every choice is, forced; which share of the pictures it gets; its PSNR."""
    head = [
        "network",
        "bits",
        "factor",
        "pictures",
        "FAB",
        "bit operations promise",
        "320x180",
        "640x360",
        "Set5",
        "Set14",
    ]
    rows = []
    for network in networks:
        timed, base = records.get(f"{network} times"), records.get(Run(network, WAYS[0]).key)
        for way in WAYS[1:]:
            found = records.get(Run(network, way).key)
            if timed is None or base is None or found is None or way.name not in timed["ways"]:
                continue
            order = sorted(range(len(found["names"])), key=lambda k: found["factors"][k])
            rows += [[network, f"`{way.name}`", *_speed_cells(found, base, timed, way.name, k)] for k in order]
    return lines(head, rows)


def _speed_cells(
    found: Mapping[str, Any], base: Mapping[str, Any], timed: Mapping[str, Any], way: str, choice: int
) -> list[str]:
    share = sum(row["choice"] == choice for row in found["pictures"]) / len(found["pictures"])
    promise = base["bit_operations"][0] / found["bit_operations"][choice]
    faster = [
        mean_time(base, some, WAYS[0].name) / mean_time(found, some, way, choice) for some in timed["sizes"].values()
    ]
    psnr = [f"{set_means(dict(found), name, choice)['psnr']:.2f}" for name in SETS]
    cells = [f"{found['factors'][choice]:+d}", f"{share:.0%}", f"{found['fab'][choice]:.2f}", f"{promise:.2f}"]
    return [*cells, *(f"{one:.2f}" for one in faster), *psnr]


def summary(records: Records, networks: Sequence[str]) -> str:
    """The better of the two low-bit plans over the networks where it is any faster than 8 bits."""
    best = {}
    for network in networks:
        cells = [_time_cell(records, network, way) for way in WAYS if way.name in ("auto:a6w4", "auto:a4w4")]
        ratios = [1 / float(cell) for cell in cells if cell != "-"]
        if ratios and max(ratios) > 1.01:
            best[network] = max(ratios)
    if not best:
        return "No network is faster at low bits than at 8."
    words = ", ".join(f"{network} {ratio:.2f}" for network, ratio in best.items())
    return f"Faster at low bits than at 8, geometric mean {geometric_mean(best.values()):.2f}: {words}."
