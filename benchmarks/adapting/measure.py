"""One network with one way to give it bits: its plan, its .so, and what that makes of the test sets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapting.ways import NETWORKS, SETS, Run


@dataclass(frozen=True)
class Folders:
    """weights: checkpoints; images: set5, set14, train; keep: where plans and artifacts stay."""

    weights: Path
    images: Path
    keep: Path

    def plan(self, run: Run) -> Path:
        return self.keep / f"{_stem(run)}.plan.json"

    def artifact(self, run: Run) -> Path:
        return self.keep / f"{_stem(run)}.so"


def _stem(run: Run) -> str:
    return run.key.replace(" --", "-").replace(" ", "-").replace(":", "-")


def measure(run: Run, folders: Folders, seed: int) -> dict[str, Any]:
    """Figures as JSON has them; means over the pictures of each set."""
    import tvmsr
    from tvmsr.commands.source import open_model
    from tvmsr.quant.adabm.figures import figures
    from tvmsr.quant.plan import Plan

    file = folders.weights / f"{run.network}.safetensors"
    start = time.perf_counter()
    made = tvmsr.calibrate(
        file,
        out=folders.plan(run),
        bits=run.way.bits,
        calib=folders.images / "train",
        hr=True,
        seed=seed,
        **run.way.changes,
    )
    seconds = time.perf_counter() - start
    built = tvmsr.compile(file, plan=folders.plan(run), out=folders.artifact(run), target="host")
    model, plan = open_model(file), Plan.load(folders.plan(run))
    choices = 1 + (len(plan.adaptive.choices) if plan.adaptive else 0)
    found = [figures(model, plan, number) for number in range(choices)]
    return {
        "key": run.key,
        "seconds": seconds,
        "size": built.size,
        "level": built.levels[0],
        "fab": [one.fab for one in found],
        "at_8_bits": [one.at_8_bits for one in found],
        "bit_operations": [one.bit_operations for one in found],
        "notes": list(made.notes),
        **_quality(run, folders, model, plan),
    }


def _quality(run: Run, folders: Folders, model: Any, plan: Any) -> dict[str, Any]:
    """Each picture through every choice: names of choices, factors, and rows of pictures."""
    from tvmsr.commands.evaluate import fp32_upscaler
    from tvmsr.devices import Here, Opening
    from tvmsr.evaluation.dataset import load_pairs
    from tvmsr.evaluation.evaluate import to_bytes
    from tvmsr.evaluation.metrics import psnr_y, ssim_y
    from tvmsr.quant.adaptive import choosing_of

    choosing, exact, rows = choosing_of(plan), fp32_upscaler(model), []
    with Here() as here:
        runners = [
            here.open(folders.artifact(run), Opening(choice=name if len(choosing.names) > 1 else None))
            for name in choosing.names
        ]
        for name in SETS:
            for pair in load_pairs(folders.images / name, model.scale):
                fp32 = to_bytes(exact(pair.lr))
                target = fp32 if NETWORKS[run.network] == "fp32" else pair.hr
                outputs = [to_bytes(runner.upscale(pair.lr)) for runner in runners]
                rows.append(
                    {
                        "picture": f"{name}/{pair.name}",
                        "choice": choosing.of(pair.lr),
                        "fp32": psnr_y(fp32, pair.hr, model.scale),
                        "psnr": [psnr_y(output, target, model.scale) for output in outputs],
                        "ssim": [ssim_y(output, target, model.scale) for output in outputs],
                    }
                )
        for runner in runners:
            runner.close()
    return {"names": list(choosing.names), "factors": list(choosing.factors), "pictures": rows}


def set_means(found: dict[str, Any], name: str, choice: int | None = None) -> dict[str, float]:
    """Of the pictures of a set, each with its own choice, or all with one."""
    rows = [row for row in found["pictures"] if row["picture"].startswith(f"{name}/")]
    taken = [row["choice"] if choice is None else choice for row in rows]
    return {
        "fp32": float(np.mean([row["fp32"] for row in rows])),
        "psnr": float(np.mean([row["psnr"][one] for row, one in zip(rows, taken, strict=True)])),
        "ssim": float(np.mean([row["ssim"][one] for row, one in zip(rows, taken, strict=True)])),
        "fab": float(np.mean([found["fab"][one] for one in taken])),
        "at_8_bits": float(np.mean([found["at_8_bits"][one] for one in taken])),
        "bit_operations": float(np.mean([found["bit_operations"][one] for one in taken])),
    }
