"""Plain `--bits auto`: the fastest plan within a drop, or the best one within a time (frontier.py has the walk).

It starts at the plan of 8 bits. Every plan on the way has its weights and biases measured before it is judged on crops
that were held back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tvmsr.quant.adabm import walk_words as words
from tvmsr.quant.adabm.adapt import STRENGTHS, Work, trials_of
from tvmsr.quant.adabm.adaptation import Adaptation
from tvmsr.quant.adabm.clips import Clips, clips_of
from tvmsr.quant.adabm.figures import SETTINGS, figures
from tvmsr.quant.adabm.frontier import AS_GOOD, FULL, MOST_TRIED, POINTS, Frontier, Line, Point, bits_after, steps_of
from tvmsr.quant.adabm.maps import clamped
from tvmsr.quant.adabm.sense import middles, sensed
from tvmsr.quant.adabm.sites import FULL_BITS, Site, sites_of, with_bits, with_weight_bits
from tvmsr.quant.adabm.staircase import LEAST_FASTER, stairs
from tvmsr.quant.adabm.table import (
    SITE_BITS,
    Costs,
    Sensitivity,
    Table,
    bit_costs,
    cost_of,
    deviations,
)
from tvmsr.quant.bits import Bits
from tvmsr.quant.coarsened import with_coarsening
from tvmsr.quant.draft import SoFar, Tell, ticker
from tvmsr.quant.judge import Judge, expected_drop, psnr_of, typical_error
from tvmsr.quant.plan import Plan
from tvmsr.quant.rounding import Rounding, ways_for
from tvmsr.quant.verdict import judged, loss_words
from tvmsr.quant.widen import Clock

if TYPE_CHECKING:
    from tvmsr.quant.calibrate import Draft

#: Bits at which noise is measured: those that are cheaper, where any are.
MEASURED = Bits(6, LEAST_FASTER)


@dataclass(frozen=True)
class Budget:
    """milliseconds: what a picture may take. time: times a plan, in milliseconds. words: of what, and where."""

    milliseconds: float
    time: Callable[[Plan], float]
    words: str


def within_drop(draft: Draft, how: Adaptation, eight: Plan, max_drop: float, tell: Tell) -> Plan:
    """The plan of least cost whose expected drop is at most `max_drop` dB; that of 8 bits, `eight`, if that is not.

    A choice for flat pictures keeps to the drop, too, on the crops held back. tell: is given each plan on the way that
    is within it, the cheapest last.
    """
    walk = _Walk.begin(draft, how, eight, tell)
    limit = typical_error(draft.model.scale) * (10 ** (max_drop / 10) - 1)
    count = walk.line.furthest(lambda n: walk.noise(n, limit), limit)
    found = judged(walk.judge, walk.noise(count), max_drop, held=bool(draft.held))
    said = words.missed_words(found) if walk.noise(count) > limit else None
    plan = walk.finished(count, [said] if said else words.within_drop_words(walk.frontier(count), max_drop))
    plan = plan.model_copy(update={"judged": found, "notes": [*plan.notes, loss_words(found)]})
    return walk.work_after(count).with_choices(plan, limit) if how.pictures and walk.line.steps else plan


def within_time(draft: Draft, how: Adaptation, eight: Plan, budget: Budget, tell: Tell) -> Plan:
    """The plan of least noise that takes at most the budget; the fastest, and a note, where none does.

    It has no choices by picture: one for busy pictures would take longer. eight, tell: as in `within_drop`.
    """
    walk = _Walk.begin(draft, how, eight, tell)
    walk.noise(0)
    count = walk.line.first_within(lambda n: walk.time(n, budget.time), budget.milliseconds)
    chosen = walk.fastest(budget.time) if count is None else count
    walk.noise(chosen)
    frontier = walk.frontier(chosen)
    return walk.finished(chosen, words.within_time_words(frontier, budget.milliseconds, budget.words))


@dataclass(frozen=True, eq=False)
class _Free(Work):
    """Sites with bits of their own, weights too, as far as they are not those of 8 bits."""

    chosen: Mapping[str, Bits] = field(default_factory=dict)

    def bits(self, factor: int = 0) -> dict[str, int]:
        """Activation bits by site, for pictures of the factor."""
        return {
            site.name: self.table.free(site, Bits(clamped(own.activations + factor), own.weights))
            for site in self.sites
            for own in (self.chosen.get(site.name, FULL),)
        }

    def assembled(self, *, fine: bool = False) -> Plan:
        """The plan with its bits and ranges, weights to the nearest. fine: all weights have 8 bits."""
        bits = self.bits()
        changed = [site for site in self.sites if self.chosen.get(site.name, FULL) != FULL]
        reasons = {site.name: words.option_words(self.table, site, self.chosen[site.name]) for site in changed}
        plan = with_bits(self.plan, changed, bits, self.clips.drawn_in(changed, bits, self.strength), reasons)
        if fine:
            return plan
        for site in changed:
            width = self.chosen[site.name].weights
            if width < FULL_BITS:
                plan = with_weight_bits(self.draft.model, plan, dict.fromkeys(site.readers, width), reasons[site.name])
        return plan


@dataclass(frozen=True, eq=False)
class _Walk:
    """made, noises, times: what was looked at, by the number of steps. ways: the way of rounding, once it is known."""

    work: _Free
    line: Line
    judge: Judge
    tell: Tell
    done: Callable[[], None]
    made: dict[int, Plan]
    ways: list[Rounding] = field(default_factory=list)
    noises: dict[int, float] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)

    @classmethod
    def begin(cls, draft: Draft, how: Adaptation, eight: Plan, tell: Tell) -> _Walk:
        """Measure what bits are worth. eight: the plan of 8 bits, its weights and biases measured."""
        model = draft.model
        sites = [site for site in sites_of(model, eight, draft.pins) if site.readers]
        seen = middles(draft)
        clips = clips_of(model.graph, eight, sites, seen, ticker(draft.progress, "clipping", len(seen)))
        clock = draft.usable_clock(eight) if how.costs is Costs.TIME else None
        table = _table(draft, how, eight, sites, clips, clock)
        factors = dict.fromkeys((site.name for site in sites), 0)
        work = _Free(draft, how, eight, sites, clips, table, trials_of(draft), (), 0.0, factors, clock)
        line = Line(steps_of(table))
        work = replace(work, strength=_strength(work, line))
        return cls(work, line, draft.judge(), tell, ticker(draft.progress, "frontier", MOST_TRIED + 4), {0: eight})

    def work_after(self, count: int) -> _Free:
        return replace(self.work, chosen=bits_after(self.work.sites, self.line.steps[:count]))

    def bare(self, count: int) -> Plan:
        """The plan after so many steps, weights to the nearest; of none, that of 8 bits as it was given."""
        return self.made[0] if count == 0 else self.work_after(count).assembled()

    def plan(self, count: int) -> Plan:
        """The plan after so many steps, weights and biases measured; the first tells which way of that is the best."""
        if count not in self.made:
            bare, adjusted = self.bare(count), self.work.draft.adjusted
            if not self.ways:
                tried = [(adjusted(bare, way), way) for way in ways_for(bare)]
                self.made[count], best = min(tried, key=lambda one: self.judge.noise(one[0]))
                self.ways.append(best)
            else:
                self.made[count] = adjusted(bare, self.ways[0])
        return self.made[count]

    def noise(self, count: int, limit: float = float("inf")) -> float:
        """Of the plan after so many steps; one within the limit is told of."""
        if count not in self.noises:
            self.noises[count] = self.judge.noise(self.plan(count))
            if self.noises[count] <= limit:
                drop = expected_drop(self.noises[count], self.judge.model.scale)
                self.tell(SoFar(self.plan(count), drop))
            self.done()
        return self.noises[count]

    def time(self, count: int, measure: Callable[[Plan], float]) -> float:
        """In milliseconds: nothing but bits decides on it."""
        if count not in self.times:
            self.times[count] = measure(with_coarsening(self.work.draft.model, self.bare(count)))
            self.done()
        return self.times[count]

    def fastest(self, measure: Callable[[Plan], float]) -> int:
        """The fewest steps that are as fast as any that were timed, all of them among these: not each has to save."""
        self.time(len(self.line.steps), measure)
        least = min(self.times.values())
        return min(count for count, time in self.times.items() if time <= least * (1 + AS_GOOD))

    def frontier(self, chosen: int) -> Frontier:
        """All that was looked at."""
        looked = sorted({*self.noises, *self.times, chosen})
        return Frontier(tuple(self._point(count, count == chosen) for count in looked), self.work.table.where)

    def _point(self, count: int, chosen: bool) -> Point:
        model, plan, noise = self.work.draft.model, self.made.get(count) or self.bare(count), self.noises.get(count)
        found = figures(model, plan)
        costs = [cost_of(model, one, self.work.clock) for one in (plan, self.made[0])]
        return Point(
            cost=round(costs[0] / costs[1], 4),
            activations=round(found.activations, 3),
            weights=round(found.weights, 3),
            drop=None if noise is None else round(expected_drop(noise, model.scale), 4),
            psnr=None if noise is None else round(psnr_of(noise), 2),
            milliseconds=None if count not in self.times else round(self.times[count], 3),
            chosen=chosen,
        )

    def finished(self, count: int, notes: Sequence[str]) -> Plan:
        """The plan after so many steps, with what it says of its making."""
        work, plan = self.work, with_coarsening(self.work.draft.model, self.plan(count))
        said: dict[str, Any] = {
            "base": "auto",
            "costs": work.table.costs.value,
            "where": work.table.where,
            "sensitivity": work.how.sensitivity.value,
            "kept": [],
            "clipping": work.strength,
            "layer_factors": {},
            POINTS: [asdict(point) for point in self.frontier(count).points],
        }
        settings = {**plan.settings, SETTINGS: said}
        return plan.model_copy(update={"bits": "auto", "settings": settings, "notes": [*plan.notes, *notes]})


def _strength(work: _Free, line: Line) -> float:
    """How far ranges are drawn in: what leaves least noise where all steps are taken."""
    if not work.how.clipping or not line.steps:
        return 0.0
    last = replace(work, chosen=bits_after(work.sites, line.steps))
    return min(STRENGTHS, key=lambda strength: last.trials.noise(replace(last, strength=strength).assembled(fine=True)))


def _table(
    draft: Draft, how: Adaptation, plan: Plan, sites: Sequence[Site], clips: Clips, clock: Clock | None
) -> Table:
    """What all bits of these sites are worth, weights too."""
    model, layers = draft.model, [name for site in sites for name in site.readers]
    found = sensed(draft, how, plan, sites, clips, layers, MEASURED)
    noise, weights = found.sites, found.weights
    if how.sensitivity is Sensitivity.DEVIATION:
        noise = deviations(model.graph, sites, middles(draft))
    if clock is None:
        return Table(tuple(sites), noise, weights, bit_costs(sites, SITE_BITS), Costs.BITS)
    return Table(tuple(sites), noise, weights, stairs(model, plan, sites, clock), Costs.TIME, clock.where)
