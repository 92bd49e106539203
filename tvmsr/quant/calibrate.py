"""calibrate: a Plan for a Model from a handful of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import abreast
from tvmsr.errors import InputFileError, UsageError, WorkError
from tvmsr.graph.analysis import size_rule
from tvmsr.graph.model import Model
from tvmsr.imaging.augment import default_calibration
from tvmsr.quant.adabm.adapt import adapted
from tvmsr.quant.adabm.adaptation import MODES, Adaptation, WeightBits
from tvmsr.quant.adabm.auto import Budget, within_drop, within_time
from tvmsr.quant.adabm.table import Costs, Sensitivity
from tvmsr.quant.adabm.walk_words import missed_words
from tvmsr.quant.bind import bind
from tvmsr.quant.bits import AUTO, Auto, Bits, parse_wish
from tvmsr.quant.coarsened import with_coarsening
from tvmsr.quant.correct import corrected
from tvmsr.quant.draft import Progress, SoFar, Tell, make_plan, ticker
from tvmsr.quant.ending import Ending, ended
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.judge import (
    FEW_CROPS,
    FEW_SIZE,
    JUDGED_CROPS,
    Judge,
    affordable,
    expected_drop,
    few,
    few_for,
    make_judge,
    middle,
)
from tvmsr.quant.methods import DEFAULT_METHOD, Method, Shown, method_for, method_of
from tvmsr.quant.picture import fitted
from tvmsr.quant.plan import Judged, Plan, PlanError
from tvmsr.quant.ranges import ChannelStats, Observation, covering, observe_channels, spaced
from tvmsr.quant.representative import DEFAULT_WAY, Representative, check_way, described, representatives
from tvmsr.quant.rounding import Remembered, Rounding, best_rounded, rounded, ways_for
from tvmsr.quant.streams import choose_bits
from tvmsr.quant.structure import analyse
from tvmsr.quant.verdict import judged, loss_words, saturation_words, wider_words
from tvmsr.quant.widen import (
    Clock,
    Widened,
    candidates,
    fewest,
    fewest_adjusted,
    measured,
    pins_of,
    reusing,
    what_is_wider,
)

U8 = NDArray[np.uint8]

#: Layers are widened where 8 bits are expected to cost more than this, in dB.
MAX_DROP = 0.1
#: What max_drop can be at most: far beyond any picture that one would look at.
MOST_DROP = 100.0
#: Weights are rounded against the middles of eight crops, so many pixels a side: more than the patches drawn of them.
ROUNDED_SIZE = 64
#: Weights are not fitted to crops where that makes the noise on the bundled picture so many times that of nearest.
OVERFITTED = 1.2
TOO_ALIKE = "weights are not fitted to the pictures, which are too alike for that: calibrate with more and other ones"


@abreast()
def calibrate(
    model: Model,
    crops: list[U8],
    *,
    bits: str | int | Bits | Auto = 8,
    method: str = DEFAULT_METHOD,
    equalise: bool = True,
    bias_correction: bool = True,
    rounding: bool = True,
    layer_bits: Mapping[str, int] | None = None,
    max_drop: float | None = MAX_DROP,
    held: Sequence[U8] = (),
    clock: Clock | None = None,
    way: str = DEFAULT_WAY,
    costs: str = Costs.TIME.value,
    adaptive: str = MODES[0],
    complexities: Sequence[int] = (),
    sensitivity: str = Sensitivity.NOISE.value,
    weight_bits: str = WeightBits.FIXED.value,
    kept: float | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    description: str = "",
    made: Callable[[Sequence[Representative]], None] | None = None,
    better: Tell | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Measure ranges over crops and choose bits, scales and corrections.

    Parameters
    ----------
    model
        What to quantize.
    crops
        LR pictures, uint8 (H, W, 3), RGB. A handful of 96x96 is enough. Of a size that the network does not run on,
        they are continued as any picture is (tvmsr.quant.picture).
    bits
        "8", "6", "a6w4" or Bits. Streams, gates and table inputs are wider (tvmsr.quant.streams). "auto:a6w4" or Auto:
        layers and pictures have more or fewer than the base (tvmsr.quant.adabm).
    method
        How ranges are chosen: a row of tvmsr.quant.methods.METHODS. Auto bits have one of their own.
    equalise, bias_correction, rounding
        Factors per channel (tvmsr.quant.equalise); mean errors taken back (tvmsr.quant.correct); weights rounded
        against the crops (tvmsr.quant.rounding), which takes mean errors back, too, and is left out where that is.
    layer_bits
        {convolution: bits of the activations that it reads}.
    max_drop
        At 8 bits: the loss of PSNR, in dB, that the reference executor may make expect before a few layers are widened
        to 12 activation bits (tvmsr.quant.widen), the cheapest that are enough. None never widens, and with auto bits
        keeps no layer at 8.
    held
        LR pictures like the crops, on which nothing is measured but what a plan loses and saturates; the crops without.
    clock
        The cost model of the CPU that the plan is for: wider layers are chosen by what they add to its time, and not by
        their multiplications. Another clock may give another plan.
    way
        How CFQP makes pictures of full range: a row of tvmsr.quant.representative.WAYS.
    costs, adaptive, complexities
        Of auto bits: "time" on the clock's CPU or "bits", what fewer of them are to save; whether each "image" has its
        bits or each "tile" of one; complexities of such images or tiles (tvmsr.quant.complexity), the crops' own where
        there are none.
    sensitivity, weight_bits, kept
        Of auto bits: how the noise of layers is known, "noise", "gradient" (needs PyTorch) or "deviation". Of named
        ones: whether weights have "fixed" bits or by "layer"; the share of the multiplications that may stay at 8 bits,
        0..1, None for 0.2.
    budget
        Of "auto" alone: the time that a picture may take. The plan is then the best within it, and not the fastest that
        loses at most `max_drop`.
    made
        Called with these pictures, where the method wants some.
    better
        Called with each whole plan on the way, the best last: what there is when the rest takes too long, and the
        drop to expect of it, once that was judged.
    description
        Where the crops come from, in words, for the plan.
    seed
        Of what is drawn at random: CFQP's pictures. The same arguments give the same plan, with any threads.
    progress
        Called with what is being done, steps done, steps in all.

    Raises UsageError for a request that cannot be met, InputFileError without crops.

    """
    if not crops:
        raise InputFileError("calibration needs at least one picture")
    wish = parse_wish(bits)
    row = method_of(method := method_for(wish, method))
    if max_drop is not None and not 0 <= max_drop <= MOST_DROP:
        raise UsageError(f"--max-drop {max_drop:g}: expected a number of dB, 0 to {MOST_DROP:g}")
    check_way(way)
    if row.alone:
        equalise, bias_correction, max_drop = False, False, None
    rounding = rounding and bias_correction
    how = Adaptation() if not isinstance(wish, Auto) else Adaptation.of(
        costs, adaptive, complexities, keeps=max_drop is not None, kept=kept, sensitivity=sensitivity,
        weight_bits=weight_bits,
    )  # fmt: skip
    model = ended(model, row.ending)
    wanted, structure = (wish.base or Bits(8, 8)) if isinstance(wish, Auto) else wish, analyse(model.graph)
    crops, held = ([fitted(crop, size_rule(model.graph)) for crop in some] for some in (crops, held))
    pins = dict(layer_bits or {})
    choose_bits(structure, wanted, pins)
    seen = observe_channels(model.graph, crops, ticker(progress, "ranges", len(crops)))
    stats, notes = _shown(model, crops, seen, row, way, seed, made)
    draft = Draft(
        model=model, crops=crops, held=held, seen=seen, stats=stats, bits=wanted, method=method, ending=row.ending,
        equalise=equalise, bias_correction=bias_correction, rounding=rounding, seed=seed, description=description,
        pins=pins, clock=clock, progress=progress,
    )  # fmt: skip
    for_now = _teller(better, notes)
    if isinstance(wish, Auto):
        plan = adapted(draft, how, for_now) if wish.base else _narrowed(draft, how, max_drop, budget, for_now)
    else:
        plan = _plain(draft, max_drop, for_now)
    settings = {"bias_correction": bias_correction, "rounding": rounding, "max_drop": max_drop, "layer_bits": pins}
    plan = with_coarsening(model, plan.model_copy(update={"settings": {**plan.settings, **settings}}))
    covered = saturation_words(model, plan, held or crops)
    return plan.model_copy(update={"notes": [*notes, *plan.notes, covered]})


def _plain(draft: Draft, max_drop: float | None, for_now: Tell) -> Plan:
    """The same bits everywhere, but for layers that need more of them at 8."""
    plan = draft.plan({}, {})
    for_now(SoFar(plan))
    for_now(SoFar(plan, expected_drop(draft.judge().noise(plan), draft.model.scale)))
    plan = draft.adjusted(plan)
    for_now(SoFar(plan))
    return _widened(draft, plan, max_drop, for_now) if max_drop is not None and draft.bits == Bits(8, 8) else plan


def _narrowed(draft: Draft, how: Adaptation, max_drop: float | None, budget: Budget | None, for_now: Tell) -> Plan:
    """8 bits, and fewer where that is faster: as few as the drop allows, or as it takes to keep to the budget."""
    eight = _plain(draft, None, for_now)
    if budget is not None:
        return within_time(draft, how, eight, budget, for_now)
    if max_drop is not None:
        wide = _widened(draft, eight, max_drop, for_now)
        if wide.judged is not None and (wide.judged.wider is not None or wide.judged.is_missed):
            before = wide.judged.drop if wide.judged.before is None else wide.judged.before[1]
            said = missed_words(wide.judged.model_copy(update={"drop": before}))
            return wide.model_copy(update={"bits": AUTO, "notes": [*wide.notes, said]})
    return within_drop(draft, how, eight, MAX_DROP if max_drop is None else max_drop, for_now)


def _teller(better: Tell | None, notes: Sequence[str]) -> Tell:
    """Tells of a plan on the way."""
    said = {"notes": [*notes, "calibration was not finished: what comes after this plan is missing"]}
    return lambda found: better(replace(found, plan=found.plan.model_copy(update=said))) if better else None


def _shown(
    model: Model,
    crops: Sequence[U8],
    seen: Observation,
    row: Method,
    way: str,
    seed: int,
    made: Callable[[Sequence[Representative]], None] | None,
) -> tuple[Mapping[str, ChannelStats], list[str]]:
    """Statistics of the pictures that the method's ranges are measured on, and a note of what they are."""
    if row.pictures is Shown.GIVEN:
        return seen.stats, []
    pictures = representatives(model, crops, seen.outputs, way=way, seed=seed)
    if made is not None:
        made(pictures)
    stats = observe_channels(model.graph, [picture.pixels for picture in pictures], lambda: None).stats
    both = stats if row.pictures is Shown.FULL_RANGE else covering(seen.stats, stats)
    return both, [described(pictures, way)]


@dataclass(frozen=True, eq=False)
class Draft:
    """What all plans of one calibration share."""

    model: Model
    crops: Sequence[U8]
    held: Sequence[U8]
    seen: Observation
    stats: Mapping[str, ChannelStats]
    bits: Bits
    method: str
    ending: Ending
    equalise: bool
    bias_correction: bool
    rounding: bool
    seed: int
    description: str
    pins: Mapping[str, int]
    clock: Clock | None
    progress: Progress | None

    def judge(self) -> Judge:
        """Over the crops held back; over those that ranges were measured on where there are none."""
        return self._judge

    @cached_property
    def _judge(self) -> Judge:
        if self.held:
            return make_judge(self.model, affordable(self.held, self.model))
        return make_judge(self.model, spaced(self.crops, JUDGED_CROPS), spaced(self.seen.outputs, JUDGED_CROPS))

    def usable_clock(self, plan: Plan) -> Clock | None:
        """The clock, where the network can be compiled for what it is of."""
        return _usable(self.clock, self.model, plan)

    def adjusted(self, plan: Plan, way: Rounding | None = None) -> Plan:
        """The plan with weight codes and bias corrections measured on the crops, as far as they are wanted.

        way: of rounding; None: the best of those that there are.
        """
        if not plan.tensors:  # the network only moves pixels
            return plan
        if self.rounding:
            rule = size_rule(self.model.graph)
            used = [fitted(middle(crop, ROUNDED_SIZE), rule) for crop in spaced(self.crops, JUDGED_CROPS)]
            ways = ways_for(plan) if way is None else (way,)
            done = ticker(self.progress, "weights", len(plan.layers) * len(ways))
            if len(ways) > 1:
                made = best_rounded(plan, self.model, used, make_judge(self.model, used), done, self._remembered)
            else:
                made = rounded(plan, self.model, used, done, ways[0], self._remembered)
            if not self._is_overfitted(made, plan):
                return made
            bare = rounded(plan, self.model, used, lambda: None, Rounding(fit=False), self._remembered)
            return bare.model_copy(update={"notes": [*bare.notes, TOO_ALIKE]})
        if self.bias_correction:
            return corrected(plan, self.model, self.crops, ticker(self.progress, "biases", len(plan.layers)))
        return plan

    @cached_property
    def _remembered(self) -> Remembered:
        """Of the crops that weights are adjusted on: the same ones for all plans."""
        return Remembered()

    def _is_overfitted(self, made: Plan, nearest: Plan) -> bool:
        """Whether weights fitted to the crops are worse than nearest ones on pictures of another kind."""
        return self._others.noise(made) > OVERFITTED * self._others.noise(nearest)

    @cached_property
    def _others(self) -> Judge:
        return make_judge(self.model, few(default_calibration(FEW_CROPS, FEW_SIZE)))

    def plan(self, pins: Mapping[str, int], reasons: Mapping[str, str], *, quiet: bool = False) -> Plan:
        """A plan with further layers pinned, for the reasons given. quiet: one of many, and no histograms for it."""
        choice = choose_bits(analyse(self.model.graph), self.bits, {**pins, **self.pins}, reasons)
        return make_plan(
            self.model,
            self.crops,
            self.stats,
            choice,
            bits=self.bits,
            method="minmax" if quiet and method_of(self.method).choose else self.method,
            ending=self.ending,
            equalise=self.equalise,
            seed=self.seed,
            description=self.description,
            progress=None if quiet else self.progress,
        )


def _widened(draft: Draft, plan: Plan, max_drop: float, for_now: Tell) -> Plan:
    """Give layers 12 activation bits, the cheapest that help first, until the expected drop is within `max_drop`."""
    model, structure, judge = draft.model, analyse(draft.model.graph), draft.judge()
    noise = judge.noise(plan)
    first = judged(judge, noise, max_drop, held=bool(draft.held))
    for_now(SoFar(_with_judgement(plan, first), first.drop))
    if expected_drop(noise, model.scale) <= max_drop:
        return _with_judgement(plan, first)

    def replan(pins: Mapping[str, int]) -> IntegerGraph:
        bare = draft.plan(pins, {}, quiet=True)
        try:
            return bind(model, reusing(bare, plan))
        except PlanError:  # given codes cannot be coarsened, and a wider input may make their sums too large
            return bind(model, bare)

    clock = _usable(draft.clock, model, plan)
    times = len(candidates(structure))
    some = make_judge(model, few(draft.crops, few_for(model, times)))
    order = measured(some, structure, replan, ticker(draft.progress, "sensitivity", times), clock)
    order = [candidate for candidate in order if candidate.name not in draft.pins]

    def adjusted(count: int) -> Widened:
        reasons = {candidate.name: candidate.reason for candidate in order[:count]}
        wider = draft.adjusted(draft.plan(pins_of(order[:count]), reasons)).model_copy(update={"notes": plan.notes})
        found = Widened(wider, judge.noise(wider))
        if meets(found) or (count == enough and found.noise < noise):
            now = judged(judge, found.noise, max_drop, held=first.held)
            for_now(SoFar(_with_judgement(wider, now), now.drop))
        return found

    def meets(found: Widened) -> bool:
        return expected_drop(found.noise, model.scale) <= max_drop

    enough = fewest(judge, order, replan, max_drop)
    if not enough:
        return _with_judgement(plan, first)
    count, found = fewest_adjusted(adjusted, enough, meets)
    if found.noise >= noise:
        return _with_judgement(plan, first)
    after = judged(judge, found.noise, max_drop, held=first.held)
    what = what_is_wider(model, [candidate.name for candidate in order[:count]], plan, found.plan, clock)
    saved = {"before": (first.psnr, first.drop), "wider": what}
    return _with_judgement(found.plan, after.model_copy(update=saved))


def _with_judgement(plan: Plan, found: Judged) -> Plan:
    wider = wider_words(found)
    notes = [*plan.notes, loss_words(found), *([f"wider layers: {wider}"] if wider else ())]
    return plan.model_copy(update={"judged": found, "notes": notes})


def _usable(clock: Clock | None, model: Model, plan: Plan) -> Clock | None:
    """None where the network cannot be compiled for what the clock is of: that is said when it is compiled."""
    try:
        return clock if clock is None or clock.cycles(bind(model, plan)) else None
    except WorkError:
        return None
