"""The tables of benchmarks/litert.py as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from judging.networks import SETS
from peering.table import table_lines

from lite.quality import CLIP, FP32, FREE, Means
from lite.sets import ALL, BOTH, ORDINARY, WHOLE
from tvmsr.commands.comparison.variants import CLIPS

_FILES = {
    FP32: "FP32",
    "int8": "ours, INT8",
    "strict": "ours, INT8, `--strict-bits`",
    "ptq": "the field's PTQ (.tflite), run by LiteRT",
    "qat": "the field's QAT (.tflite), run by LiteRT",
}
_DATA = {
    ORDINARY: "ordinary pictures",
    WHOLE: "ordinary pictures, the input's range set to 0..1 by hand",
    BOTH: "ordinary pictures and CFQP's",
}
_ENDINGS = {FREE: "clip-free", CLIP: "with its clip"}


def files_table(found: Mapping[str, Means]) -> list[str]:
    """The field's own INT8 files beside ours."""
    exact = found[FP32]
    rows = [[words, _pair(found[key]), _pair(_less(exact, found[key]))] for key, words in _FILES.items()]
    return table_lines(("ABPN x3", "PSNR Set5 / Set14", "drop (dB)"), rows, "---")


def sets_table(networks: Mapping[str, Any]) -> list[str]:
    """What the tool makes of all crops: PSNR by network and data, for both endings."""
    rows = []
    for name, found in networks.items():
        rows.append([name, "FP32", *(_pair(found[FP32][ending]) for ending in _ENDINGS)])
        for data in _data_of(found):
            rows.append([name, _words(data), *(_pair(found["sets"][ALL][f"{ending} {data}"]) for ending in _ENDINGS)])
    head = ("network", "calibrated with", *(f"{words}, Set5 / Set14" for words in _ENDINGS.values()))
    return table_lines(head, rows, "---")


def spread_table(networks: Mapping[str, Any]) -> list[str]:
    """Over the sets of one crop: mean, deviation of a sample and worst; and how many sets are better than ordinary."""
    rows = []
    for name, found in networks.items():
        singles = [one for key, one in found["sets"].items() if key != ALL]
        if len(singles) < 2:
            continue
        for ending, words in _ENDINGS.items():
            for data in _data_of(found):
                cells = [name, words, _words(data)]
                for test in SETS:
                    values = [one[f"{ending} {data}"][test] for one in singles]
                    cells.append(" / ".join(f"{figure:.3f}" for figure in spread(values)))
                rows.append([*cells, "-" if data == ORDINARY else _better(singles, ending, data)])
    head = ("network", "end", "calibrated with", *(f"{test.capitalize()} mean / deviation / worst" for test in SETS))
    return table_lines((*head, "sets better than ordinary, Set5, Set14"), rows, "---")


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, standard deviation of a sample, least."""
    return statistics.fmean(values), statistics.stdev(values), min(values)


def _better(singles: Sequence[Mapping[str, Means]], ending: str, data: str) -> str:
    counts = (
        sum(one[f"{ending} {data}"][test] > one[f"{ending} {ORDINARY}"][test] for one in singles) for test in SETS
    )
    return f"{', '.join(map(str, counts))} of {len(singles)}"


def times_table(found: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """ms, least / median, and how much less time it takes without the clip, of the least."""
    rows = []
    for place, columns in found.items():
        size, threads = place.split()
        cells = [f"{size}, {threads}"]
        for precision in (FP32, "int8"):
            free, clip = (columns.get(f"litert {precision}-{ending}") for ending in (FREE, CLIP))
            cells += [_time(free), _time(clip), _saved(free, clip)]
        ours = [columns.get(f"tvmsr {how}") for how in CLIPS]
        rows.append([*cells, *map(_time, ours), _saved(ours[0], ours[-1])])
    head = ["size, threads"]
    for precision in ("FP32", "INT8"):
        head += [f"LiteRT {precision}, clip-free", "with its clip", "less"]
    head += [f"ours INT8, clip {how}" for how in CLIPS]
    return table_lines([*head, "absent, less than a pass"], rows, "---")


def _time(of: Sequence[float] | None) -> str:
    return "-" if of is None else f"{of[0]:.1f} / {of[1]:.1f}"


def _saved(free: Sequence[float] | None, clip: Sequence[float] | None) -> str:
    return "-" if free is None or clip is None else f"{1 - free[0] / clip[0]:.0%}"


def _data_of(found: Mapping[str, Any]) -> list[str]:
    """What a network was calibrated with, in the order of the study."""
    return [key.split()[1] for key in found["sets"][ALL] if key.startswith(f"{FREE} ")]


def _words(data: str) -> str:
    return _DATA.get(data, f"CFQP's pictures, {data}")


def _pair(means: Means) -> str:
    return " / ".join(f"{means[name]:.3f}" for name in SETS)


def _less(exact: Means, found: Means) -> Means:
    return {name: exact[name] - found[name] for name in SETS}
