"""Plans from 8 bits everywhere to the fewest that a target gains by, in the order in which bits are worth giving up.

Each site has options: the bits of its activations and of the weights of what reads it, from 8 and 8 down, each the
cheaper one that adds least noise for what it saves. The steps of all sites, in the order of that, are a line: so many
of them make a plan. How far along it one may go is measured: with the noise of plans, or with their time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from tvmsr.quant.adabm.figures import SETTINGS
from tvmsr.quant.adabm.sites import FULL_BITS, Site
from tvmsr.quant.adabm.table import Table
from tvmsr.quant.bits import Bits
from tvmsr.quant.plan import Plan

FULL = Bits(FULL_BITS, FULL_BITS)
#: What a step saves at least, as a share of the whole network's cost: less is not what a model can tell.
LEAST_SAVED = 1e-4
#: Plans that are made on the way at most; and two of them that are less apart in cost are as good as one.
MOST_TRIED, AS_GOOD = 8, 0.01
#: What is expected says which plans are made first; after so many, halves of what is left are tried.
TRUSTED = 4
#: A plan that is expected to have so many times the noise that is allowed is not made.
HOPELESS = 1.2
#: Of Plan.settings[SETTINGS]: where the points of a frontier are.
POINTS = "frontier"


@dataclass(frozen=True)
class Option:
    """Bits of a site. noise: squared gray levels over those of 8 bits; cost: as a share of the network's at 8 bits."""

    bits: Bits
    noise: float
    cost: float


@dataclass(frozen=True)
class Step:
    """One site takes its next option. saved: of the network's cost; added: noise."""

    site: str
    option: Option
    saved: float
    added: float

    @property
    def price(self) -> float:
        """Noise for what is saved."""
        return self.added / self.saved


def options_of(table: Table, site: Site) -> tuple[Option, ...]:
    """8 bits, then each option that adds least noise for what it saves, on from the one before."""
    noise, cost = table.noise[site.name], table.cost[site.name]

    def option(bits: Bits) -> Option:
        weights = [table.weights[name] for name in site.readers if name in table.weights]
        added = noise[bits.activations] - noise[FULL_BITS]
        added += sum(one[bits.weights] - one[FULL_BITS] for one in weights)
        return Option(bits, max(added, 0.0), cost[bits])

    found, left = [option(FULL)], [option(bits) for bits in cost if bits != FULL]
    while left := [one for one in left if one.cost < found[-1].cost - LEAST_SAVED]:
        last = found[-1]
        found.append(min(left, key=lambda one: ((one.noise - last.noise) / (last.cost - one.cost), one.cost)))
    return tuple(found)


def steps_of(table: Table) -> tuple[Step, ...]:
    """Those of all sites, the least noise for what is saved first."""
    steps = []
    for site in table.sites:
        options = options_of(table, site)
        for before, after in pairwise(options):
            steps.append(Step(site.name, after, before.cost - after.cost, max(after.noise - before.noise, 0.0)))
    return tuple(sorted(steps, key=lambda step: step.price))


def bits_after(sites: Sequence[Site], steps: Sequence[Step]) -> dict[str, Bits]:
    """Bits of all sites when these steps are taken."""
    bits = {site.name: FULL for site in sites}
    return bits | {step.site: step.option.bits for step in steps}


@dataclass(frozen=True)
class Line:
    """Steps, and what so many of them make expect: cost as a share of that at 8 bits, noise over that of 8 bits."""

    steps: tuple[Step, ...]

    def cost(self, count: int) -> float:
        return 1 - sum(step.saved for step in self.steps[:count])

    def noise(self, count: int) -> float:
        return sum(step.added for step in self.steps[:count])

    def furthest(self, noise_of: Callable[[int], float], limit: float) -> int:
        """How many steps stay within the limit of noise. noise_of: measures what so many make; of 0, once, first.

        What is measured corrects what is expected, from plan to plan.
        """
        low, high, ratio, start = 0, len(self.steps) + 1, 1.0, noise_of(0)
        if start > limit:
            return 0
        for tried in range(MOST_TRIED):
            if high - low <= 1 or self.cost(low) - self.cost(high - 1) < AS_GOOD:
                break
            if low and start + ratio * self.noise(low + 1) > HOPELESS * limit:
                break
            guess = max(n for n in range(high) if start + ratio * self.noise(n) <= limit)
            guess = min(max(guess, low + 1), high - 1) if tried < TRUSTED else (low + high) // 2
            found = noise_of(guess)
            low, high = (guess, high) if found <= limit else (low, guess)
            if self.noise(guess) > 0:
                ratio = max(found - start, 0.0) / self.noise(guess)
        return low

    def first_within(self, time_of: Callable[[int], float], limit: float) -> int | None:
        """The fewest steps that take no more time than the limit; None where not even all do.

        time_of: measures what so many take; of 0, once, first. What steps turn out to save corrects what is expected.
        """
        whole, gain = time_of(0), 1.0
        if whole <= limit:
            return 0
        low, high = 0, len(self.steps) + 1
        for tried in range(MOST_TRIED):
            if high - low <= 1 or (high <= len(self.steps) and self.cost(low) - self.cost(high) < AS_GOOD):
                break
            rest = range(low + 1, min(high, len(self.steps) + 1))
            expected = (n for n in rest if whole * (1 - gain * (1 - self.cost(n))) <= limit)
            guess = next(expected, rest[-1]) if tried < TRUSTED else rest[len(rest) // 2]
            found = time_of(guess)
            low, high = (low, guess) if found <= limit else (guess, high)
            gain = max(1 - found / whole, 0.0) / (1 - self.cost(guess))
        return high if high <= len(self.steps) else None


@dataclass(frozen=True)
class Point:
    """A plan that was looked at. cost: modelled, as a share of that at 8 bits; drop, psnr: in dB, as Judged has them.

    activations, weights: mean bits, weighted by multiplications; milliseconds: that it took, where it was timed.
    chosen: whether it is the plan that this is about. drop and psnr are None where it was timed only.
    """

    cost: float
    activations: float
    weights: float
    drop: float | None = None
    psnr: float | None = None
    milliseconds: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Frontier:
    """The plans that were looked at, the slowest first. where: the CPU level that cost is of, "" for bits."""

    points: tuple[Point, ...]
    where: str = ""

    @classmethod
    def of(cls, plan: Plan) -> Frontier | None:
        """What a plan says of its own making; None where it says nothing, or what cannot be read."""
        said = plan.settings.get(SETTINGS, {})
        rows = said.get(POINTS) if isinstance(said, Mapping) else None
        names = {field.name for field in fields(Point)}
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) and set(row) <= names for row in rows):
            return None
        numbers = all(isinstance(value, (int, float, type(None))) for row in rows for value in row.values())
        whole = all(row.get(name) is not None for row in rows for name in ("cost", "activations", "weights"))
        return cls(tuple(Point(**row) for row in rows), str(said.get("where", ""))) if numbers and whole else None

    @property
    def unit(self) -> str:
        """What cost is."""
        return f"modelled time on {self.where}" if self.where else "bit operations"

    def as_json(self) -> dict[str, Any]:
        return {"where": self.where, "points": [asdict(point) for point in self.points]}
