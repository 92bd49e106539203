"""Make the first table of docs/results.md: what the networks reach in FP32 and through the compiled .so.

    python benchmarks/quality.py --weights WEIGHTS --images IMAGES [--only NAME ...] --out FILE
    python benchmarks/quality.py --weights WEIGHTS --images IMAGES --fp32 --out FILE

WEIGHTS holds the .safetensors files, IMAGES the folders set5, set14 (HR) and train (calibration). Protocol: LR by
MATLAB-compatible bicubic, PSNR and SSIM on Y, `scale` pixels cut off at each side, mean over the images. With --fp32,
only what the networks reach in FP32, beside what is stated for them.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """A network: its file (or default:xN), the FP32 PSNR stated for it on Set5 and Set14, and where that is from.

    scale: where the file does not tell it. border: pixels that were cut off for the stated figures, where not `scale`.
    """

    model: str
    stated: tuple[float | None, float | None]
    scale: int | None = None
    border: int | None = None
    source: str = "measured by others"

    @property
    def name(self) -> str:
        name = self.model.removesuffix(".safetensors")
        return name if self.scale is None else f"{name} (--scale {self.scale})"


ROWS = (
    Row("srcnn_x3.safetensors", (32.63, 29.21)),
    Row("srcnn_ycbcr_915.safetensors", (34.26, 30.89), scale=2, border=6),
    Row("srcnn_ycbcr_915.safetensors", (30.96, 28.10), scale=3, border=6),
    Row("srcnn_ycbcr_915.safetensors", (28.66, 26.30), scale=4, border=6),
    Row("fsrcnn_x2.safetensors", (37.10, 32.71)),
    Row("fsrcnn_x3.safetensors", (32.59, 29.20)),
    Row("fsrcnn_x4.safetensors", (30.50, 27.55)),
    Row("fsrcnn_ycbcr_x2.safetensors", (35.90, 32.10)),
    Row("fsrcnn_ycbcr_x3.safetensors", (31.77, 28.63)),
    Row("fsrcnn_ycbcr_x4.safetensors", (29.04, 26.58)),
    Row("espcn_x3.safetensors", (31.97, 28.78)),
    Row("espcn_ycbcr_x2.safetensors", (36.20, 32.12)),
    Row("espcn_ycbcr_x3.safetensors", (31.84, 28.69)),
    Row("espcn_ycbcr_x4.safetensors", (29.15, 26.65)),
    Row("abpn_x3.safetensors", (33.53, 29.77)),
    Row("xlsr_x3.safetensors", (33.27, 29.63)),
    Row("srvggnetcompact_x4.safetensors", (28.25, 26.12)),
    Row("imdn_rtc_x2.safetensors", (37.31, 32.97)),
    Row("imdn_plus_x4.safetensors", (32.13, 28.65)),
    Row("imdn_aim_x4.safetensors", (32.25, 28.69)),
    Row("imdn_x2.safetensors", (38.00, 33.63)),
    Row("imdn_x3.safetensors", (34.36, 30.32)),
    Row("imdn_x4.safetensors", (32.21, 28.58)),
    Row("rfdn_x4.safetensors", (32.16, 28.64)),
    Row("rlfn_ntire_x4.safetensors", (32.10, 28.60)),
    Row("rlfn_s_x2.safetensors", (38.05, 33.62)),
    Row("rlfn_s_x4.safetensors", (32.24, 28.62)),
    Row("rlfn_x2.safetensors", (38.07, 33.72)),
    Row("rlfn_x4.safetensors", (32.24, 28.62)),
    Row("fmen_x4.safetensors", (32.12, 28.57)),
    Row("bsrn_s_x4.safetensors", (32.01, 28.59)),
    Row("carn_m_x2x3x4.safetensors", (37.68, 33.30), scale=2),
    Row("carn_m_x2x3x4.safetensors", (34.06, 30.10), scale=3),
    Row("carn_m_x2x3x4.safetensors", (31.88, 28.42), scale=4),
    Row("edsr8_x2.safetensors", (37.80, 33.37)),
    Row("srresnet_x4.safetensors", (31.88, 28.43)),
    Row("default:x2", (37.00, 32.63), source="FSRCNN's published figures: the bar"),
    Row("default:x4", (30.71, 27.59), source="FSRCNN's published figures: the bar"),
)
SETS = ("set5", "set14")


def _file(row: Row, weights: Path) -> str:
    return row.model if row.model.startswith("default:") else str(weights / row.model)


def _measure(row: Row, weights: Path, images: Path, folder: Path) -> dict[str, Any]:
    import tvmsr
    from tvmsr.frontend.choices import Overrides

    model, said = _file(row, weights), Overrides(scale=row.scale)
    artifact = folder / "artifact.so"
    made = tvmsr.compile(model, out=artifact, calib=images / "train", hr=True, overrides=said)
    means = {
        name: tvmsr.evaluate(artifact, data=images / name, model=model, overrides=said).as_json()["mean"]
        for name in SETS
    }
    found = tvmsr.inspect(artifact).data
    return {"row": row, "made": made, "means": means, "manifest": found}


def _wide(manifest: dict[str, Any]) -> tuple[int, float, float]:
    """How many convolutions read more than 8 bits; their multiplications for a pixel, and all."""
    layers = [layer for layer in manifest["levels"][0]["layers"] if layer["macs_per_pixel"]]
    wide = [layer for layer in layers if int(layer["bits"].removeprefix("a").split("w")[0]) > 8]
    return (len(wide), *(sum(float(layer["macs_per_pixel"]) for layer in some) for some in (wide, layers)))


def _drop(result: dict[str, Any], name: str) -> float:
    means = result["means"][name]
    return float(means["fp32_psnr_y"] - means["psnr_y"])


def _summary(results: list[dict[str, Any]]) -> str:
    """Mean and worst drop by set, and the share of all networks' multiplications above 8 bits."""
    parts = []
    for name in SETS:
        drops = [_drop(result, name) for result in results]
        parts.append(f"{name}: mean {sum(drops) / len(drops):.3f} dB, worst {max(drops):.3f}")
    counts = [_wide(result["manifest"]) for result in results]
    share = sum(wide for _, wide, _ in counts) / sum(every for _, _, every in counts)
    return f"Drop over {len(results)} networks, {'; '.join(parts)}. Above 8 bits: {share:.1%} of all multiplications."


def _table(results: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| network | Set5 / Set14 stated | FP32 here | INT8 .so | drop (dB) | SSIM FP32 | SSIM INT8 | bicubic "
        "| layers reading > 8 bits (share of MACs) | .so, of which weights (KiB) | compiled in (s) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        means, made = result["means"], result["made"]

        def pair(key: str, digits: int = 2, means: dict[str, Any] = means) -> str:
            return " / ".join(f"{means[s][key]:.{digits}f}" for s in SETS)

        stated = " / ".join("-" if s is None else f"{s:.2f}" for s in result["row"].stated)
        drop = " / ".join(f"{_drop(result, s):.3f}" for s in SETS)
        count, wide, every = _wide(result["manifest"])
        share = wide / every if every else 0.0
        lines.append(
            f"| {result['row'].name} | {stated} "
            f"| {pair('fp32_psnr_y')} | {pair('psnr_y')} | {drop} "
            f"| {pair('fp32_ssim_y', 4)} | {pair('ssim_y', 4)} | {pair('bicubic_psnr_y')} | {count} ({share:.0%}) "
            f"| {made.size / 1024:.0f}, {made.weights_size / 1024:.0f} | {made.seconds:.0f} |"
        )
    return lines


def _fp32(row: Row, weights: Path, images: Path) -> tuple[list[str], list[str]]:
    """The table's cells of a network in FP32, and what its import assumed."""
    import numpy as np

    from tvmsr.commands.evaluate import fp32_upscaler
    from tvmsr.commands.source import open_model
    from tvmsr.evaluation.dataset import load_pairs
    from tvmsr.evaluation.evaluate import to_bytes
    from tvmsr.evaluation.metrics import psnr_y, to_luma
    from tvmsr.frontend.choices import Overrides

    model = open_model(_file(row, weights), Overrides(scale=row.scale))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="networks whose file names begin with one of these")
    parser.add_argument("--fp32", action="store_true", help="only FP32, beside what is stated")
    args = parser.parse_args()
    rows = [row for row in ROWS if args.only is None or row.model.startswith(tuple(args.only))]
    if args.fp32:
        _fp32_table(rows, args.weights, args.images, args.out)
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            results.append(_measure(row, args.weights, args.images, Path(folder)))
            print(_table(results)[-1], flush=True)
    level = results[0]["made"].levels[0]
    text = [
        "# Results",
        "",
        "Made by `python benchmarks/quality.py --weights WEIGHTS --images IMAGES`.",
        "",
        "PSNR in dB and SSIM on Y, Set5 / Set14, LR by MATLAB-compatible bicubic, borders of `scale` pixels cut off, "
        f"means over the images. INT8 is what the compiled .so gives (level {level}, {platform.machine()}; every level "
        "gives the same bytes), `--bits 8`, calibrated on crops of training photographs, downsized. "
        "FP32 is the canonical graph run by numpy. *stated*: " + "; ".join(sorted({r.source for r in rows})) + ".",
        "",
        *_table(results),
        "",
        _summary(results),
        "",
    ]
    args.out.write_text("\n".join(text))


if __name__ == "__main__":
    main()
