"""Give the layers that carry most of the noise 12 activation bits, where 8 bits everywhere would lose too much.

What a layer saves is measured for each alone, on a few small crops; the layers that save most for their work are
widened together, as many as it takes, which is measured again on all crops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tvmsr.errors import UsageError
from tvmsr.graph.analysis import macs_by_node
from tvmsr.graph.model import INPUT, Node
from tvmsr.quant.judge import Judge, expected_drop
from tvmsr.quant.plan import Plan
from tvmsr.quant.structure import Structure

#: As good as 16, and what 3x3 convolutions can still compute by a transform: winograd2_words takes up to 13.
WIDE = 12
#: Layers that save less than this share of the noise are left alone; and where the aim is out of reach, as many are
#: widened as leave at most this much more than all would.
LEAST_SAVED, ENOUGH = 0.005, 1.03
#: A layer of no size still costs something: wide codes are stored and read. As a share of all multiplications.
OVERHEAD = 0.02


@dataclass(frozen=True)
class Candidate:
    """A layer: the share of the noise that it saves alone, and its share of all multiplications."""

    name: str
    saved: float
    macs: float

    @property
    def worth(self) -> float:
        return self.saved / (self.macs + OVERHEAD)

    @property
    def reason(self) -> str:
        """In words, for the plan."""
        return f"{WIDE} activation bits: alone it saves {self.saved:.1%} of the noise, for {self.macs:.1%} of the MACs"


def candidates(structure: Structure) -> list[Node]:
    """Convolutions whose input could be wider: all over pixels but those that read the picture or the output."""
    return [
        node
        for node in structure.graph
        if structure.weighs_pixels(node) and structure.source[node.inputs[0]] not in (INPUT, structure.output)
    ]


def measured(
    judge: Judge, structure: Structure, replan: Callable[[Mapping[str, int]], Plan], done: Callable[[], None]
) -> list[Candidate]:
    """The candidates that save anything, best first: what each saves for its work."""
    macs = {name: float(count) for name, count in macs_by_node(judge.model.graph).items()}
    before, everything, found = judge.noise(replan({})), sum(macs.values()), []
    for node in candidates(structure):
        try:
            saved = 1 - judge.noise(replan({node.name: WIDE})) / before if before > 0 else 0.0
        except UsageError:  # the user's own pins leave no wider reading for it
            saved = 0.0
        if saved > LEAST_SAVED:
            found.append(Candidate(node.name, saved, macs[node.name] / everything))
        done()
    return sorted(found, key=lambda c: c.worth, reverse=True)


def fewest(
    judge: Judge, order: Sequence[Candidate], replan: Callable[[Mapping[str, int]], Plan], max_drop: float
) -> int:
    """How many of the candidates, from the first on, it takes to lose at most `max_drop` dB, or next to what all do."""
    noise: dict[int, float] = {}

    def of(count: int) -> float:
        if count not in noise:
            noise[count] = judge.noise(replan(pins_of(order[:count])))
        return noise[count]

    def is_enough(count: int) -> bool:
        return expected_drop(of(count), judge.model.scale) <= max_drop or of(count) <= ENOUGH * of(len(order))

    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return high


def pins_of(chosen: Sequence[Candidate]) -> dict[str, int]:
    return {candidate.name: WIDE for candidate in chosen}


def reusing(plan: Plan, done: Plan) -> Plan:
    """The plan with the weight codes and bias corrections of another, where its weights have the same scales."""
    layers = {}
    for name, layer in plan.layers.items():
        other = done.layers[name]
        same = layer.weight_scales == other.weight_scales and layer.weight_bits == other.weight_bits
        known = {"weight_codes": other.weight_codes, "bias_correction": other.bias_correction}
        layers[name] = layer.model_copy(update=known) if same else layer
    return plan.model_copy(update={"layers": layers})
