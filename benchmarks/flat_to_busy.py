"""Pictures from flat to busy: what each chooses, how much faster than 8 bits that is, and what bit operations promise.

    python benchmarks/flat_to_busy.py --images IMAGES --keep FOLDER --records FILE --json FILE --out FILE

FOLDER and --records are those of benchmarks/adaptive.py: its artifacts, and what it wrote of them with --json.
Pictures are the LR ones of the test sets, continued by their mirror images to the size wanted, or cut to it, so that
they are as busy as there. Each is upscaled by turns by 8 bits and by every way, whose artifact chooses by itself: what
that costs is in the time. Cells: image factor, how many times as fast as 8 bits, and in brackets what bit operations
promise. Least of --rounds runs; what is in the JSON file is not measured again. --deciles: rows are tenths of the
pictures, for many of them (--sets set5 set14 train).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import geometric_mean, mean
from typing import Any

import numpy as np
from adapting.measure import Folders
from adapting.tables import lines
from adapting.timing import SIZES, picture_times
from adapting.ways import NETWORKS, SETS, WAYS, Run, runs
from numpy.typing import NDArray
from peering.store import write_whole

BASE = WAYS[0].name
#: What is shown where nothing else is asked for.
SHOWN = ("auto:a6w4", "auto:a4w4", "auto:a6w8 --costs bits", "auto:a4w4 --costs bits --learn")
TENTHS = 10


def filled(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with the size (width, height): its middle, or itself and then its mirror images."""
    width, height = size
    top, left = max(picture.shape[0] - height, 0) // 2, max(picture.shape[1] - width, 0) // 2
    part = picture[top : top + height, left : left + width]
    missing = [(0, height - part.shape[0]), (0, width - part.shape[1]), (0, 0)]
    return np.ascontiguousarray(np.pad(part, missing, mode="symmetric"))


def shown(folder: Path, names: Sequence[str], scale: int, size: tuple[int, int]) -> Iterator[tuple[str, Any]]:
    """Names of the pictures, and the pictures."""
    from tvmsr.evaluation.dataset import load_pairs

    for name in names:
        for pair in load_pairs(folder / name, scale):
            yield f"{name}/{pair.name}", filled(pair.lr, size)


def measure(
    network: str, ways: Sequence[str], size: tuple[int, int], records: Mapping[str, Any], args: argparse.Namespace
) -> dict[str, Any]:
    """All pictures of one size. ways: those with an artifact, 8 bits first."""
    from tvmsr.devices import Here, Opening
    from tvmsr.quant.complexity import as_published, complexity

    folders, rows = Folders(Path(), args.images, args.keep), []
    with ExitStack() as stack:
        here = stack.enter_context(Here())
        runners = {
            run.way.name: stack.enter_context(here.open(folders.artifact(run), Opening(threads=args.threads)))
            for run in runs([network], ways)
        }
        scale = runners[BASE].info.scale
        for name, picture in shown(args.images, args.sets, scale, size):
            times = picture_times(runners, picture, args.rounds)
            chosen = {way: runner.last().choice for way, runner in runners.items()}
            found = {way: _row(records[f"{network} {way}"], chosen[way], ms) for way, ms in times.items()}
            rows.append({"picture": name, "complexity": as_published(complexity(picture)), "ways": found})
    return {"key": key(network, size, args.sets), "threads": args.threads, "ways": list(runners), "pictures": rows}


def key(network: str, size: tuple[int, int], sets: Sequence[str]) -> str:
    return f"{network} {size[0]}x{size[1]} {' '.join(sets)}"


def _row(record: Mapping[str, Any], choice: int, milliseconds: float) -> dict[str, Any]:
    return {
        "factor": record["factors"][choice],
        "bit_operations": record["bit_operations"][choice],
        "milliseconds": milliseconds,
    }


def table(found: Mapping[str, Any], tenths: bool) -> list[str]:
    """Markdown: flat pictures first, one a row or a tenth of them, and all; of several, means, of ratios geometric."""
    rows = sorted(found["pictures"], key=lambda row: row["complexity"])
    ways = [way for way in found["ways"] if way != BASE]
    head = ["pictures", "complexity", "8 bits, ms", *(f"`{way}`" for way in ways)]
    groups = np.array_split(np.arange(len(rows)), min(TENTHS, len(rows)) if tenths else len(rows))
    cells = [_cells([rows[k] for k in part], ways) for part in groups]
    return lines(head, [*cells, ["all", *_cells(rows, ways)[1:]]])


def _cells(rows: Sequence[Mapping[str, Any]], ways: Sequence[str]) -> list[str]:
    name = rows[0]["picture"] if len(rows) == 1 else f"{len(rows)} pictures"
    complexities = [row["complexity"] for row in rows]
    ends = f"{min(complexities):.0f}" + (f" to {max(complexities):.0f}" if len(rows) > 1 else "")
    base = mean(row["ways"][BASE]["milliseconds"] for row in rows)
    return [name, ends, f"{base:.1f}", *(_cell(rows, way) for way in ways)]


def _cell(rows: Sequence[Mapping[str, Any]], way: str) -> str:
    factors = Counter(row["ways"][way]["factor"] for row in rows)
    words = [f"{one:+d}" if len(factors) == 1 else f"{factors[one]} of {one:+d}" for one in sorted(factors)]
    faster, promised = (
        geometric_mean([row["ways"][BASE][what] / row["ways"][way][what] for row in rows])
        for what in ("milliseconds", "bit_operations")
    )
    return f"{', '.join(words)}: {faster:.2f} ({promised:.2f})"


def _ways(network: str, records: Mapping[str, Any], args: argparse.Namespace) -> list[str]:
    """8 bits, and those asked for that are there; none without 8 bits."""
    folders = Folders(Path(), args.images, args.keep)
    some = [run for run in runs([network], [BASE, *args.ways]) if run.key in records and folders.artifact(run).exists()]
    return [run.way.name for run in some] if some and some[0] == Run(network, WAYS[0]) else []


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True, help="where adaptive.py left its artifacts")
    parser.add_argument("--records", type=Path, required=True, help="what adaptive.py measured: read only")
    parser.add_argument("--json", type=Path, required=True, help="what was measured: written, and read")
    parser.add_argument("--out", type=Path, required=True, help="the tables")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS[1:]], default=SHOWN, metavar="WAY")
    parser.add_argument("--sets", nargs="+", default=SETS, help="folders of IMAGES")
    parser.add_argument("--deciles", action="store_true")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(arguments)
    records = {one["key"]: one for one in json.loads(args.records.read_text())}
    found = {one["key"]: one for one in (json.loads(args.json.read_text()) if args.json.exists() else [])}
    text: list[str] = []
    for network in args.networks:
        for size in SIZES:
            name, ways = key(network, size, args.sets), _ways(network, records, args)
            if len(ways) > 1 and not set(ways) <= set(found.get(name, {}).get("ways", ())):
                found[name] = measure(network, ways, size, records, args)
                write_whole(args.json, list(found.values()))
            if name in found:
                text += [f"{network}, {size[0]}x{size[1]}:", "", *table(found[name], args.deciles), ""]
                args.out.write_text("\n".join(text))


if __name__ == "__main__":
    main()
