"""How long AdaBM takes beside an adaptive quantization-aware training, on this machine.

    python benchmarks/adabm_cost.py NETWORK --images IMAGES [--rounds 3] [--json FILE]

IMAGES has the folder train (HR). One step of each is timed by turns, and multiplied by its schedule: AdaBM's, 10 epochs
of 50 steps of two crops of 96x96 and what comes before them; and CADyQ's, 300 epochs of 1000 steps of 16 crops of 48x48
with the true pictures, all weights learned. Of a CADyQ step, what its selectors cost beside (candidates of bits, their
networks) is left out, and what it starts from (a network trained at 8 bits) is not counted: the ratio is a lower bound.
Product rows: `--bits auto:a6w4` without and with --learn, run once each with --product.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from peering.store import write_whole

from tvmsr.adabm_paper.measure import prepare
from tvmsr.adabm_paper.protocol import Adapt, Protocol
from tvmsr.commands.source import open_model
from tvmsr.evaluation.dataset import load_pairs
from tvmsr.graph.model import Model
from tvmsr.imaging.augment import calibration_crops

#: CADyQ's schedule: epochs of so many steps; pictures a step and their side in LR pixels; Adam's rate.
QAT_EPOCHS, QAT_STEPS, QAT_BATCH, QAT_SIDE, QAT_RATE = 300, 1000, 16, 48, 1e-4
PRODUCT = {"auto:a6w4": {}, "auto:a6w4 --learn": {"learn": True}}


def qat_step(model: Model, images: Path) -> Callable[[], None]:
    """A step of training all weights, bounds and layer factors against true pictures."""
    import torch

    from tvmsr.adabm_paper.data import as_tensor
    from tvmsr.adabm_paper.student import student_of

    pairs, scale = load_pairs(images / "train", model.scale), model.scale
    lr, hr = [], []
    rng = np.random.default_rng(0)
    for number in range(QAT_BATCH):
        pair = pairs[number % len(pairs)]
        top, left = (int(rng.integers(0, side - QAT_SIDE + 1)) for side in pair.lr.shape[:2])
        lr.append(pair.lr[top : top + QAT_SIDE, left : left + QAT_SIDE])
        hr.append(pair.hr[scale * top : scale * (top + QAT_SIDE), scale * left : scale * (left + QAT_SIDE)])
    pictures, wanted = as_tensor(lr), as_tensor(hr)
    student = student_of(model, Protocol(adapt=Adapt.BOTH), pictures)
    for layer in student.layers.values():
        for name, value in (("lower", -1.0), ("upper", 1.0), ("bound", 1.0)):
            getattr(layer, name).fill_(value)
    learned = list(student.parameters().values())
    learned += [found["weight"] for found in student.constants.values() if "weight" in found]
    optimizer = torch.optim.Adam([value.requires_grad_(True) for value in learned], lr=QAT_RATE)

    def step() -> None:
        optimizer.zero_grad()
        (student.quantized(pictures).output - wanted).abs().mean().backward()
        optimizer.step()
        student.changed()

    return step


def adabm_seconds(model: Model, crops: list[Any], protocol: Protocol) -> tuple[float, float]:
    """Of a run with a few steps: seconds of a step, and of what comes before."""
    prepared = prepare(model, crops, protocol)
    epochs = prepared.history.epochs
    training = sum(epoch.seconds for epoch in epochs)
    return training / sum(epoch.steps for epoch in epochs), prepared.seconds - training


def measure(model: Model, images: Path, rounds: int) -> dict[str, Any]:
    """Seconds of every step by turns."""
    full = Protocol()
    few = replace(full, pictures=6, epochs=3, calibration_batch=6)
    crops = calibration_crops(images / "train", few.pictures, few.crop, hr_scale=model.scale)
    step = qat_step(model, images)
    step()
    found: dict[str, Any] = {"adabm_step": [], "adabm_before": [], "qat_step": []}
    for _ in range(rounds):
        seconds, before = adabm_seconds(model, crops, few)
        found["adabm_step"].append(seconds)
        found["adabm_before"].append(before)
        start = time.perf_counter()
        step()
        found["qat_step"].append(time.perf_counter() - start)
    steps = full.epochs * -(-full.pictures // full.batch)
    # Calibration looks at all crops once, clipping at two, whatever the number of steps.
    batches = full.pictures / few.pictures
    adabm = [steps * one + batches * before for one, before in zip(*_columns(found), strict=True)]
    qat = [QAT_EPOCHS * QAT_STEPS * one for one in found["qat_step"]]
    return {**found, "steps": steps, "adabm": adabm, "qat": qat, "ratio": _ratios(qat, adabm)}


def _columns(found: dict[str, Any]) -> tuple[list[float], list[float]]:
    return found["adabm_step"], found["adabm_before"]


def _ratios(qat: list[float], adabm: list[float]) -> dict[str, float]:
    """The median, and the ends over all pairs of measurements."""
    every = [slow / fast for slow in qat for fast in adabm]
    return {"median": median(qat) / median(adabm), "least": min(every), "most": max(every)}


def product(model: Model, images: Path) -> dict[str, float]:
    """Seconds of the product's method from pictures to plan."""
    from tvmsr.commands.calibrate import Calibration, plan_for

    found = {}
    for name, changes in PRODUCT.items():
        how = Calibration(bits="auto:a6w4", calib=images / "train", hr=True, **changes)
        start = time.perf_counter()
        plan_for(model, how)
        found[name] = time.perf_counter() - start
    return found


def table(found: dict[str, Any]) -> list[str]:
    """Markdown."""
    qat, ratio = median(found["qat"]), found["ratio"]
    lines = [
        "| method | seconds | a training takes so many times as long |",
        "|---|---|---|",
        f"| adaptive quantization-aware training, {QAT_EPOCHS * QAT_STEPS} steps, extrapolated | {qat:,.0f} "
        f"({qat / 3600:.0f} h) | 1 |",
        f"| AdaBM as published, {found['steps']} steps, extrapolated | {median(found['adabm']):,.0f} | "
        f"{ratio['median']:.0f} ({ratio['least']:.0f} to {ratio['most']:.0f}) |",
    ]
    for name, seconds in found.get("product", {}).items():
        lines.append(f"| `--bits {name}` | {seconds:.0f} | {qat / seconds:.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--product", action="store_true", help="time the product's method, too")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model = open_model(args.network)
    found = measure(model, args.images, args.rounds)
    if args.product:
        found["product"] = product(model, args.images)
    if args.json is not None:
        write_whole(args.json, found)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
