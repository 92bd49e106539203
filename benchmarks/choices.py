"""Measure every algorithm and tile of some layers: what the cost model predicts, and what its choice loses to the best.

    python benchmarks/choices.py [--isa avx512vnni ...] [--layers 3x3:64x64 ...] [--runs 60] [--all] [--json FILE]

Layers are written as in benchmarks/kernels.py. One thread; the candidates of one layer are timed in turns, each by its
minimum over `runs`. Weights are random codes, normal with a quarter of the range as deviation: which windows and
transforms are exact depends on them. A cycle is that of the bare loop of the isa's first primitive (known in
cycles), so the figures do not depend on the clock.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from kernels import bare_loop, features, layer_runner, loops_of, machine, parse_layer, seconds, weights

from tvmsr.kernels.algorithms import ALGORITHMS
from tvmsr.kernels.host import missing_features
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.spec import Conv, KernelSpec

LAYERS = (
    "3x3:64x64",
    "3x3:48x48",
    "3x3:32x32",
    "3x3:28x28",
    "3x3:16x16",
    "3x3:128x128",
    "3x3:64x48:shuffle4",
    "3x3:64x256:shuffle2",
    "3x3:3x64:pitch4",
    "3x3:28x27:shuffle3",
    "1x1:64x64",
    "3x3:64x64:a6:w4",
    "3x3:32x32:a6:w4",
    "3x3:28x28:a6:w4",
    "3x3:64x64:a4:w4",
    "3x3:32x32:a4:w4",
    "3x3:64x64:a16:w8",
    "5x5:32x32",
)
_SIZE = (24, 320)


@dataclass(frozen=True)
class Timed:
    """One candidate. Cycles are per pixel of the grid."""

    isa: str
    layer: str
    algorithm: str
    tile: str
    predicted: float
    measured: float


def candidates(isa: str, layer: str) -> Iterator[tuple[KernelSpec, float]]:
    """Every exact algorithm and tile of a layer, with its predicted cycles."""
    source, epilogue = parse_layer(layer)
    weight, row = weights(source), ISAS[isa]
    for algorithm in ALGORITHMS.values():
        primitive = algorithm.primitive(source, row)
        if algorithm.legal(source, primitive, weight):
            continue
        for tile in algorithm.tiles(source, row, primitive, weight):
            cycles = algorithm.cycles(source, epilogue, row, primitive, tile)
            yield KernelSpec(source, epilogue, isa, algorithm.name, tile), cycles


def time_layer(isa: str, layer: str, runs: int) -> list[Timed]:
    """All candidates of a layer, in turns."""
    found = list(candidates(isa, layer))
    source = found[0][0].source
    assert isinstance(source, Conv)
    runners = [layer_runner(spec, _SIZE, weights(source))[0] for spec, _ in found]
    first = ISAS[isa].primitives[0]
    loop = loops_of(isa, features(), machine())[first.name]
    bare, issued = bare_loop(loop)
    best, peak = [1e9] * len(runners), 1e9
    for _ in range(runs):
        peak = min(peak, seconds(bare))
        best = [min(old, seconds(run)) for old, run in zip(best, runners, strict=True)]
    hertz = issued / peak / (ISAS[isa].lanes * first.depth) * first.cycles
    pixels = _SIZE[0] * _SIZE[1]
    return [
        Timed(isa, layer, spec.algorithm, str(spec.tile), cycles, time * hertz / pixels)
        for (spec, cycles), time in zip(found, best, strict=True)
    ]


def show(timed: list[Timed], everything: bool) -> str:
    """The best of each algorithm as Markdown, or all tiles; the model's choice has a star, the fastest its loss."""
    choice, fastest = min(timed, key=lambda t: t.predicted), min(t.measured for t in timed)
    rows = sorted(timed, key=lambda t: t.measured)
    if not everything:
        firsts = {t.algorithm: t for t in reversed(rows)}
        rows = [t for t in rows if t is choice or firsts[t.algorithm] is t]
    lines = []
    for t in rows:
        star = "*" if t is choice else ""
        loss = f"{100 * (t.measured / fastest - 1):.0f} %"
        lines.append(
            f"| {t.isa} | {t.layer} | {t.algorithm} {t.tile}{star} | {t.predicted:.0f} | {t.measured:.0f} | {loss} |\n"
        )
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", nargs="*", default=[i for i in ISAS if i != "portable" and not missing_features(i)])
    parser.add_argument("--layers", nargs="*", default=LAYERS)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--all", action="store_true", help="every tile, not the best of each algorithm only")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    every: list[Timed] = []
    sys.stdout.write(
        "| isa | layer | kernel (* chosen) | predicted cycles | measured | behind |\n|---|---|---|---:|---:|---:|\n"
    )
    for isa in args.isa:
        for layer in args.layers:
            timed = time_layer(isa, layer, args.runs)
            sys.stdout.write(show(timed, args.all))
            sys.stdout.flush()
            every += timed
    if args.json:
        args.json.write_text(json.dumps([asdict(t) for t in every], indent=1))


if __name__ == "__main__":
    main()
