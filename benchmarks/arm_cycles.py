"""Estimated cycles of the ARM kernels, by llvm-mca: no ARM CPU is needed.

    python benchmarks/arm_cycles.py                      # the table of docs/results.md
    python benchmarks/arm_cycles.py --levels dotprod --cores neoverse-n1 --layers 3x3:64x64 --tiles 6x4 8x2 --parts

A layer is given as in kernels.py, with `groupsN` besides. Inner loop: its body, over and over. Whole layer: everything
that one tile executes, inner loops repeated as often as they run; tile after tile, so that an
out-of-order core begins one while it ends the one before; all loads hit L1, all branches are predicted. The peak is a
bare loop of the level's multiplication on registers of its own, by the same analyser. Useful multiply-adds
only: padded channels and inputs count as lost. Needs llvm-mca 19: apt install llvm-19
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from statistics import mean

from kernels import parse_layer

from tvmsr.hardware.registry import load_target
from tvmsr.kernels.algorithms import primitive_of
from tvmsr.kernels.assembly import Function, Instruction, parse
from tvmsr.kernels.choice import choose
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.pipeline import build_module, exported_name
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Operand
from tvmsr.kernels.spec import Tile as KernelTile
from tvmsr.kernels.trace import Tile, tile_products, tiles

MCA = "llvm-mca-19"
LAYERS = (
    "3x3:64x64",
    "3x3:48x48",
    "3x3:32x32",
    "3x3:28x28",
    "3x3:3x64:pitch4",
    "3x3:3x28:pitch4",
    "3x3:64x12:shuffle2",
    "3x3:32x48:shuffle4",
    "1x1:64x64",
    "3x3:64x64:s16",
    "3x3:32x32:s16",
    "3x3:64x64:groups64",
)
CORES = {
    "neon": ("cortex-a53", "cortex-a57"),
    "dotprod": ("cortex-a55", "neoverse-n1"),
    "i8mm": ("neoverse-n2",),
    "neon32": ("cortex-a57",),  # its 32-bit state: llvm-mca knows no core that has only that and NEON's 8-bit products
}
#: {isa: (level, triple)} as they are shipped.
SHIPPED = {x.isa: (x, t.triple) for t in map(load_target, ("arm", "linux-armv7")) for x in t.levels}

#: A multiplication on operands of its own for {n}, and the multiply-adds of one.
BARE = {
    ("aarch64", "dot4"): ("sdot v{n}.4s, v30.16b, v31.4b[0]", 16),
    ("aarch64", "matrix"): ("smmla v{n}.4s, v30.16b, v31.16b", 32),
    ("aarch64", "chain"): ("smlal v{n}.8h, v30.8b, v31.8b", 8),
    ("aarch64", "pair16"): ("smlal v{n}.4s, v30.4h, v15.h[0]", 4),
    ("aarch64", "lanewise"): ("smlal v{n}.4s, v30.4h, v31.4h", 4),
    ("arm", "chain"): ("vmlal.s8 q{n}, d30, d31", 8),
    ("arm", "pair16"): ("vmlal.s16 q{n}, d30, d7[0]", 4),
    ("arm", "lanewise"): ("vmlal.s16 q{n}, d30, d31", 4),
}
SECTION = """## ARM, estimated cycles

Made by `python benchmarks/arm_cycles.py`: llvm-mca 19, nothing was run on a board. Inner loop: instructions per
multiply-add, multiplications a cycle, share of the peak. Whole layer: all that a tile executes, epilogue included, tile
after tile, so that an out-of-order core overlaps them; useful multiply-adds a cycle (padded channels and inputs are
lost). Peak: a bare loop of the level's multiplication by the same analyser (sdot, smmla, smlal). Loads hit L1, branches
are predicted, what a row costs beside its tiles is left out. cortex-a57 stands for the A72, neoverse-n1 for the A76;
neon32 on cortex-a57 is its 32-bit state: LLVM has no model of the A7. Limit: share of cycles in
which the analyser saw work wait, and for what. Figures of the a53 are rough: LLVM's model of it has one unit for all
vector arithmetic, which starts one instruction a cycle; how a real one pairs them was not measured.

| level | core | layer | kernel, tile | instr./MAC | mult./cycle | of peak | MACs/cycle | of peak | limit |
|---|---|---|---|---:|---:|---:|---:|---:|---|
"""
_SCALE = "scvtf|fmul|fminnm|fmaxnm|fcvtns|vcvt.*|vmul.f32|vmin.f32|vmax.f32|vadd.f32"
PARTS = {
    "copies of start values": r"mov\tv.*|vorr.*",
    "scale, clamp, round": rf"({_SCALE})\t.*",
    "zero points": r"v?(add|sub)(\.i32)?\t[vq]\d.*",
    "narrowing": r"(uzp|xtn|zip|trn|ext|vmovn|vuzp|vext|vtrn|vzip)\w*(\.\w+)?\t.*",
    "stores": r"v?st\w*(\.\w+)?\t.*",
    "loads": r"v?ld\w*(\.\w+)?\t.*",
}


@dataclass(frozen=True)
class Row:
    """One layer on one core. Cycles by llvm-mca; shares of the peak, 0 to 1."""

    level: str
    core: str
    layer: str
    tile: str
    kernel: str
    instructions_per_mac: float  # of the inner loop
    issues: float  # multiplications a cycle in the inner loop
    inner_share: float
    macs: float  # useful ones a cycle, whole layer
    peak: float  # multiply-adds a cycle
    share: float
    cycles_per_pixel: float
    limit: str

    def text(self) -> str:
        """The row as Markdown."""
        inner = f"{self.instructions_per_mac:.3f} | {self.issues:.2f} | {100 * self.inner_share:.0f} %"
        whole = f"{self.macs:.1f} of {self.peak:.1f} | {100 * self.share:.0f} % | {self.limit}"
        return f"| {self.level} | {self.core} | {self.layer} | {self.kernel} {self.tile} | {inner} | {whole} |\n"


@dataclass(frozen=True)
class Analyser:
    """llvm-mca for one core."""

    triple: str
    core: str
    features: str

    def run(self, lines: Sequence[str], iterations: int, *options: str) -> str:
        command = [MCA, f"-mtriple={self.triple}", f"-mcpu={self.core}", f"-mattr={self.features}", *options]
        text = "\n".join(lines) + "\n"
        done = subprocess.run(
            [*command, f"-iterations={iterations}"], input=text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()[:500]}")
        return done.stdout

    def cycles(self, lines: Sequence[str], iterations: int = 3) -> float:
        """Cycles of one repetition, in the steady state."""
        options = ("-instruction-info=0", "-resource-pressure=0")
        first, last = (
            int(re.findall(r"Total Cycles:\s+(\d+)", self.run(lines, n, *options))[0]) for n in (1, 1 + iterations)
        )
        return (last - first) / iterations

    @cache  # noqa: B019 - analysers live as long as the program
    def peak(self, line: str) -> float:
        """Multiplications a cycle of a bare loop."""
        numbers = [n for n in range(24 if "v{n}" in line else 15) if n not in (3, 15)]
        return len(numbers) / self.cycles([line.format(n=n) for n in numbers], 50)

    def limit(self, lines: Sequence[str]) -> str:
        """What the analyser names: bottlenecks of an out-of-order core, else the busiest units."""
        found = self.run(lines, 3, "-bottleneck-analysis")
        causes = re.findall(r"^\s*(Resource Pressure|Data Dependencies:?|- \S+)\s+\[ (\S+) \]", found, re.MULTILINE)
        if causes:
            worst = sorted(((float(s[:-1]), n.strip("- :")) for n, s in causes), reverse=True)
            return ", ".join(f"{name} {share:.0f} %" for share, name in worst[:4] if share >= 1)
        names = re.findall(r"^\[(\S+)\]\s+- (\S+)", found, re.MULTILINE)
        pressure = found.split("Resource pressure per iteration:")[1].strip().splitlines()[1].split()
        busy = sorted(((float(p), n) for p, (_, n) in zip(pressure, names, strict=True) if p != "-"), reverse=True)
        cycles = self.cycles(lines)
        return ", ".join(f"{name} busy {100 * p / cycles:.0f} %" for p, name in busy[:2])


def layer_of(text: str, isa: str) -> tuple[Conv, Epilogue]:
    """A layer in the forms of an isa."""
    words = text.split(":")
    groups = next((int(w.removeprefix("groups")) for w in words if w.startswith("groups")), 1)
    conv, epilogue = parse_layer(":".join(w for w in words if not w.startswith("groups")))
    form = ISAS[isa].byte_form
    x = conv.x if conv.x.form is Form.S16 else Operand(form, conv.x.pitch)
    return replace(conv, x=x, groups=groups), replace(
        epilogue, stores=tuple(replace(s, form=form) for s in epilogue.stores)
    )


def tiles_of(spec: KernelSpec, function: Function) -> list[tuple[int, list[Tile]]]:
    """For every number of vectors that a block has: how many blocks, and the code of their tiles."""
    found = []
    every = tiles(function, spec.source.kernel[0])
    for count, products in tile_products(spec).values():
        fitting = [t for t in every if sum(map(function.is_product, t.code)) == products]
        if not fitting:
            raise SystemExit(f"{spec}: no loop of the assembly has the {products} products of a tile")
        found.append((count, fitting))
    return found


def texts(code: Sequence[Instruction]) -> list[str]:
    return [i.text for i in code]


def measure(spec: KernelSpec, layer: str, cores: Sequence[str], parts: bool) -> Iterator[Row]:
    """A row for every core."""
    isa, conv, primitive = ISAS[spec.isa], spec.source, primitive_of(spec)
    assert isinstance(conv, Conv)
    level, triple = SHIPPED[spec.isa]
    function = parse(build_module({"k": spec}, level, triple).inspect_source("asm"), isa.machine)[
        exported_name("k", level)
    ]
    blocks = tiles_of(spec, function)
    bare, macs = BARE[isa.machine, primitive.name]
    useful = conv.kernel[0] * conv.kernel[1] * conv.inputs * conv.outputs / conv.groups
    for core in cores:
        analyser = Analyser(triple, core, ",".join(isa.features))
        cycles = sum(n * mean(analyser.cycles(texts(t.code)) for t in group) for n, group in blocks) / spec.tile.pixels
        first = blocks[0][1][0]
        products = sum(map(function.is_product, first.loops[0]))
        issues, peak = products / analyser.cycles(texts(first.loops[0]), 50), analyser.peak(bare)
        yield Row(
            level=level.name,
            core=core,
            layer=layer,
            tile=str(spec.tile),
            kernel=primitive.name,
            instructions_per_mac=len(first.loops[0]) / (products * macs),
            issues=issues,
            inner_share=issues / peak,
            macs=useful / cycles,
            peak=peak * macs,
            share=useful / cycles / (peak * macs),
            cycles_per_pixel=cycles,
            limit=analyser.limit(texts(first.code)),
        )
        if parts:
            sys.stdout.write(parts_of(analyser, function, first))


def parts_of(analyser: Analyser, function: Function, tile: Tile) -> str:
    """What each part outside of the inner loop costs: the cycles that a tile without it takes less."""
    inner, whole = {id(i) for loop in tile.loops for i in loop}, analyser.cycles(texts(tile.code))
    rest = [i for i in tile.code if id(i) not in inner]
    repeats = [sum(i is loop[0] for i in tile.code) for loop in tile.loops]
    loops = sum(n * analyser.cycles(texts(loop), 50) for n, loop in zip(repeats, tile.loops, strict=True))
    lines = [f"    {analyser.core}: tile {whole:.0f} cycles, {sum(repeats)} trips of the inner loops {loops:.0f}, "]
    lines[0] += f"{len(rest)} of {len(tile.code)} instructions outside of it"
    tests = {name: re.compile(pattern) for name, pattern in PARTS.items()}
    groups = {
        name: {id(i) for i in rest if not function.on_stack(i) and t.fullmatch(i.text)} for name, t in tests.items()
    }
    groups["stack"] = {id(i) for i in rest if function.on_stack(i)}
    known = set().union(*groups.values())
    groups["other"] = {id(i) for i in rest if id(i) not in known}
    for name, members in groups.items():
        less = whole - analyser.cycles([i.text for i in tile.code if id(i) not in members])
        lines.append(f"      {name}: {sum(id(i) in members for i in rest)} instructions, {less:.0f} cycles")
    return "\n".join(lines) + "\n"


def specs(isa: str, layer: str, tiles: Sequence[str]) -> list[KernelSpec]:
    """The chosen kernel of a layer, or one for each given tile."""
    spec = choose(*layer_of(layer, isa), isa).spec
    shapes = [tuple(map(int, t.split("x"))) for t in tiles]
    return [replace(spec, tile=KernelTile(p, v)) for p, v in shapes] or [spec]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", nargs="*", default=list(CORES))
    parser.add_argument("--cores", nargs="*", help="llvm's names; by default those of each level")
    parser.add_argument("--layers", nargs="*", default=LAYERS)
    parser.add_argument("--tiles", nargs="*", default=[], help="PIXELSxVECTORS; the chosen one by default")
    parser.add_argument("--parts", action="store_true", help="also what each part of the epilogue costs")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not shutil.which(MCA):
        raise SystemExit(f"{MCA} is not installed: apt install llvm-19")
    if not args.json:
        sys.stdout.write(SECTION)
    rows = []
    for level in args.levels:
        for layer in args.layers:
            for spec in specs(level, layer, args.tiles):
                for row in measure(spec, layer, args.cores or CORES[level], args.parts):
                    rows.append(asdict(row))
                    if not args.json:
                        sys.stdout.write(row.text())
                        sys.stdout.flush()
    if args.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
