"""How many calibration pictures it takes: PSNR of `--bits auto:...` plans made of 1, 4, 16 and 100 of them.

    python benchmarks/few_pictures.py NETWORK --images IMAGES --bits auto:a4w4 --costs bits --out FILE

IMAGES has the folders train (calibration; HR, downsized) and set5, set14 (HR). Which pictures are taken, --seeds draw;
PSNR on Y through the reference executor, whose bytes are the artifact's: mean over the seeds, and the worst.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

COUNTS = (1, 4, 16, 100)
SETS = ("set5", "set14")


def drawn(files: Sequence[Path], count: int, seed: int, folder: Path) -> Path:
    """A folder with links to so many of the files."""
    folder.mkdir()
    for number in np.random.default_rng(seed).permutation(len(files))[:count]:
        (folder / files[number].name).symlink_to(files[number].resolve())
    return folder


def measure(args: argparse.Namespace, calib: Path, scratch: Path, seed: int) -> dict[str, float]:
    """PSNR by set."""
    import tvmsr

    plan = scratch / "some.plan.json"
    more: dict[str, Any] = {"costs": args.costs} if args.costs else {}
    tvmsr.calibrate(args.network, out=plan, bits=args.bits, calib=calib, hr=True, seed=seed, learn=args.learn, **more)
    return {name: tvmsr.evaluate(args.network, plan=plan, data=args.images / name).mean["psnr_y"] for name in args.sets}


def table(found: dict[int, list[dict[str, float]]], sets: Sequence[str]) -> list[str]:
    """Markdown: a row for each count of pictures."""
    head = ["pictures", *(f"{name} {what}" for name in sets for what in ("mean", "worst"))]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for count, some in found.items():
        cells = [f"{how([one[name] for one in some]):.3f}" for name in sets for how in (mean, min)]
        lines.append("| " + " | ".join([str(count), *cells]) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bits", default="auto:a4w4")
    parser.add_argument("--costs", choices=["time", "bits"])
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--sets", nargs="+", default=SETS)
    args = parser.parse_args()
    files = sorted(path for path in (args.images / "train").iterdir() if path.is_file())
    found: dict[int, list[dict[str, float]]] = {}
    for count in args.counts:
        found[count] = []
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as scratch:
                calib = drawn(files, count, seed, Path(scratch) / "pictures")
                found[count].append(measure(args, calib, Path(scratch), seed))
        args.out.write_text("\n".join(table(found, args.sets)) + "\n")


if __name__ == "__main__":
    main()
