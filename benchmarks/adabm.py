"""Make the table of AdaBM as published (docs/adabm.md): how each part of it does, in PSNR, FAB and BitOPs.

    python benchmarks/adabm.py --weights WEIGHTS --images IMAGES --json FILE --out FILE

WEIGHTS holds srresnet_x4.safetensors and edsr8_x2.safetensors, IMAGES the folders of --sets (HR) and train
(calibration; HR, downsized). One row a network, bits and way; mean and half the spread over the seeds. What is in the
JSON file is not measured again. --plan says how long it will take, by a few steps of training, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from peering.store import write_whole

from tvmsr.adabm_paper.protocol import Adapt, Protocol, Quirks, Scope
from tvmsr.quant.bits import parse_bits

NETWORKS = ("srresnet_x4", "edsr8_x2")
BITS = ("a6w8", "a6w6", "a4w4")
SETS = ("set5", "set14")


@dataclass(frozen=True)
class Way:
    """A row. less: taken off the base bits, so that fixed ones lie on both sides of what adaptive ones average."""

    name: str
    adapt: Adapt
    clipping: bool = True
    tuned: bool = True
    less: int = 0

    def of(self, protocol: Protocol) -> Protocol:
        epochs = protocol.epochs if self.tuned else 0
        bits = protocol.bits - self.less
        return replace(protocol, adapt=self.adapt, clipping=self.clipping, epochs=epochs, bits=bits)


WAYS = (
    Way("min-max, fixed", Adapt.NONE, clipping=False, tuned=False),
    Way("BaC, fixed", Adapt.NONE, tuned=False),
    Way("BaC + fine-tuned, fixed", Adapt.NONE),
    Way("BaC + fine-tuned, fixed, 1 bit less", Adapt.NONE, less=1),
    Way("BaC + fine-tuned, image", Adapt.IMAGE),
    Way("BaC + fine-tuned, layer", Adapt.LAYER),
    Way("min-max, both", Adapt.BOTH, clipping=False, tuned=False),
    Way("BaC, both", Adapt.BOTH, tuned=False),
    Way("BaC + fine-tuned, both", Adapt.BOTH),
)


@dataclass(frozen=True)
class Run:
    """What one line of the JSON file is about."""

    network: str
    bits: str
    way: Way
    seed: int

    @property
    def key(self) -> str:
        return f"{self.network} {self.bits} {self.way.name} {self.seed}"


def runs(networks: Sequence[str], bits: Sequence[str], seeds: Sequence[int]) -> Iterator[Run]:
    """By seed first, so that a whole table is there early."""
    for seed in seeds:
        for network in networks:
            for one in bits:
                yield from (Run(network, one, way, seed) for way in WAYS)


def table(results: Mapping[str, Mapping[str, Any]], settings: Settings) -> list[str]:
    """Markdown lines of the rows that have every seed; results: by Run.key."""
    head = ["network", "bits", "way", *(f"{name} {what}" for name in settings.sets for what in ("PSNR", "FAB"))]
    lines = ["| " + " | ".join([*head, "BitOPs of FP32"]) + " |", "|" + "---|" * (len(head) + 1)]
    for network in settings.networks:
        for bits in settings.bits:
            for way in WAYS:
                keys = [Run(network, bits, way, seed).key for seed in settings.seeds]
                if all(key in results for key in keys):
                    cells = _cells([results[key] for key in keys], settings.sets)
                    lines.append("| " + " | ".join([network, bits, way.name, *cells]) + " |")
    return lines


def _cells(found: Sequence[Mapping[str, Any]], sets: Sequence[str]) -> list[str]:
    cells = []
    for name in sets:
        psnrs = [one["sets"][name]["psnr_y"] for one in found]
        spread = (max(psnrs) - min(psnrs)) / 2
        cells.append(f"{mean(psnrs):.2f}" + (f" ± {spread:.2f}" if len(psnrs) > 1 else ""))
        cells.append(f"{mean(one['sets'][name]['fab'] for one in found):.2f}")
    shares = [one["sets"][name]["bitops_share"] for one in found for name in sets]
    return [*cells, f"{100 * mean(shares):.1f} %"]


@dataclass(frozen=True)
class Settings:
    """The command line."""

    weights: Path
    images: Path
    networks: Sequence[str]
    bits: Sequence[str]
    seeds: Sequence[int]
    sets: Sequence[str]
    protocol: Protocol

    def protocol_of(self, run: Run) -> Protocol:
        bits = parse_bits(run.bits)
        return run.way.of(replace(self.protocol, bits=bits.activations, weight_bits=bits.weights))


def measure(run: Run, settings: Settings) -> dict[str, Any]:
    """One student and its figures: means over each set."""
    from tvmsr.adabm_paper.folded import folded_factors
    from tvmsr.adabm_paper.measure import evaluate, prepare
    from tvmsr.commands.source import open_model
    from tvmsr.evaluation.dataset import load_pairs
    from tvmsr.imaging.augment import calibration_crops

    file = settings.weights / f"{run.network}.safetensors"
    model, protocol = open_model(file), settings.protocol_of(run)
    crops = calibration_crops(
        settings.images / "train", protocol.pictures, protocol.crop, seed=run.seed, hr_scale=model.scale
    )
    prepared = prepare(model, crops, protocol, seed=run.seed, outside=folded_factors(model, file))
    found: dict[str, Any] = {"key": run.key, "sets": {}}
    for name in settings.sets:
        evaluation = evaluate(prepared, load_pairs(settings.images / name, model.scale))
        found["sets"][name] = evaluation.mean
        found |= {key: value for key, value in evaluation.as_json().items() if key not in ("images", "mean")}
    return found


def plan(settings: Settings) -> str:
    """Seconds of a step of training for each network, and hours for all that is asked for, measuring not counted."""
    from tvmsr.adabm_paper.measure import prepare
    from tvmsr.commands.source import open_model
    from tvmsr.imaging.augment import default_calibration

    lines, total = [], 0.0
    tuned = sum(way.tuned for way in WAYS) * len(settings.bits) * len(settings.seeds)
    for network in settings.networks:
        protocol = replace(settings.protocol, pictures=6, epochs=3)
        crops = default_calibration(6, protocol.crop)
        prepared = prepare(open_model(settings.weights / f"{network}.safetensors"), crops, protocol)
        epochs = prepared.history.epochs
        second = sum(epoch.seconds for epoch in epochs) / sum(epoch.steps for epoch in epochs)
        steps = settings.protocol.epochs * -(-settings.protocol.pictures // settings.protocol.batch)
        total += second * steps * tuned
        lines.append(f"{network}: {second:.2f} s a step, {second * steps / 60:.1f} min a run, {tuned} runs")
    return "\n".join([*lines, f"{total / 3600:.1f} hours of training in all"])


def _measured(settings: Settings, file: Path, out: Path) -> None:
    results = {one["key"]: one for one in (json.loads(file.read_text()) if file.exists() else [])}
    for run in runs(settings.networks, settings.bits, settings.seeds):
        if run.key not in results:
            start = time.perf_counter()
            results[run.key] = measure(run, settings)
            write_whole(file, list(results.values()))
            print(f"{run.key}: {time.perf_counter() - start:.0f} s", flush=True)
            out.write_text("\n".join(table(results, settings)) + "\n")
    out.write_text("\n".join(table(results, settings)) + "\n")


def settings_of(arguments: Sequence[str] | None = None) -> tuple[Settings, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="what was measured: written, and read")
    parser.add_argument("--out", type=Path, help="the table")
    parser.add_argument("--plan", action="store_true", help="how long it will take")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--bits", nargs="+", default=BITS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--scope", choices=[scope.value for scope in Scope], default=Scope.BODY.value)
    parser.add_argument("--crop", type=int, default=Protocol.crop, help="LR side of training crops")
    parser.add_argument("--pictures", type=int, default=Protocol.pictures)
    parser.add_argument("--epochs", type=int, default=Protocol.epochs)
    args = parser.parse_args(arguments)
    if not args.plan and (args.json is None or args.out is None):
        parser.error("--json and --out are needed where something is measured")
    quirks = Quirks(scope=Scope(args.scope))
    protocol = Protocol(crop=args.crop, pictures=args.pictures, epochs=args.epochs, quirks=quirks)
    return Settings(args.weights, args.images, args.networks, args.bits, args.seeds, args.sets, protocol), args


def main() -> None:
    settings, args = settings_of()
    if args.plan:
        print(plan(settings))
    else:
        _measured(settings, args.json, args.out)


if __name__ == "__main__":
    main()
