"""AdaBM for named bits, `auto:a6w4`: layers at more or fewer activation bits than the base, and the same by picture.

In this order, each kept only where crops that were held back say that it helps: ranges drawn in for the bits; layers
that stay at 8; factors of the others; then weights and biases, and plans for flat and for busy pictures on the same
weights. What is tried on the way has 8-bit weights, whose noise does not hide that of activations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.analysis import macs_per_pixel, size_rule
from tvmsr.quant.adabm import words
from tvmsr.quant.adabm.adaptation import Adaptation, WeightBits
from tvmsr.quant.adabm.choices import NAMES, as_choice, choice_plan, thresholds_of
from tvmsr.quant.adabm.clips import Clips, clips_of
from tvmsr.quant.adabm.figures import SETTINGS
from tvmsr.quant.adabm.maps import (
    CAUTIONS,
    PICTURE,
    clamped,
    kept_sites,
    layer_factors,
    weight_factors,
    with_factor,
)
from tvmsr.quant.adabm.sense import middles, sensed
from tvmsr.quant.adabm.sites import FULL_BITS, Site, bits_of, read_at_8_bits, sites_of, with_bits, with_weight_bits
from tvmsr.quant.adabm.table import (
    Costs,
    Sensitivity,
    Table,
    bit_costs,
    cost_of,
    deviations,
    time_costs,
)
from tvmsr.quant.adaptive import bind_choices
from tvmsr.quant.bits import Bits
from tvmsr.quant.coarsened import with_coarsening
from tvmsr.quant.complexity import complexity
from tvmsr.quant.correct import MOST_CROPS, corrected
from tvmsr.quant.draft import SoFar, Tell, ticker
from tvmsr.quant.judge import (
    FEW_SIZE,
    JUDGED_CROPS,
    LEAST_CROPS,
    Judge,
    expected_drop,
    few,
    few_for,
    make_judge,
)
from tvmsr.quant.picture import fitted
from tvmsr.quant.plan import AdaptivePlan, Plan, PlanError, noted
from tvmsr.quant.ranges import spaced
from tvmsr.quant.structure import analyse
from tvmsr.quant.widen import Clock, macs_shares

if TYPE_CHECKING:
    from tvmsr.quant.calibrate import Draft

U8 = NDArray[np.uint8]

#: Multiplications that judging a trial may cost about.
TRIAL_WORK = 1.5e10
#: How far ranges are drawn in: not, half way as published, all the way.
STRENGTHS = (0.0, 0.5, 1.0)
#: A choice for flat pictures that saves less than this share of the cost is not worth its place, nor one for busy
#: pictures that takes less than that share of the noise away.
LEAST_SAVED, LEAST_LESS = 0.005, 0.02


def adapted(draft: Draft, how: Adaptation, tell: Tell) -> Plan:
    """The plan for the draft's bits. tell: is given each whole plan on the way."""
    name = f"auto:{_full_name(draft)}"
    plan = draft.plan({}, {}).model_copy(update={"bits": name})
    tell(SoFar(plan))
    found = sites_of(draft.model, plan, draft.pins)
    sites = tuple(site for site in found if site.readers)
    idle = {site.name: FULL_BITS for site in found if not site.readers}
    plan = with_bits(plan, found, idle, reasons=dict.fromkeys(idle, words.IDLE))
    plan = with_weight_bits(draft.model, plan, dict.fromkeys(_small(draft, plan), FULL_BITS), words.SMALL)
    if not sites:
        return with_coarsening(draft.model, draft.adjusted(noted(plan, words.NO_SITES)))
    work = Work.begin(draft, how, plan, sites)
    tell(work.sketch())
    base = work.base()
    tell(base)
    return work.with_choices(base.plan) if how.pictures else base.plan


def _full_name(draft: Draft) -> str:
    return f"a{draft.bits.activations}w{draft.bits.weights}"


def _small(draft: Draft, plan: Plan) -> list[str]:
    """Convolutions on 1x1 maps: wide weights cost them nothing."""
    structure = analyse(draft.model.graph)
    return [
        name
        for name, layer in plan.layers.items()
        if layer.weight_bits < FULL_BITS
        and name not in structure.moves
        and not structure.weighs_pixels(structure.nodes[name])
    ]


@dataclass(frozen=True, eq=False)
class Trials:
    """Judges plans with biases of their own, on crops that were held back."""

    judge: Judge
    crops: Sequence[U8]  # biases are measured on them; none: plans have none

    def ready(self, plan: Plan) -> Plan:
        return corrected(plan, self.judge.model, self.crops, lambda: None) if self.crops else plan

    def noise(self, plan: Plan) -> float:
        return self.judge.noise(self.ready(plan))

    def so_far(self, plan: Plan, noise: float) -> SoFar:
        return SoFar(plan, expected_drop(noise, self.judge.model.scale))


@dataclass(frozen=True, eq=False)
class Work:
    """plan: what bits and ranges are changed in. strength: how far ranges are drawn in.

    factors: of activation bits, by site; weight_factors: of weight bits, by convolution.
    """

    draft: Draft
    how: Adaptation
    plan: Plan
    sites: Sequence[Site]
    clips: Clips
    table: Table
    trials: Trials
    kept: Sequence[Site]
    strength: float
    factors: Mapping[str, int]
    clock: Clock | None
    weight_factors: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, draft: Draft, how: Adaptation, plan: Plan, sites: Sequence[Site]) -> Work:
        """Measure what bits are worth, and decide on all but the choices."""
        model, base = draft.model, draft.bits
        seen = middles(draft)
        clips = clips_of(model.graph, plan, sites, seen, ticker(draft.progress, "clipping", len(seen)))
        clock = draft.usable_clock(plan) if how.costs is Costs.TIME else None
        picture = Site(PICTURE, (), _of_the_picture(draft, plan), _share(draft, plan), (0.0, 1.0))
        table = _table(draft, how, plan, sites, picture, clips, clock)
        kept = kept_sites(table, base, picture, how.most_kept)
        trials = trials_of(draft)
        work = cls(draft, how, plan, sites, clips, table, trials, kept, 0.0, dict.fromkeys(_names(sites), 0), clock)
        return work._drawn_in()._mapped()

    def _drawn_in(self) -> Work:
        """With the strength of clipping that leaves least noise."""
        if not self.how.clipping:
            return self
        tried = [replace(self, strength=strength) for strength in STRENGTHS]
        return min(tried, key=lambda work: work.trials.noise(work.assembled(fine=True)))

    def _mapped(self) -> Work:
        """With factors of layers, where they help and cost no more on the whole."""
        free = [site for site in self.sites if site not in self.kept]
        maps = [
            layer_factors(self._ranked(), free, self.draft.bits, caution) for caution in CAUTIONS if self.how.layers
        ]
        tried = [replace(self, factors={**self.factors, **factors}) for factors in maps if any(factors.values())]
        limit = cost_of(self.draft.model, self.assembled(), self.clock) * (1 + 1e-6) if tried else 0.0
        within = [work for work in tried if cost_of(self.draft.model, work.assembled(), self.clock) <= limit]
        return min([self, *within], key=lambda work: work.trials.noise(work.assembled(fine=True)))

    def _ranked(self) -> Table:
        """The table that layer factors follow."""
        if self.how.sensitivity is not Sensitivity.DEVIATION:
            return self.table
        return replace(self.table, noise=deviations(self.draft.model.graph, self.sites, middles(self.draft)))

    def _weighed(self) -> Work:
        """With weight bits by layer that may be better: in the mean no more of them, nothing slower."""
        model = self.draft.model
        sizes = {node.name: node.weights["weight"].size for node in model.graph if node.op == "conv"}
        if self.how.weight_bits is WeightBits.FIXED:
            return self
        shares = macs_shares(model)
        free = {name: shares[name] for name in self.table.weights if name not in self.kept_layers}
        maps = [weight_factors(self.table, free, self.draft.bits, self._slower(), caution) for caution in CAUTIONS]
        tried = [
            replace(self, weight_factors={name: factor for name, factor in one.items() if factor})
            for one in maps
            if any(one.values()) and sum(factor * sizes[name] for name, factor in one.items()) <= 0
        ]
        if tried and self.clock is not None:
            limit = cost_of(model, self.assembled(), self.clock) * (1 + 1e-6)
            tried = [work for work in tried if cost_of(model, work.assembled(), self.clock) <= limit]
        return min([self, *tried], key=lambda work: work.trials.noise(work.assembled()))

    def _slower(self) -> set[str]:
        """The convolutions that take longer with one more weight bit."""
        if self.table.costs is Costs.BITS:
            return set()
        bits, site_of = self.bits(), {name: site.name for site in self.sites for name in site.readers}
        found = set()
        for name in self.table.weights:
            site = site_of.get(name, PICTURE)
            a, w, cost = bits.get(site, FULL_BITS), self.draft.bits.weights, self.table.cost[site]
            if cost[Bits(a, clamped(w + 1))] > cost[Bits(a, w)] * (1 + 1e-9):
                found.add(name)
        return found

    @property
    def kept_layers(self) -> list[str]:
        return [name for site in self.kept for name in site.readers]

    def bits(self, factor: int = 0) -> dict[str, int]:
        """Activation bits by site, for pictures of the factor."""
        kept, base = _names(self.kept), self.draft.bits
        return {
            site.name: FULL_BITS
            if site.name in kept
            else with_factor(self.table, site, base, self.factors[site.name] + factor)
            for site in self.sites
        }

    def assembled(self, *, fine: bool = False) -> Plan:
        """The plan with its bits and ranges, weights to the nearest. fine: all weights have 8 bits."""
        bits = self.bits()
        reasons = {site.name: words.site_words(self.table, site, self.draft.bits, bits[site.name],
                   None if site in self.kept else self.factors[site.name]) for site in self.sites}  # fmt: skip
        plan = with_bits(self.plan, self.sites, bits, self.clips.drawn_in(self.sites, bits, self.strength), reasons)
        every = plan.layers if fine else self.kept_layers
        wide = [name for name in every if plan.layers[name].weight_bits < FULL_BITS]
        plan = with_weight_bits(self.draft.model, plan, dict.fromkeys(wide, FULL_BITS), words.KEPT)
        for name, factor in self.weight_factors.items() if not fine else ():
            width = clamped(self.draft.bits.weights + factor)
            why = words.weight_words(self.draft.bits, factor)
            plan = with_weight_bits(self.draft.model, plan, {name: width}, why)
        return plan

    def sketch(self) -> SoFar:
        """The plan for factor 0, weights to the nearest."""
        plan = self.trials.ready(self.assembled())
        return self.trials.so_far(plan, self.trials.judge.noise(plan))

    def base(self) -> SoFar:
        """The plan for factor 0, weights and biases measured; with weight bits by layer where they help then, too."""
        plan, own = self.draft.adjusted(self.assembled()), self._weighed()
        factors = self.weight_factors
        if own is not self:
            other = self.draft.adjusted(own.assembled())
            if self.trials.judge.noise(other) < self.trials.judge.noise(plan):
                plan, factors = other, own.weight_factors
        kept = self.kept_layers
        made = {
            "base": _full_name(self.draft),
            "costs": self.table.costs.value,
            "where": self.table.where,
            "sensitivity": self.how.sensitivity.value,
            "most_kept": self.how.most_kept,
            "kept": kept,
            "weight_bits": self.how.weight_bits.value,
            "weight_factors": factors,
            "clipping": self.strength,
            "layer_factors": {name: factor for name, factor in self.factors.items() if factor},
        }
        plan = plan.model_copy(update={"settings": {**plan.settings, SETTINGS: made}})
        plan = with_coarsening(self.draft.model, plan)
        more = [
            site
            for site in self.sites
            if site not in self.kept
            and bits_of(plan, site) > clamped(self.draft.bits.activations + self.factors[site.name])
        ]
        unmet = (words.NO_CLOCK,) if self.how.costs is not self.table.costs else ()
        noise = self.trials.judge.noise(plan)
        said = words.base_words(self.draft.model, plan, noise, kept, len(more))
        layered = (words.layered_words(factors),) if self.how.weight_bits is WeightBits.LAYER else ()
        return self.trials.so_far(noted(plan, *said, *layered, *unmet), noise)

    def with_choices(self, base: Plan, limit: float = float("inf")) -> Plan:
        """The plan with choices for flat and busy pictures, where they bring anything.

        limit: of the noise of that for flat ones, on the crops held back.
        """
        model, complexities = self.draft.model, self.how.complexities
        thresholds = thresholds_of(complexities or [complexity(crop) for crop in (*self.draft.crops, *self.draft.held)])
        done = ticker(self.draft.progress, "choices", 2 * len(base.layers))
        adaptive: AdaptivePlan | None = None
        notes = []
        factors: tuple[Literal[-1, 1], ...] = (-1, 1)
        for factor in factors:
            try:
                alone, why = self._choice(base, factor, limit, done)
                if alone is not None:
                    choices = [*(adaptive.choices if adaptive else ()), as_choice(alone, base, factor)]
                    tried = AdaptivePlan(
                        low=thresholds.low, high=thresholds.high, base=NAMES[0], mode=self.how.mode, choices=choices
                    )
                    bind_choices(model, base.model_copy(update={"adaptive": tried}))
                    adaptive = tried
            except PlanError:
                why = words.NO_FIT
            notes.append(words.choice_words(factor, why))
        if adaptive is not None:
            notes.append(words.threshold_words(thresholds))
        return noted(base.model_copy(update={"adaptive": adaptive}), *notes)

    def _choice(self, base: Plan, factor: int, limit: float, done: Callable[[], None]) -> tuple[Plan | None, str]:
        """A choice alone, and what it does in words; None, and why there is none."""
        bits, model = self.bits(factor), self.draft.model
        changed = [site for site in self.sites if bits[site.name] != bits_of(base, site)]
        if not changed:
            return None, words.nothing_changes(self.table)
        width = {site.name: bits[site.name] for site in changed}
        alone = choice_plan(base, changed, width, self.clips.drawn_in(self.sites, bits, self.strength), factor)
        costs = [cost_of(model, plan, self.clock) for plan in (alone, base)]
        if factor < 0 and costs[0] > costs[1] * (1 - LEAST_SAVED):
            return None, words.too_little_gained(self.table, costs[0] / costs[1])
        if self.draft.bias_correction:
            crops = [fitted(crop, size_rule(model.graph)) for crop in few(self.draft.crops, MOST_CROPS)]
            alone = corrected(alone, model, crops, done)
        judge = self.trials.judge
        noise = [judge.noise(plan) for plan in (alone, base)]
        if factor > 0 and noise[0] > noise[1] * (1 - LEAST_LESS):
            return None, words.NO_BETTER
        if factor < 0 and noise[0] > limit:
            return None, words.too_much_lost(model, noise[0])
        return alone, words.alone_words(model, alone, self.table, costs[0] / costs[1], noise[0])


def _names(sites: Sequence[Site]) -> tuple[str, ...]:
    return tuple(site.name for site in sites)


def _of_the_picture(draft: Draft, plan: Plan) -> tuple[str, ...]:
    return tuple(name for name in read_at_8_bits(draft.model, plan) if name not in draft.pins)


def _share(draft: Draft, plan: Plan) -> float:
    shares = macs_shares(draft.model)
    return sum(shares[name] for name in _of_the_picture(draft, plan))


def trials_of(draft: Draft) -> Trials:
    """As many crops as a trial may cost, fewer and smaller ones for large networks."""
    model, rule = draft.model, size_rule(draft.model.graph)
    shown, macs = draft.held or draft.crops, float(macs_per_pixel(draft.model.graph))
    whole = spaced(shown, JUDGED_CROPS)
    if macs * sum(crop.shape[0] * crop.shape[1] for crop in whole) > TRIAL_WORK:
        whole = few(shown, int(np.clip(TRIAL_WORK / (macs * FEW_SIZE**2), LEAST_CROPS, JUDGED_CROPS)))
    used = few(draft.crops, few_for(model, len(model.graph.nodes))) if draft.bias_correction else []
    return Trials(make_judge(model, whole), [fitted(crop, rule) for crop in used])


def _table(
    draft: Draft,
    how: Adaptation,
    plan: Plan,
    sites: Sequence[Site],
    picture: Site,
    clips: Clips,
    clock: Clock | None,
) -> Table:
    """What bits of these sites are worth."""
    base, whole = draft.bits, (*sites, picture)
    by_layer = how.weight_bits is WeightBits.LAYER
    layers = [name for site in whole for name in site.readers]
    layers = layers if base.weights < FULL_BITS and (how.most_kept > 0 or by_layer) else []
    found = sensed(draft, how, plan, sites, clips, layers, base)
    if clock is None:
        costs = bit_costs(whole, [base.weights, FULL_BITS])
        return Table(tuple(sites), found.sites, found.weights, costs, Costs.BITS)
    looked = [base.weights, clamped(base.weights + 1)] if by_layer else [base.weights]
    costs = time_costs(draft.model, plan, whole, clock, looked)
    return Table(tuple(sites), found.sites, found.weights, costs, Costs.TIME, clock.where)
