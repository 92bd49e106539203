"""How many calibration pictures it takes: PSNR of `--bits auto:...` plans made of 1, 4, 16 and 100 of them.

    python benchmarks/few_pictures.py NETWORK... --images IMAGES --bits auto:a4w4 --costs bits --json FILE --out FILE

IMAGES has the folders train (calibration; HR, downsized) and set5, set14 (HR). Which pictures are taken, --seeds draw;
PSNR on Y through the reference executor, whose bytes are the artifact's: mean over the seeds, and the worst, beside
that of FP32. What is in the JSON file is not measured again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from adapting.tables import lines
from peering.store import write_whole

COUNTS = (1, 4, 16, 100)
SETS = ("set5", "set14")


def drawn(files: Sequence[Path], count: int, seed: int, folder: Path) -> Path:
    """A folder with links to so many of the files."""
    folder.mkdir()
    for number in np.random.default_rng(seed).permutation(len(files))[:count]:
        (folder / files[number].name).symlink_to(files[number].resolve())
    return folder


def measure(network: str, files: Sequence[Path], count: int, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """A plan of so many pictures: PSNR by set, its own and that of FP32, and the seconds that it took to make."""
    import tvmsr

    more: dict[str, Any] = {"costs": args.costs} if args.costs else {}
    with tempfile.TemporaryDirectory() as scratch:
        plan, calib = Path(scratch) / "some.plan.json", drawn(files, count, seed, Path(scratch) / "pictures")
        start = time.perf_counter()
        tvmsr.calibrate(network, out=plan, bits=args.bits, calib=calib, hr=True, seed=seed, learn=args.learn, **more)
        seconds = time.perf_counter() - start
        means = {name: tvmsr.evaluate(network, plan=plan, data=args.images / name).mean for name in args.sets}
    return {
        "network": Path(network).stem,
        "count": count,
        "seed": seed,
        "seconds": seconds,
        "psnr": {name: found["psnr_y"] for name, found in means.items()},
        "fp32": {name: found["fp32_psnr_y"] for name, found in means.items()},
    }


def way(args: argparse.Namespace) -> str:
    """The options of the plan, as a user gives them."""
    return args.bits + (f" --costs {args.costs}" if args.costs else "") + (" --learn" if args.learn else "")


def table(records: Sequence[Mapping[str, Any]], sets: Sequence[str]) -> list[str]:
    """Markdown: a row for each network and count of pictures, and FP32; records of one way, as `measure` makes them."""
    head = ["network", "pictures", *(f"{name} {what}" for name in sets for what in ("mean", "worst"))]
    groups: dict[str, dict[int, list[Mapping[str, Any]]]] = {}
    for one in records:
        groups.setdefault(one["network"], {}).setdefault(one["count"], []).append(one)
    rows = []
    for network, counts in groups.items():
        for count, some in counts.items():
            cells = [f"{how(one['psnr'][name] for one in some):.3f}" for name in sets for how in (mean, min)]
            rows.append([network, str(count), *cells])
        exact = next(iter(counts.values()))[0]["fp32"]
        rows.append([network, "FP32", *(f"{exact[name]:.3f}" for name in sets for _ in range(2))])
    return lines(head, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="what was measured: written, and read")
    parser.add_argument("--out", type=Path, required=True, help="the table")
    parser.add_argument("--bits", default="auto:a4w4")
    parser.add_argument("--costs", choices=["time", "bits"])
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--sets", nargs="+", default=SETS)
    args = parser.parse_args(arguments)
    files = sorted(path for path in (args.images / "train").iterdir() if path.is_file())
    known = json.loads(args.json.read_text()) if args.json and args.json.exists() else []
    found, shown = {one["key"]: one for one in known}, []
    for network in args.networks:
        for count, seed in product(args.counts, args.seeds):
            key = f"{Path(network).stem} {' '.join(args.sets)} {way(args)} {count} {seed}"
            if key not in found:
                found[key] = {"key": key, **measure(network, files, count, seed, args)}
                if args.json:
                    write_whole(args.json, list(found.values()))
                print(f"{key}: {found[key]['seconds']:.0f} s", flush=True)
            shown.append(found[key])
            args.out.write_text("\n".join(table(shown, args.sets)) + "\n")


if __name__ == "__main__":
    main()
