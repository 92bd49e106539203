"""The tables of benchmarks/int8_or_fp32.py: each network's INT8 beside its own FP32, and beside that of all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judging.networks import SETS
from peering.runtimes import runtime
from peering.table import table_lines

from claim.turns import FP32, INT8


@dataclass(frozen=True)
class Standing:
    """A network: ms, least and median, of ours and of the fastest peer (None: none runs it), and PSNR by set.

    scale: of the network. int8, fp32: {} where they were not measured.
    """

    name: str
    scale: int
    ours: tuple[float, float]
    peer: str | None
    theirs: tuple[float, float] | None
    int8: Mapping[str, float]
    fp32: Mapping[str, float]

    def faster_than(self, other: Standing) -> bool:
        """Ours than the other's FP32: by medians."""
        return other.theirs is not None and self.ours[1] < other.theirs[1]

    def better_than(self, other: Standing) -> bool:
        """Our INT8 than the other's FP32, on every set."""
        return all(self.int8[one] > other.fp32[one] for one in SETS) if self.int8 and other.fp32 else False

    def beats(self, other: Standing) -> bool:
        """In both, at the same scale."""
        return self.scale == other.scale and self.faster_than(other) and self.better_than(other)


def standing(
    name: str, scale: int, row: Mapping[str, Any], means: Mapping[str, Mapping[str, float]]
) -> Standing | None:
    """Of a row of the results file and the network's means in quality.json ({}: not there); None where ours failed."""
    columns = {key: of for key, of in row["columns"].items() if "reason" not in of}
    if INT8 not in columns:
        return None
    peers = [key for key in columns if key != INT8]
    fastest = min(peers, key=lambda key: columns[key]["median"], default=None)
    return Standing(
        name,
        scale,
        _times(columns[INT8]),
        runtime(fastest.split()[0]).TITLE if fastest else None,
        _times(columns[fastest]) if fastest else None,
        {one: means[one]["int8_psnr_y"] for one in means},
        {one: means[one]["fp32_psnr_y"] for one in means},
    )


def _times(column: Mapping[str, Any]) -> tuple[float, float]:
    return column["minimum"], column["median"]


def own_table(found: Sequence[Standing]) -> list[str]:
    """A row each: the network's INT8 beside its own FP32."""
    head = (
        "network", "fastest FP32 peer", "its ms", "ours INT8, ms", "peer / ours", "PSNR Set5 FP32 / INT8",
        "PSNR Set14 FP32 / INT8", "better in time", "in PSNR", "in both",
    )  # fmt: skip
    rows = []
    for one in found:
        ratio = f"{one.theirs[1] / one.ours[1]:.2f}" if one.theirs else "-"
        quality = [f"{one.fp32[key]:.3f} / {one.int8[key]:.3f}" if one.int8 else "-" for key in SETS]
        said = (one.faster_than(one), one.better_than(one), one.beats(one))
        cells = [one.name, one.peer or "-", _ms(one.theirs), _ms(one.ours), ratio, *quality]
        rows.append([*cells, *("yes" if so else "no" for so in said)])
    return table_lines(head, rows, "---")


def others_table(found: Sequence[Standing]) -> list[str]:
    """A row each: the networks of the same scale whose FP32 our INT8 beats in time and in PSNR on both sets."""
    rows = []
    for one in found:
        beaten = [other.name for other in found if one.beats(other)]
        same = sum(other.scale == one.scale for other in found)
        rows.append([one.name, f"x{one.scale}", f"{len(beaten)} of {same}", ", ".join(beaten) or "-"])
    return table_lines(("our INT8", "scale", "FP32 networks beaten in both", "which"), rows, "---")


def summary(found: Sequence[Standing]) -> str:
    """How many networks are better than their own FP32, and than that of some network."""
    timed = [one for one in found if one.theirs]
    faster = sum(one.faster_than(one) for one in timed)
    both = [one.name for one in found if one.beats(one)]
    some = sum(any(one.beats(other) for other in found) for one in found)
    return (
        f"Of {len(found)} networks our INT8 is faster than the network's own FP32 on the fastest peer on {faster} (of "
        f"{len(timed)} that a peer runs), better in time and in PSNR on both sets on {len(both)}"
        f"{' (' + ', '.join(both) + ')' if both else ''}, and better in both than the FP32 of some network of its "
        f"scale on {some}."
    )


def reasons(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why a peer's FP32 is not among the times, each reason once."""
    found: dict[str, list[str]] = {}
    for name, row in rows.items():
        for column, of in row["columns"].items():
            if "reason" in of:
                found.setdefault(f"{column.removesuffix(' ' + FP32)}: {of['reason']}", []).append(name)
    return [f"- {reason} ({', '.join(names)})" for reason, names in found.items()]


def _ms(times: tuple[float, float] | None) -> str:
    return "-" if times is None else f"{times[0]:.1f} / {times[1]:.1f}"
