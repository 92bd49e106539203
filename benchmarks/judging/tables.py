"""The tables of docs/results.md that benchmarks/quality.py makes, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from judging.networks import SETS, Row

#: A network's figures as judging.measure has them.
Figures = dict[str, Any]


def _pair(figures: Figures, value: Callable[[dict[str, float]], float], digits: int) -> str:
    return " / ".join(f"{value(figures['means'][name]):.{digits}f}" for name in SETS)


def _of(key: str) -> Callable[[dict[str, float]], float]:
    return lambda mean: mean[key]


def drop(mean: dict[str, float], way: str) -> float:
    """dB on Y that are lost from FP32. Where no layer is wider than 8 bits, `strict` is what `int8` is."""
    return mean["fp32_psnr_y"] - mean.get(f"{way}_psnr_y", mean["int8_psnr_y"])


_COLUMNS: dict[str, Callable[[Row, Figures], str]] = {
    "network": lambda row, f: row.name,
    "Set5 / Set14 stated": lambda row, f: " / ".join("-" if s is None else f"{s:.2f}" for s in row.stated),
    "FP32 here": lambda row, f: _pair(f, _of("fp32_psnr_y"), 2),
    "INT8 .so": lambda row, f: _pair(f, _of("int8_psnr_y"), 2),
    "drop (dB)": lambda row, f: _pair(f, lambda mean: drop(mean, "int8"), 3),
    "drop of pure W8A8": lambda row, f: _pair(f, lambda mean: drop(mean, "strict"), 3),
    "drop of ordinary INT8": lambda row, f: _pair(f, lambda mean: drop(mean, "ordinary"), 3),
    "INT8 from FP32's output (dB)": lambda row, f: _pair(f, _of("int8_from_fp32_y"), 1),
    "SSIM FP32": lambda row, f: _pair(f, _of("fp32_ssim_y"), 4),
    "SSIM INT8": lambda row, f: _pair(f, _of("int8_ssim_y"), 4),
    "bicubic": lambda row, f: _pair(f, _of("bicubic_psnr_y"), 2),
    "layers reading > 8 bits (share of MACs)": lambda row, f: f"{f['wide']} ({f['wide_macs'] / f['macs']:.0%})",
    ".so, of which weights (KiB)": lambda row, f: f"{f['size'] / 1024:.0f}, {f['weights_size'] / 1024:.0f}",
    "compiled in (s)": lambda row, f: f"{f['seconds']:.0f}",
}


def quality_table(results: Sequence[tuple[Row, Figures]]) -> list[str]:
    """What networks reach, a row each."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    return [*lines, *("| " + " | ".join(cell(row, f) for cell in _COLUMNS.values()) + " |" for row, f in results)]


def summary(results: Sequence[tuple[Row, Figures]]) -> str:
    """Mean and worst drop by way and set, and the share of all networks' multiplications above 8 bits."""
    parts = []
    for way, words in (("int8", "Drop"), ("strict", "pure W8A8"), ("ordinary", "ordinary INT8")):
        for name in SETS:
            drops = [(drop(f["means"][name], way), row.name) for row, f in results]
            worst, where = max(drops)
            parts.append(
                f"{words}, {name}: mean {sum(d for d, _ in drops) / len(drops):.3f} dB, worst {worst:.3f} ({where})"
            )
    share = sum(f["wide_macs"] for _, f in results) / sum(f["macs"] for _, f in results)
    return f"{len(results)} networks. {'; '.join(parts)}. Above 8 bits: {share:.1%} of all multiplications."


def windows_table(results: Sequence[tuple[Row, Figures]]) -> list[str]:
    """Where ordinary INT8 is worst and where ours is, a row each: PSNR on Y against FP32's output in that window."""
    head = "| network | worst of | picture | at row, column | ordinary INT8 (dB) | ours (dB) |"
    lines = [head, "|---|---|---|---|---:|---:|"]
    words = {"ordinary": "ordinary INT8", "int8": "ours"}
    for row, figures in results:
        for way, place in figures["windows"].items():
            shown = " | ".join(f"{place['psnr'][one]:.1f}" for one in words)
            where = f"{place['picture']} | {place['row']}, {place['column']}"
            lines.append(f"| {row.name} | {words[way]} | {where} | {shown} |")
    return lines
