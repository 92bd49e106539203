"""Plans with several choices of bits: their graphs, and which of them a picture goes through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tvmsr.quant.bind import bind
from tvmsr.quant.complexity import complexity
from tvmsr.quant.plan import Plan, PlanError
from tvmsr.quant.tiles import Map, complexities

if TYPE_CHECKING:
    from tvmsr.graph.model import Model
    from tvmsr.quant.integer import IntegerGraph

#: Above every complexity.
ALL = 2**32 - 1


@dataclass(frozen=True)
class Choosing:
    """The choices of a plan by number, and how one is chosen. factors: -1, 0 or 1 of each, 0 the first.

    low, high: complexities below and above which a picture has the factor -1 and 1. tile: LR pixels a side, where each
    tile of a picture chooses; 0 where a picture chooses as a whole.
    """

    names: tuple[str, ...] = ("default",)
    factors: tuple[int, ...] = (0,)
    low: int = 0
    high: int = ALL
    tile: int = 0

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """(complexity, choice) in ascending order: the first whose complexity is above the picture's chooses."""
        numbers = {factor: number for number, factor in enumerate(self.factors)}
        rows = [(self.low, numbers.get(-1, 0)), (self.high + 1, 0), (ALL, numbers.get(1, 0))]
        return tuple(row for row, after in zip(rows, [*rows[1:], (0, -1)], strict=True) if row[1] != after[1])

    def of(self, picture: NDArray[np.uint8]) -> int:
        """The choice of a picture (H, W, 3), (H, W, 4) or (H, W), uint8: in tiles, the one that most of them have.

        The first of several.
        """
        if self.tile:
            return int(np.bincount(self.of_tiles(picture).reshape(-1)).argmax())
        return self._by(complexity(picture)) if len(self.names) > 1 else 0

    def of_tiles(self, picture: NDArray[np.uint8]) -> Map:
        """The choice of each of its tiles, (rows, columns) of tiles: of a picture that chooses as a whole, one."""
        if self.tile == 0:
            return np.full((1, 1), self.of(picture), np.uint8)
        return np.vectorize(self._by, otypes=[np.uint8])(complexities(picture, self.tile))

    def _by(self, found: int) -> int:
        return next(choice for below, choice in self.bounds if found < below)


#: Of a plan that has one choice.
ONE = Choosing()


def choosing_of(plan: Plan) -> Choosing:
    """How an artifact of the plan chooses."""
    if plan.adaptive is None:
        return ONE
    adaptive = plan.adaptive
    names = (adaptive.base, *(choice.name for choice in adaptive.choices))
    factors = (0, *(choice.factor for choice in adaptive.choices))
    return Choosing(names, factors, adaptive.low, adaptive.high, adaptive.tile if adaptive.mode == "tile" else 0)


def bind_choices(model: Model, plan: Plan) -> tuple[IntegerGraph, ...]:
    """A graph for each choice, that of the plan itself first; of a plan with one choice, what `bind` makes.

    All have the same weight codes. Raises PlanError, with the choice's name, where one cannot be met or would need
    others.
    """
    graphs = [bind(model, plan.of_choice(0))]
    for number, name in enumerate(choosing_of(plan).names[1:], 1):
        try:
            graphs.append(bind(model, plan.of_choice(number)))
        except PlanError as error:
            raise PlanError(f"{error} (in the choice {name!r})") from None
        _check_weights(graphs[0], graphs[number], name)
    return tuple(graphs)


def _check_weights(base: IntegerGraph, other: IntegerGraph, name: str) -> None:
    """Nobody gave the choice weights of its own, but ranges that the same weights do not fit."""
    own = {node.name: node for node in base if node.op == "conv"}
    for node in other:
        if node.op == "conv" and not np.array_equal(node.params["weight"], own[node.name].params["weight"]):
            raise PlanError(
                f"plan: layers.{node.name}: the choice {name!r} would need other weight codes than the plan itself, as "
                "its sums would not fit int32 or the plan has no weight_scales: narrow its inputs, or give scales"
            )
