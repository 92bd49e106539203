"""The learned step: a plan's ranges, weights and biases, learned end to end against the FP32 network's output.

No true pictures: what is learned on are the crops, and what decides is the reference executor on the crops that
were held back. Torch is asked for when it is used (`tvmsr[torch]`); what is here imports without it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import abreast
from tvmsr.errors import UsageError
from tvmsr.graph.model import Model
from tvmsr.quant.adabm.figures import figures
from tvmsr.quant.adabm.words import expected_again
from tvmsr.quant.adaptive import choosing_of
from tvmsr.quant.draft import Progress, SoFar, Tell
from tvmsr.quant.judge import Judge, affordable, expected_drop, make_judge, psnr_of
from tvmsr.quant.plan import Plan, PlanError, noted
from tvmsr.quant.saturation import SATURATED
from tvmsr.quant.structure import READ_SUFFIX
from tvmsr.quant.verdict import judged, loss_words, saturation_words

if TYPE_CHECKING:
    from tvmsr.quant.learned.maps import Maps
    from tvmsr.quant.learned.tune import Lessons, Schedule

U8 = NDArray[np.uint8]

#: The plan is judged, and kept where it is the best so far, so often on the way.
JUDGEMENTS = 4
#: Choices of which no picture was seen count like this share of them: thresholds are for pictures, and these are crops.
LEAST_SHARE = 0.1
#: Of Plan.settings: offsets of bits that were learned, by slot, beside those of `layer_factors`.
LEARNED_BITS = "learned_bits"
BITS_STAY = "bits stay as they were, as others are not better or cannot be"
#: What the note of what came of it begins with.
NOTED = "learned step"


def check_torch(option: str = "--learn") -> None:
    """UsageError where PyTorch, which the option needs, is not installed, or cannot be loaded."""
    if importlib.util.find_spec("torch") is None:
        raise UsageError(f"{option}: needs PyTorch, which is not installed; pip install 'tvmsr[torch]'")
    try:
        importlib.import_module("torch")
    except (ImportError, OSError) as error:
        raise UsageError(
            f"{option}: PyTorch is installed but cannot be loaded ({error}); pip install --force-reinstall torch"
        ) from error


@abreast()
def learned(
    model: Model,
    plan: Plan,
    crops: Sequence[U8],
    held: Sequence[U8] = (),
    *,
    seed: int = 0,
    bits: bool = False,
    better: Tell | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan with learned ranges, weights and biases where that makes it better, and a note of what came of it.

    crops: LR pictures, uint8 (H, W, 3), to learn on; held: others to judge with, the crops without. better: is given
    the best plan so far, first the one that it began with. The same arguments give the same plan. The choices of an
    adaptive plan are learned together: weights and what a choice does not hold otherwise are those of all, and what is
    best is so in the mean over pictures. bits: learn once more with the bits of layers, too (tvmsr.quant.learned.maps),
    and keep the better. Raises UsageError without PyTorch.
    """
    check_torch()
    missing = _missing(model, plan)
    if missing:
        return noted(plan, f"{NOTED}: left out, {missing}")
    from tvmsr.quant.learned import tune
    from tvmsr.quant.learned.maps import maps_of

    tell = better or (lambda _: None)
    begun = noted(plan, "the learned step was not finished: this is the plan that it began with")
    tell(SoFar(begun, plan.judged.drop if plan.judged else None))
    trial = _Trial(make_judge(model, affordable(held or crops, model)), shares_of(plan, [*crops, *held]))
    best = first = trial.of(plan)
    tell(trial.so_far(begun, first))
    before = trial.words(first)
    schedule, maps = tune.schedule_for(model, seed, len(trial.shares)), maps_of(model, plan) if bits else None
    runs = (None, maps) if maps is not None else (None,)
    total = len(runs) * schedule.steps

    def finished(words: str) -> Plan:
        made = _finished(first, best, trial, held or crops, len(held) > 0, words)
        return _with_bits_said(model, made, plan) if bits else made

    with tune.settled():
        given = tune.lessons(model, crops, schedule, tune.insides_of(model, len(crops)))
        for number, one in enumerate(runs):
            for step, found in _learning(model, plan, given, trial, schedule, one):
                done = number * schedule.steps + step
                if progress is not None:
                    progress("learning", done, total)
                best = min(best, found or best, key=lambda one: one.noise)
                if best is found:
                    words = f"the learned step was not finished, {done} of {total} steps: {before}"
                    tell(trial.so_far(finished(words), best))
    if best is first:
        return noted(plan, f"{NOTED}: {total} steps did not help and are left out: {before}")
    made = finished(f"{NOTED}, {total} steps: {before}")
    return noted(made, f"{NOTED}: {BITS_STAY}") if bits and LEARNED_BITS not in made.settings else made


def _learning(
    model: Model, plan: Plan, given: Lessons, trial: _Trial, schedule: Schedule, maps: Maps | None
) -> Iterator[tuple[int, _Found | None]]:
    """The number of each step behind it, and the plan where it is judged: once bits are settled, where they move."""
    from tvmsr.quant.learned import tune
    from tvmsr.quant.learned.student import students
    from tvmsr.quant.learned.written import written

    every = max(1, schedule.steps // JUDGEMENTS)
    made = students(model, plan, maps.slots if maps is not None else None)
    for step in tune.tuned(made, given, schedule, trial.shares, maps):
        is_judged = step == schedule.steps or (step % every == 0 and schedule.steps - step >= every)
        is_open = maps is not None and tune.is_mapping(step - 1, schedule)
        yield step, _found(trial, written(made, plan)) if is_judged and not is_open else None


def _with_bits_said(model: Model, made: Plan, plan: Plan) -> Plan:
    """With a note on what has other bits now, where something has, and their mean: before that of what came of it."""
    offsets = {name: code.bits - plan.tensors[name].bits for name, code in made.tensors.items()}
    offsets |= {name + READ_SUFFIX: code.bits - plan.reads[name].bits for name, code in made.reads.items()}
    moved = {name: offset for name, offset in offsets.items() if offset}
    if not moved:
        return made
    more, means = sum(offset > 0 for offset in moved.values()), [figures(model, one).fab for one in (plan, made)]
    words = (
        f"{NOTED}: learned bits: {more} more, {len(moved) - more} fewer; feature average bit {means[1]:.2f}, "
        f"{means[0]:.2f} before, of which the other notes tell"
    )
    notes, settings = [*made.notes[:-1], words, *made.notes[-1:]], {**made.settings, LEARNED_BITS: moved}
    return made.model_copy(update={"settings": settings, "notes": notes})


def shares_of(plan: Plan, pictures: Sequence[U8]) -> tuple[float, ...]:
    """Of the pictures, those that each choice of a plan gets; none less than LEAST_SHARE, as there are few of them."""
    choosing = choosing_of(plan)
    counts = np.bincount([choosing.of(picture) for picture in pictures], minlength=len(choosing.names))
    shares = np.maximum(counts / len(pictures), LEAST_SHARE)
    return tuple(float(share) for share in shares / shares.sum())


@dataclass(frozen=True, eq=False)
class _Found:
    """noises: of each choice of the plan; noise: their mean over pictures."""

    plan: Plan
    noises: tuple[float, ...]
    noise: float


@dataclass(frozen=True, eq=False)
class _Trial:
    """What plans are compared by. shares: of the pictures, those that each choice gets."""

    judge: Judge
    shares: tuple[float, ...]

    def of(self, plan: Plan) -> _Found:
        noises = tuple(self.judge.noise(plan.of_choice(number)) for number in range(len(self.shares)))
        noise = sum(share * noise for share, noise in zip(self.shares, noises, strict=True))
        return _Found(plan, noises, noise)

    def so_far(self, plan: Plan, found: _Found) -> SoFar:
        """The plan without its choices is what is judged."""
        return SoFar(plan, expected_drop(found.noises[0], self.judge.model.scale))

    def words(self, found: _Found) -> str:
        crops = f"{len(self.judge.crops)} crop{'s' if len(self.judge.crops) > 1 else ''}"
        words = f"noise {found.noise:.3f} ({psnr_of(found.noise):.2f} dB against the FP32 output, {crops}"
        names = choosing_of(found.plan).names
        each = [f"{name} {psnr_of(noise):.2f} dB" for name, noise in zip(names, found.noises, strict=True)]
        return f"{words}{': ' + ', '.join(each) if len(each) > 1 else ''})"


def _found(trial: _Trial, plan: Plan) -> _Found | None:
    """None where sums would not fit int32."""
    try:
        return trial.of(plan)
    except PlanError:
        return None


def _missing(model: Model, plan: Plan) -> str:
    """Why this cannot be learned, or nothing."""
    from tvmsr.quant.learned.student import unsupported

    if plan.ending is not None:
        return "the output has a measured range, and is learned as the picture's own code only"
    operations = unsupported(model)
    return f"it cannot learn through {', '.join(operations)} yet" if operations else ""


def _finished(first: _Found, best: _Found, trial: _Trial, shown: Sequence[U8], is_held: bool, words: str) -> Plan:
    """The best plan, with what it loses and saturates in the place of what the first one did.

    What is judged is the plan itself, without its choices.
    """
    plan, old = best.plan, first.plan.judged
    notes = [note for note in plan.notes if not note.startswith(SATURATED)]
    update: dict[str, object] = {}
    if old is not None:
        now = judged(trial.judge, best.noises[0], old.limit, held=is_held)
        now = now.model_copy(update={"before": old.before, "wider": old.wider})
        notes = [loss_words(now) if note == loss_words(old) else note for note in notes]
        update["judged"] = now
    notes = expected_again(notes, trial.judge.model, best.noises[0])
    notes += [saturation_words(trial.judge.model, plan, shown), f"{words} -> {trial.words(best)}"]
    return plan.model_copy(update={**update, "notes": notes, "settings": {**plan.settings, "learned": True}})
