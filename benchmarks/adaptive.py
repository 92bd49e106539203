"""Make the tables of `--bits auto` (docs/results-adaptive.md): what adaptive bits give and cost, through the .so.

    python benchmarks/adaptive.py --weights WEIGHTS --images IMAGES --keep FOLDER --json FILE --out FILE
    python benchmarks/adaptive.py ... --times        # of what is there: each by turns with 8 bits, on a quiet machine

WEIGHTS holds the .safetensors files of the networks, IMAGES the folders set5, set14 (HR) and train (calibration; HR,
downsized). Protocol: LR by MATLAB-compatible bicubic, PSNR and SSIM on Y, `scale` pixels cut off at each side, means
over the pictures; of srvggnetcompact_x4 against its FP32 output. What is in the JSON file is not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapting.measure import Folders, measure
from adapting.tables import quality, speed, summary
from adapting.timing import SIZES, times
from adapting.ways import NETWORKS, WAYS, runs
from peering.store import write_whole


def _measured(args: argparse.Namespace, folders: Folders, records: dict[str, Any]) -> None:
    for run in runs(args.networks, args.ways):
        if run.key not in records:
            records[run.key] = measure(run, folders, args.seed)
            write_whole(args.json, list(records.values()))
            print(f"{run.key}: {records[run.key]['seconds']:.0f} s", flush=True)


def _timed(args: argparse.Namespace, folders: Folders, records: dict[str, Any]) -> None:
    for network in args.networks:
        known = {run.way.name: run for run in runs([network], args.ways) if run.key in records}
        files = {way: (folders.artifact(run), records[run.key]["names"]) for way, run in known.items()}
        sizes = {f"{w}x{h}": times(files, (w, h), args.threads) for w, h in SIZES}
        key = f"{network} times"
        records[key] = {"key": key, "threads": args.threads, "ways": list(files), "sizes": sizes}
        write_whole(args.json, list(records.values()))


def _text(records: dict[str, Any], networks: Sequence[str], seed: int) -> str:
    levels = {records[key]["level"] for key in records if "level" in records[key]}
    lines = [
        f"Level {', '.join(sorted(levels))}; calibrated with HR photographs, seed {seed}.",
        "",
        *quality(records, networks),
        "",
        *speed(records, networks),
        "",
        summary(records, networks),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True, help="plans and artifacts stay here")
    parser.add_argument("--json", type=Path, required=True, help="what was measured: written, and read")
    parser.add_argument("--out", type=Path, required=True, help="the tables")
    parser.add_argument("--times", action="store_true", help="time what is there, and measure nothing else")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS], metavar="WAY")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    args.keep.mkdir(parents=True, exist_ok=True)
    folders = Folders(args.weights, args.images, args.keep)
    records = {one["key"]: one for one in (json.loads(args.json.read_text()) if args.json.exists() else [])}
    (_timed if args.times else _measured)(args, folders, records)
    args.out.write_text(_text(records, args.networks, args.seed))


if __name__ == "__main__":
    main()
