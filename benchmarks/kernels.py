"""Direct kernels against the peak of their primitive on this machine, in one run.

    python benchmarks/kernels.py                   # the layers that the speed bars name, every isa of this CPU
    python benchmarks/kernels.py --algorithms direct direct_window direct_wide
    python benchmarks/kernels.py --isa avx2 --tiles 6x2 12x1 --layers 3x3:64x64:w7

Peaks are bare loops of the primitive (tvmsr/hardware/peaks); lanewise (depthwise) has half of pair16's, as LLVM makes
pmaddwd and vpdpwssd of it, with nothing in every second product. Peak and layer runs alternate; both are minima. A
layer is given as KERNEL:INPUTSxOUTPUTS[:gGROUPS][:wBITS][:aBITS][:s16][:shuffleR][:pitchN][:leaky]; s16: x is stored in
16 bits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tvmsr.hardware.cpuinfo import features, machine
from tvmsr.hardware.peaks.measured import bare_loop
from tvmsr.hardware.peaks.table import loops_of
from tvmsr.kernels.algorithms import ALGORITHMS, primitive_of, weight_layout
from tvmsr.kernels.choice import choose
from tvmsr.kernels.host import HostKernels, aligned, call, missing_features, scratch_of
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.layout import FieldKind, param_fields
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Operand, Store, Tile

#: Depthwise and grouped convolutions, of 8 bits and of 16-bit activations.
GROUPED = ("3x3:64x64:g64", "5x5:32x32:g32", "3x3:64x64:g4", "3x3:56x56:g2")
GROUPED_WORDS = tuple(f"{layer}:a16" for layer in GROUPED)

#: The layers of the speed bars: 3x3, 32 and more channels; then first and last layers, for orientation, and groups.
LAYERS = {
    "avx512vnni": (
        "3x3:64x64",
        "3x3:48x48",
        "3x3:32x32",
        "3x3:64x256:shuffle2",
        "3x3:3x64:pitch4",
        "3x3:32x48:shuffle4",
        "3x3:32x12:shuffle2",
        *GROUPED,
        *GROUPED_WORDS,
    ),
    "avxvnni": ("3x3:64x64", "3x3:32x32", *GROUPED, *GROUPED_WORDS),
    "avx2": (
        "3x3:64x64:w7",
        "3x3:48x48:w7",
        "3x3:32x32:w7",
        "3x3:64x64:w8",
        "3x3:64x64:w8:s16",
        "3x3:48x48:w8:s16",
        "3x3:32x32:w8:s16",
        "3x3:3x64:pitch4:w7",
        "3x3:32x48:shuffle4:w7",
        "3x3:32x12:shuffle2:w7",
        *(f"{layer}:w7" for layer in GROUPED),
        *GROUPED_WORDS,
    ),
    "sse41": ("3x3:64x64:w7", "3x3:32x32:w7", "3x3:64x64:a6:w4", "3x3:64x64:w8"),
    "portable": ("3x3:32x32",),
}


@dataclass(frozen=True)
class Row:
    """One measured layer."""

    isa: str
    layer: str
    tile: Tile
    what: str
    gmacs: float
    peak: float | None
    predicted: float

    def text(self) -> str:
        """The row as Markdown."""
        share = f"{self.peak:.0f} | {100 * self.gmacs / self.peak:.1f} %" if self.peak else "- | -"
        tile = str(self.tile)
        speed = f"{self.gmacs:.1f} | {share} | {self.predicted:.0f}"
        return f"| {self.isa} | {self.layer} | {tile} | {self.what} | {speed} |\n"


def parse_layer(text: str) -> tuple[Conv, Epilogue]:
    """A layer as the module's text writes it."""
    kernel, channels, *more = text.split(":")
    inputs, outputs = map(int, channels.split("x"))
    height, width = map(int, kernel.split("x"))
    value = {word.rstrip("0123456789"): int(word.lstrip("abcdefghijklmnopqrstuvwxyz") or 1) for word in more}
    bits, block = value.get("a", 8), value.get("shuffle", 1)
    form = Form.S16 if bits > 8 or "s" in value else Form.U8
    x = Operand(form, value.get("pitch", inputs) * form.bytes)
    conv = Conv((height, width), inputs, outputs, x, bits, value.get("w", 8), groups=value.get("g", 1))
    stored = outputs // block**2
    return conv, Epilogue((Store(Form.U8, stored, stored, block=block, full=True),), leaky="leaky" in value, tame=True)


def peak_runner(spec: KernelSpec) -> tuple[Callable[[], object], float] | None:
    """A bare loop of a spec's primitive and the multiply-adds of one call; None where there is none."""
    name = primitive_of(spec).name
    loop = loops_of(spec.isa, features(), machine()).get("pair16" if name == "lanewise" else name)
    if loop is None:
        return None
    run, macs = bare_loop(loop)
    return run, macs / 2 if name == "lanewise" else macs


def layer_runner(
    spec: KernelSpec, size: tuple[int, int], weight: np.ndarray | None = None
) -> tuple[Callable[[], None], float]:
    """One call of a kernel over a picture, and its multiply-adds; weights: codes, random by default."""
    conv, epilogue, (height, width) = spec.source, spec.epilogue, size
    assert isinstance(conv, Conv)
    kernels, rng = HostKernels({"k": spec}), np.random.default_rng(0)
    limit = 2 ** (conv.weight_bits - 1) - 1
    if weight is None:
        shape = (*conv.kernel, conv.inputs // conv.groups, conv.outputs)
        weight = rng.integers(-limit, limit + 1, shape).astype(np.int8)
    params = {f.name: _param(f.kind, conv.outputs, f.name) for f in param_fields(spec)}
    layout = weight_layout(spec)
    assert layout is not None
    packed = kernels.pack_weights(layout, weight, conv.weight_bits)
    block = kernels.pack_params(spec, params, weight, conv.weight_bits)
    line = (width + conv.kernel[1] - 1) * conv.x.pitch
    rows, ahead = height + conv.kernel[0] - 1, ALGORITHMS[spec.algorithm].read_ahead
    tensors = [aligned(rows * line + ahead[1] * conv.x.pitch + 128)]
    tensors[0][:] = rng.integers(0, min(128, 2**conv.max_bits), tensors[0].size)
    tables = [np.arange(rows + ahead[0], dtype=np.int32).clip(max=rows - 1) * line]
    for store in epilogue.stores:
        row = width * store.block * store.pitch
        tensors.append(aligned(height * store.block * row))
        tables.append(
            np.arange((height + ahead[0]) * store.block, dtype=np.int32).clip(max=height * store.block - 1) * row
        )
    function, area = kernels.function("k"), (0, height, 0, width)
    macs = height * width * conv.kernel[0] * conv.kernel[1] * conv.inputs * conv.outputs / conv.groups
    scratch = scratch_of(spec)
    return lambda: call(function, tensors, tables, packed, block, area, scratch), macs


def _param(kind: FieldKind, outputs: int, name: str) -> np.ndarray | int:
    values = {"m": 1e-4, "m_neg": 1e-5, "lo": 0.0, "hi": 255.0}
    if kind is FieldKind.SCALAR:
        return 0
    return np.full(outputs, values.get(name, 0), np.float32 if kind is FieldKind.FLOAT else np.int32)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _size(spec: KernelSpec, conv: Conv) -> tuple[int, int]:
    """Rows and columns that keep one call near a millisecond: shorter than what a busy machine takes away at once."""
    primitive, width = primitive_of(spec), 252 if conv.outputs < 100 else 126
    macs = 4e6 * ISAS[spec.isa].lanes * primitive.depth / primitive.cycles
    line = width * conv.kernel[0] * conv.kernel[1] * conv.inputs * conv.outputs // conv.groups
    return max(4, min(60, int(macs) // line)), width


def measure(spec: KernelSpec, layer: str, predicted: float, runs: int) -> Row:
    """Alternate the bare loop and the layer, keep the minimum of each."""
    conv = spec.source
    assert isinstance(conv, Conv)
    run, macs = layer_runner(spec, _size(spec, conv), weights(conv))
    bare = peak_runner(spec)
    layer_time = bare_time = 1e9
    for _ in range(runs):
        layer_time = min(layer_time, seconds(run))
        if bare:
            bare_time = min(bare_time, seconds(bare[0]))
    peak = bare[1] / bare_time / 1e9 if bare else None
    what = f"{spec.algorithm} {primitive_of(spec).name}"
    return Row(spec.isa, layer, spec.tile, what, macs / layer_time / 1e9, peak, predicted)


def weights(source: Conv) -> np.ndarray:
    """Codes of a layer: normal, with a quarter of their range as deviation."""
    limit = 2 ** (source.weight_bits - 1) - 1
    shape = (*source.kernel, source.inputs // source.groups, source.outputs)
    normal = np.random.default_rng(0).normal(0, limit / 4, shape)
    return np.clip(np.rint(normal), -limit, limit).astype(np.int8)


def specs(isa: str, layer: str, tiles: Sequence[str], algorithms: Sequence[str]) -> list[tuple[KernelSpec, float]]:
    """The chosen kernel of a layer, of these algorithms where any are given; or one for each given tile."""
    source, epilogue = parse_layer(layer)
    choice = choose(source, epilogue, isa, weights(source))
    found = [c for c in (choice.best, *choice.others) if not algorithms or c.algorithm in algorithms][:1]
    chosen = [(replace(choice.spec, algorithm=c.algorithm, tile=c.tile), c.cycles_per_pixel) for c in found]
    shapes = [tuple(map(int, t.split("x"))) for t in tiles]
    return [(replace(spec, tile=Tile(p, v)), cycles) for spec, cycles in chosen for p, v in shapes] or chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", nargs="*", default=[i for i in ISAS if not missing_features(i)])
    parser.add_argument("--layers", nargs="*")
    parser.add_argument("--algorithms", nargs="*", default=[], help="the best of these; of all by default")
    parser.add_argument("--tiles", nargs="*", default=[], help="PIXELSxVECTORS; the chosen one by default")
    parser.add_argument("--runs", type=int, default=150)
    args = parser.parse_args()
    sys.stdout.write("| isa | layer | tile | kernel | GMAC/s | peak | share | predicted cycles a pixel |\n")
    sys.stdout.write("|---|---|---|---|---:|---:|---:|---:|\n")
    for isa in args.isa:
        for layer in args.layers or LAYERS[isa]:
            for spec, predicted in specs(isa, layer, args.tiles, args.algorithms):
                sys.stdout.write(measure(spec, layer, predicted, args.runs).text())
                sys.stdout.flush()


if __name__ == "__main__":
    main()
