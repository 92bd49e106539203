"""Make docs/results.md: what the networks reach in FP32 and through the compiled .so.

    python benchmarks/quality.py --weights WEIGHTS --images IMAGES [--out docs/results.md]

WEIGHTS holds the .safetensors files, IMAGES the folders set5, set14 (HR) and train (calibration). Protocol: LR by
MATLAB-compatible bicubic, PSNR and SSIM on Y, `scale` pixels cut off at each side, mean over the images.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """A network: its file (or default:xN), the FP32 PSNR stated for it on Set5 and Set14, and where that is from."""

    model: str
    stated: tuple[float | None, float | None]
    source: str


ROWS = (
    Row("abpn_x3.safetensors", (33.53, 29.77), "measured by others"),
    Row("espcn_x3.safetensors", (31.97, 28.78), "measured by others"),
    Row("srvggnetcompact_x4.safetensors", (28.25, 26.12), "measured by others"),
    Row("imdn_rtc_x2.safetensors", (37.31, 32.97), "measured by others"),
    Row("edsr8_x2.safetensors", (37.80, 33.37), "measured by others"),
    Row("srresnet_x4.safetensors", (31.88, 28.43), "measured by others"),
    Row("default:x2", (37.00, 32.63), "FSRCNN's published figures: the bar"),
    Row("default:x4", (30.71, 27.59), "FSRCNN's published figures: the bar"),
)
SETS = ("set5", "set14")


def _measure(row: Row, weights: Path, images: Path, folder: Path) -> dict[str, Any]:
    import tvmsr

    model = row.model if row.model.startswith("default:") else str(weights / row.model)
    artifact = folder / "artifact.so"
    made = tvmsr.compile(model, out=artifact, calib=images / "train", hr=True)
    means = {name: tvmsr.evaluate(artifact, data=images / name, model=model).as_json()["mean"] for name in SETS}
    found = tvmsr.inspect(artifact).data
    return {"row": row, "made": made, "means": means, "manifest": found}


def _wide_share(manifest: dict[str, Any]) -> tuple[int, float]:
    """How many convolutions read more than 8 bits, and their share of the multiplications."""
    layers = [layer for layer in manifest["levels"][0]["layers"] if layer["macs_per_pixel"]]
    total = sum(layer["macs_per_pixel"] for layer in layers)
    wide = [layer for layer in layers if int(layer["bits"].removeprefix("a").split("w")[0]) > 8]
    return len(wide), sum(layer["macs_per_pixel"] for layer in wide) / total if total else 0.0


def _table(results: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| network | Set5 / Set14 stated | FP32 here | INT8 .so | drop (dB) | SSIM FP32 | SSIM INT8 | bicubic "
        "| layers reading > 8 bits (share of MACs) | .so, of which weights (KiB) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        means, made = result["means"], result["made"]

        def pair(key: str, digits: int = 2, means: dict[str, Any] = means) -> str:
            return " / ".join(f"{means[s][key]:.{digits}f}" for s in SETS)

        stated = " / ".join("-" if s is None else f"{s:.2f}" for s in result["row"].stated)
        drop = " / ".join(f"{means[s]['fp32_psnr_y'] - means[s]['psnr_y']:.2f}" for s in SETS)
        count, share = _wide_share(result["manifest"])
        lines.append(
            f"| {result['row'].model.removesuffix('.safetensors')} | {stated} "
            f"| {pair('fp32_psnr_y')} | {pair('psnr_y')} | {drop} "
            f"| {pair('fp32_ssim_y', 4)} | {pair('ssim_y', 4)} | {pair('bicubic_psnr_y')} | {count} ({share:.0%}) "
            f"| {made.size / 1024:.0f}, {made.weights_size / 1024:.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"))
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
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
        "gives the same bytes), `--bits 8 --method minmax`, calibrated on 16 crops of 96x96 of training photographs, "
        "downsized. FP32 is the canonical graph run by numpy. *stated*: "
        + "; ".join(sorted({r.source for r in ROWS}))
        + ".",
        "",
        *_table(results),
        "",
    ]
    args.out.write_text("\n".join(text))


if __name__ == "__main__":
    main()
