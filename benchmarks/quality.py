"""Make the tables of quality of docs/results.md: what the networks reach in FP32 and through the compiled .so.

    python benchmarks/quality.py --weights WEIGHTS --images IMAGES --json FILE --out FILE [--keep FOLDER]
    python benchmarks/quality.py --weights WEIGHTS --images IMAGES --fp32 --out FILE

WEIGHTS holds the .safetensors files, IMAGES the folders set5, set14 (HR) and train (calibration). Protocol: LR by
MATLAB-compatible bicubic, PSNR and SSIM on Y, `scale` pixels cut off at each side, mean over the images. What is in the
JSON file is not measured again; further files of --json are read too, so that two runs can share the networks. --keep:
where artifacts stay, and the windows in which ordinary INT8 and ours are worst, as PNG: original, FP32, ordinary, ours.
With --fp32, only what the networks reach in FP32, beside what is stated for them.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judging.measure import Folders, measure
from judging.networks import ROWS, SETS, Row
from judging.tables import quality_table, summary, windows_table
from peering.store import write_whole


def _fp32(row: Row, weights: Path, images: Path) -> tuple[list[str], list[str]]:
    """The table's cells of a network in FP32, and what its import assumed."""
    import numpy as np

    from tvmsr.commands.evaluate import fp32_upscaler
    from tvmsr.commands.source import open_model
    from tvmsr.evaluation.dataset import load_pairs
    from tvmsr.evaluation.evaluate import to_bytes
    from tvmsr.evaluation.metrics import psnr_y, to_luma
    from tvmsr.frontend.choices import Overrides

    model = open_model(row.file(weights), Overrides(scale=row.scale))
    upscale, border = fp32_upscaler(model), model.scale if row.border is None else row.border

    def psnr(lr: Any, hr: Any) -> float:
        made = to_bytes(upscale(lr))
        return psnr_y(made, to_luma(hr) if made.ndim == 2 else hr, border)

    cells = [row.name, model.family]
    for name, stated in zip(SETS, row.stated, strict=True):
        mean = float(np.mean([psnr(pair.lr, pair.hr) for pair in load_pairs(images / name, model.scale)]))
        known = stated is not None
        cells += [f"{stated:.2f}" if known else "-", f"{mean:.3f}", f"{mean - stated:+.3f}" if known else "-"]
    return cells, list(model.assumed)


def _fp32_table(rows: Sequence[Row], weights: Path, images: Path, out: Path) -> None:
    """Written anew after each network, which is shown as it is done."""
    head = ("network", "family", "Set5 stated", "here", "difference", "Set14 stated", "here", "difference")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells, assumed = _fp32(row, weights, images)
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], *assumed, sep="\n    ", flush=True)
        out.write_text("\n".join(lines) + "\n")


def _measured(rows: Sequence[Row], folders: Folders, files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Figures by network: those in the files, and those that are measured now, which go into the first file at once."""
    read = [json.loads(file.read_text()) if file.exists() else [] for file in files]
    own, known = read[0], {one["name"]: one for some in read for one in some}
    for row in rows:
        if row.name in known:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            known[row.name] = measure(row, folders, Path(scratch))
        own.append(known[row.name])
        write_whole(files[0], own)
        print(quality_table([(row, known[row.name])])[-1], flush=True)
    return known


def _text(results: Sequence[tuple[Row, dict[str, Any]]]) -> str:
    level = results[0][1]["level"]
    lines = [
        "PSNR in dB and SSIM on Y, Set5 / Set14, LR by MATLAB-compatible bicubic, borders of `scale` pixels cut off, "
        f"means over the images. INT8 is what the compiled .so gives (level {level}, {platform.machine()}; every level "
        "gives the same bytes), `--bits 8` and no other option, calibrated on crops of training photographs, "
        "downsized. *pure W8A8*: `--strict-bits`. *ordinary INT8*: `--method clip-minmax`. FP32 is the canonical graph "
        "run by numpy. *stated*: " + "; ".join(sorted({row.source for row, _ in results})) + ".",
        "",
        *quality_table(results),
        "",
        summary(results),
        "",
        *windows_table(results),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, nargs="+", metavar="FILE", help="what was measured: written, and read")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="artifacts and worst windows stay here")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="networks whose file names begin with one of these")
    parser.add_argument("--fp32", action="store_true", help="only FP32, beside what is stated")
    args = parser.parse_args()
    rows = [row for row in ROWS if args.only is None or row.model.startswith(tuple(args.only))]
    if args.fp32:
        _fp32_table(rows, args.weights, args.images, args.out)
        return
    files = args.json or [args.out.with_suffix(".json")]
    known = _measured(rows, Folders(args.weights, args.images, args.keep), files)
    args.out.write_text(_text([(row, known[row.name]) for row in rows]))


if __name__ == "__main__":
    main()
