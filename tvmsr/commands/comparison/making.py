"""A library for each variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.commands.calibrate import Calibration, plan_for
from tvmsr.commands.comparison.variants import Variant
from tvmsr.commands.compile import build_artifact
from tvmsr.commands.progress import Progress

if TYPE_CHECKING:
    from tvmsr.graph.model import Model
    from tvmsr.quant.plan import Plan


@dataclass(frozen=True)
class Made:
    """A variant as a .so for this machine. size: its bytes."""

    variant: Variant
    path: Path
    size: int
    notes: tuple[str, ...]


def make_all(
    model: Model, variants: Sequence[Variant], shared: Calibration, folder: Path, progress: Progress
) -> tuple[Made, ...]:
    """Calibrate and compile those that are not FP32, into `folder`. Variants with the same calibration share a plan."""
    from tvmsr.hardware import check_levels, load_target

    target = load_target("host")
    check_levels(target)
    wanted = [variant for variant in variants if variant.changes is not None]
    plans: list[tuple[Calibration, Plan, tuple[str, ...]]] = []
    made = []
    for number, variant in enumerate(wanted):
        progress("variants", number, len(wanted))
        how = variant.calibration(shared)
        known = next((found for found in plans if found[0] == how), None)
        if known is None:
            known = (how, *plan_for(model, how, progress))
            plans.append(known)
        _, plan, notes = known
        apart = frozenset({_end(model, plan)}) if variant.clip_apart else frozenset[str]()
        built = build_artifact(model, plan, target, folder / f"{number}.so", apart=apart, progress=progress)
        made.append(Made(variant, built.path, built.size, notes))
    progress("variants", len(wanted), len(wanted))
    return tuple(made)


def _end(model: Model, plan: Plan) -> str:
    """The node that makes the output: what the plan's method appended to the network."""
    from tvmsr.quant.ending import Ending, ended

    return ended(model, plan.ending or Ending.PINNED).graph.output
