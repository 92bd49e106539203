"""Thresholds of complexity, fitted: as many flat and busy pictures as leave least noise, at no more cost than before.

Published AdaBM moves both thresholds along gradients of a soft factor, and holds the mean bit by a second loss. Here
the cost may not rise, so that one number is free, the share of busy pictures, and every value of it is looked at. Crops
say what each choice's noise is: its logarithm is taken as a line over the logarithm of complexity, and so known for the
pictures that complexities were measured of, which are those that the thresholds divide. Each of them counts the same,
whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import abreast
from tvmsr.graph.model import Model
from tvmsr.quant.adabm import words
from tvmsr.quant.adabm.choices import Thresholds, parting
from tvmsr.quant.adabm.figures import figures
from tvmsr.quant.adaptive import bind_choices, choosing_of
from tvmsr.quant.complexity import complexity, of_published
from tvmsr.quant.draft import Progress, ticker
from tvmsr.quant.judge import affordable, make_judge
from tvmsr.quant.plan import Plan, noted

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

#: Per cent of the pictures that are flat, and that are busy: between these.
LEAST, MOST = 5, 30
#: Of the noise, that thresholds have to take away on the crops held back: lines over so few crops are not sure of less.
LEAST_LESS = 0.02
#: Crops that a line is over: so many, their logarithms of complexity so far apart (standard deviation). Flatter ones
#: than LEAST_BUSY do not count, as those of one colour would pull a line to themselves. LEAST_NOISE: of one, in squared
#: gray levels; storing bytes makes more.
LEAST_CROPS, LEAST_SPREAD = 6, 0.25
LEAST_BUSY, LEAST_NOISE = of_published(1.0), 0.01
#: Sums of floats differ in the last digits.
_ROUNDING = 1 + 1e-9
_FACTORS = (-1, 0, 1)


@dataclass(frozen=True, eq=False)
class Pictures:
    """complexities: of the pictures that choose, (N,). costs: of one with factor -1, 0 and 1, (3,), in any unit."""

    complexities: F64
    costs: F64

    def factors(self, low: int, high: int) -> NDArray[np.int64]:
        """0, 1 and 2 for -1, 0 and 1, (N,)."""
        return np.where(self.complexities < low, 0, np.where(self.complexities > high, 2, 1))

    def shares(self, low: int, high: int) -> F64:
        """Of the pictures, by factor (3,)."""
        return np.bincount(self.factors(low, high), minlength=3) / len(self.complexities)

    def cost(self, low: int, high: int) -> float:
        """The mean over pictures."""
        return float(self.shares(low, high) @ self.costs)

    def noise(self, lines: F64, low: int, high: int) -> float:
        """The mean over pictures, in squared gray levels. lines: (2, 3), see `lines_of`."""
        each = np.exp(_over(self.complexities) @ lines)
        return float(np.take_along_axis(each, self.factors(low, high)[:, None], axis=1).mean())

    def candidates(self, limit: float) -> Iterator[tuple[int, int]]:
        """(low, high): of each share of busy pictures, with as few flat ones as keep the cost within the limit."""
        cuts = [round(float(cut)) for cut in np.percentile(self.complexities, range(101))]
        for busy in range(LEAST, MOST + 1):
            pairs = ((cuts[flat], cuts[100 - busy]) for flat in range(LEAST, MOST + 1))
            yield from islice((pair for pair in pairs if self._part(*pair) and self._within(limit, *pair)), 1)

    def _part(self, low: int, high: int) -> bool:
        """Whether every factor has pictures: many that are alike may be cut all at once."""
        return low < high and bool(min(self.shares(low, high)) >= LEAST / 100)

    def _within(self, limit: float, low: int, high: int) -> bool:
        return self.cost(low, high) <= limit * _ROUNDING


def lines_of(complexities: Sequence[int], noises: F64) -> F64 | None:
    """Least squares of log noise over (1, log complexity): noises (crops, choices) -> (2, choices).

    None of crops that are too few or too much alike.
    """
    known = np.array(complexities, np.float64)
    counts = known >= LEAST_BUSY
    if counts.sum() < LEAST_CROPS or np.log(known[counts]).std() < LEAST_SPREAD:
        return None
    logarithms = np.log(np.maximum(noises[counts], LEAST_NOISE))
    return np.asarray(np.linalg.lstsq(_over(known[counts]), logarithms, rcond=None)[0])


def _over(complexities: F64) -> F64:
    """What a line is over: 1, log complexity, (N, 2)."""
    return np.stack([np.ones_like(complexities), np.log(np.maximum(complexities, LEAST_BUSY))], axis=1)


@abreast()
def with_fitted(
    model: Model,
    plan: Plan,
    crops: Sequence[U8],
    held: Sequence[U8],
    complexities: Sequence[int],
    progress: Progress | None = None,
) -> Plan:
    """The plan with fitted thresholds, where crops that were held back find them better, too; a note says what came.

    crops, held: LR pictures, uint8 (H, W, 3). complexities: of pictures, or tiles, that choose; those of the crops
    where there are none. A plan without choices is given back as it is.
    """
    if plan.adaptive is None:
        return plan
    choosing = choosing_of(plan)
    known = list(complexities) or [complexity(crop) for crop in (*crops, *held)]
    if len(choosing.names) < len(_FACTORS):
        return noted(plan, words.ONE_SIDED)
    if parting(known) is None:
        return noted(plan, words.NO_SPREAD)
    order = [choosing.factors.index(factor) for factor in _FACTORS]
    done = ticker(progress, "thresholds", 2 * len(order))
    finds, decides = (_lines(model, plan, order, some, done) for some in (crops, held))
    if finds is None or decides is None:
        return noted(plan, words.NO_LINES)
    costs = np.array([figures(model, plan, number).bit_operations for number in order])
    pictures = Pictures(np.array(known, np.float64), costs)
    found = _better(pictures, finds, decides, (choosing.low, choosing.high))
    if found is None:
        return noted(plan, words.NOT_BETTER)
    update = {"low": found.low, "high": found.high}
    notes = [words.threshold_words(found) if note.startswith(words.THRESHOLDS) else note for note in plan.notes]
    return plan.model_copy(update={"adaptive": plan.adaptive.model_copy(update=update), "notes": notes})


def _better(pictures: Pictures, finds: F64, decides: F64, now: tuple[int, int]) -> Thresholds | None:
    """finds, decides: lines of the crops that find thresholds, and of those that decide on them. None: those of now."""
    tried = [*pictures.candidates(pictures.cost(*now)), now]
    best = min(tried, key=lambda pair: pictures.noise(finds, *pair))
    saved = 1 - pictures.noise(decides, *best) / pictures.noise(decides, *now)
    if saved < LEAST_LESS:
        return None
    new, old = ((float(shares[0]), float(shares[2])) for shares in (pictures.shares(*pair) for pair in (best, now)))
    return Thresholds(*best, words.fitted_words(new, old, len(pictures.complexities), saved))


def _lines(model: Model, plan: Plan, order: Sequence[int], crops: Sequence[U8], done: Callable[[], None]) -> F64 | None:
    """`lines_of` what the choices of these numbers lose on crops, run by the reference executor. done: after each."""
    graphs, judge, found = bind_choices(model, plan), make_judge(model, affordable(crops, model)), []
    for number in order:
        found.append(judge.noises(graphs[number]))
        done()
    return lines_of([complexity(crop) for crop in judge.crops], np.array(found).T)
