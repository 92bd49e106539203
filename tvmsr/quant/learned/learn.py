"""The learned step: a plan's ranges, weights and biases, learned end to end against the FP32 network's output.

No true pictures: what is learned on are the crops, and what decides is the reference executor on the crops that
were held back. Torch is asked for when it is used (`tvmsr[torch]`); what is here imports without it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.graph.model import Model
from tvmsr.quant.draft import Progress
from tvmsr.quant.judge import Judge, affordable, make_judge, psnr_of
from tvmsr.quant.plan import Plan, PlanError
from tvmsr.quant.saturation import SATURATED
from tvmsr.quant.verdict import judged, loss_words, saturation_words

U8 = NDArray[np.uint8]

#: The plan is judged, and kept where it is the best so far, so often on the way.
JUDGEMENTS = 4
#: What the note of what came of it begins with.
NOTED = "learned step"


def check_torch() -> None:
    """UsageError where PyTorch is not installed, or cannot be loaded."""
    if importlib.util.find_spec("torch") is None:
        raise UsageError("--learn: needs PyTorch, which is not installed; pip install 'tvmsr[torch]'")
    try:
        importlib.import_module("torch")
    except (ImportError, OSError) as error:
        raise UsageError(
            f"--learn: PyTorch is installed but cannot be loaded ({error}); pip install --force-reinstall torch"
        ) from error


def learned(
    model: Model,
    plan: Plan,
    crops: Sequence[U8],
    held: Sequence[U8] = (),
    *,
    seed: int = 0,
    better: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan with learned ranges, weights and biases where that makes it better, and a note of what came of it.

    crops: LR pictures, uint8 (H, W, 3), to learn on; held: others to judge with, the crops without. better: is given
    the best plan so far, first the one that it began with. The same arguments give the same plan. Raises UsageError
    without PyTorch.
    """
    check_torch()
    missing = _missing(model, plan)
    if missing:
        return _noted(plan, f"{NOTED}: left out, {missing}")
    from tvmsr.quant.learned import tune
    from tvmsr.quant.learned.student import Student
    from tvmsr.quant.learned.written import written

    tell = better or (lambda _: None)
    tell(_noted(plan, "the learned step was not finished: this is the plan that it began with"))
    judge = make_judge(model, affordable(held or crops, model))
    best = first = _Found(plan, judge.noise(plan))
    before = _words(first, judge)
    schedule = tune.schedule_for(model, seed)
    every = max(1, schedule.steps // JUDGEMENTS)
    with tune.settled():
        student = Student(model, plan)
        for step in tune.tuned(student, tune.lessons(model, crops, schedule), schedule):
            if progress is not None:
                progress("learning", step, schedule.steps)
            if step == schedule.steps or (step % every == 0 and schedule.steps - step >= every):
                found = _found(judge, written(student, plan))
                best = min(best, found or best, key=lambda one: one.noise)
                if best is found:
                    words = f"the learned step was not finished, {step} of {schedule.steps} steps: {before}"
                    tell(_finished(model, first, best, judge, held or crops, len(held) > 0, words))
    if best is first:
        return _noted(plan, f"{NOTED}: {schedule.steps} steps did not help and are left out: {before}")
    words = f"{NOTED}, {schedule.steps} steps: {before}"
    return _finished(model, first, best, judge, held or crops, len(held) > 0, words)


@dataclass(frozen=True, eq=False)
class _Found:
    plan: Plan
    noise: float


def _found(judge: Judge, plan: Plan) -> _Found | None:
    """None where sums would not fit int32."""
    try:
        return _Found(plan, judge.noise(plan))
    except PlanError:
        return None


def _missing(model: Model, plan: Plan) -> str:
    """Why this cannot be learned, or nothing."""
    from tvmsr.quant.learned.student import unsupported

    if plan.ending is not None:
        return "the output has a measured range, and is learned as the picture's own code only"
    operations = unsupported(model)
    return f"it cannot learn through {', '.join(operations)} yet" if operations else ""


def _words(found: _Found, judge: Judge) -> str:
    crops = f"{len(judge.crops)} crop{'s' if len(judge.crops) > 1 else ''}"
    return f"noise {found.noise:.3f} ({psnr_of(found.noise):.2f} dB against the FP32 output, {crops})"


def _noted(plan: Plan, note: str) -> Plan:
    return plan.model_copy(update={"notes": [*plan.notes, note]})


def _finished(
    model: Model, first: _Found, best: _Found, judge: Judge, shown: Sequence[U8], is_held: bool, words: str
) -> Plan:
    """The best plan, with what it loses and saturates in the place of what the first one did."""
    plan, old = best.plan, first.plan.judged
    notes = [note for note in plan.notes if not note.startswith(SATURATED)]
    update: dict[str, object] = {}
    if old is not None:
        now = judged(judge, best.noise, old.limit, held=is_held)
        now = now.model_copy(update={"before": old.before, "wider": old.wider})
        notes = [loss_words(now) if note == loss_words(old) else note for note in notes]
        update["judged"] = now
    notes += [saturation_words(model, plan, shown), f"{words} -> {_words(best, judge)}"]
    return plan.model_copy(update={**update, "notes": notes, "settings": {**plan.settings, "learned": True}})
