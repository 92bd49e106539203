"""Give the layers that carry most of the noise 12 activation bits, where 8 bits everywhere would lose too much.

What a layer saves is measured for each alone, on a few small crops; the layers that save most for what they cost are
widened together, as many as it takes, which is measured again on all crops, with weights adjusted to them. Cost is
modelled time where the CPU is known that the network is for, else multiplications.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tvmsr.errors import UsageError, WorkError
from tvmsr.graph.analysis import macs_by_node
from tvmsr.graph.model import INPUT, Graph, Model, Node
from tvmsr.quant.bind import bind
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.judge import Judge, expected_drop
from tvmsr.quant.plan import Plan, Wider
from tvmsr.quant.streams import bits_read
from tvmsr.quant.structure import Structure, analyse

#: As good as 16, and what 3x3 convolutions can still compute by a transform: winograd2_words takes up to 13.
WIDE = 12
#: Layers that save less than this share of the noise are left alone; and where the aim is out of reach, as many are
#: widened as leave at most this much more than all would.
LEAST_SAVED, ENOUGH = 0.005, 1.03
#: A layer of no size still costs something: wide codes are stored and read. As a share of all multiplications or time.
OVERHEAD = 0.02


@dataclass(frozen=True)
class Clock:
    """The cost model of a CPU level. where: its name; cycles: what a graph takes, by layer, in any unit."""

    where: str
    cycles: Callable[[IntegerGraph], Mapping[str, float]]


@dataclass(frozen=True)
class Candidate:
    """A layer: the share of the noise that it saves alone, and its share of all multiplications.

    slower: what it adds to the modelled time alone, as a share of that; None where no model was asked.
    """

    name: str
    saved: float
    macs: float
    slower: float | None = None
    where: str = ""

    @property
    def worth(self) -> float:
        cost = self.macs if self.slower is None else max(self.slower, 0.0)
        return self.saved / (cost + OVERHEAD)

    @property
    def reason(self) -> str:
        """In words, for the plan."""
        time = "" if self.slower is None else f" and {self.slower:+.1%} of modelled time on {self.where}"
        return f"alone it saves {self.saved:.1%} of the noise, for {self.macs:.1%} of the MACs{time}"


def candidates(structure: Structure) -> list[Node]:
    """Convolutions whose input could be wider: all over pixels but those that read the picture or the output."""
    return [
        node
        for node in structure.graph
        if structure.weighs_pixels(node) and structure.source[node.inputs[0]] not in (INPUT, structure.output)
    ]


def measured(
    judge: Judge,
    structure: Structure,
    replan: Callable[[Mapping[str, int]], IntegerGraph],
    done: Callable[[], None],
    clock: Clock | None = None,
) -> list[Candidate]:
    """The candidates that save anything, best first: what each saves for its cost.

    replan: the network with the activation bits given that these layers read.
    """
    shares, found, first = macs_shares(judge.model), [], replan({})
    known = judge.known(first)
    before, time = judge.noise_of(known), _time(clock, first)
    for node in candidates(structure):
        saved, slower = 0.0, None
        try:
            wider = replan({node.name: WIDE})
            saved = 1 - judge.noise_beside(wider, known) / before if before > 0 else 0.0
            if clock is not None and saved > LEAST_SAVED:
                slower = _time(clock, wider) / time - 1
        except (UsageError, WorkError):  # the user's own pins leave no wider reading for it, or no kernel can read it
            saved = 0.0
        if saved > LEAST_SAVED:
            found.append(Candidate(node.name, saved, shares[node.name], slower, clock.where if clock else ""))
        done()
    return sorted(found, key=lambda c: c.worth, reverse=True)


def macs_shares(model: Model) -> dict[str, float]:
    """Of all multiplications, by convolution."""
    macs = {name: float(count) for name, count in macs_by_node(model.graph).items()}
    everything = sum(macs.values())
    return {name: count / everything for name, count in macs.items()}


def _time(clock: Clock | None, graph: IntegerGraph) -> float:
    return sum(clock.cycles(graph).values()) if clock is not None else 0.0


def what_is_wider(model: Model, names: Sequence[str], before: Plan, after: Plan, clock: Clock | None) -> Wider:
    """What these layers are of the network, and what they cost: `before` has none of them wider, `after` all."""
    shares, layers = macs_shares(model), _bits_by_layer(after, model.graph, names)
    macs = sum(shares[name] for name in layers)
    if clock is None:
        return Wider(layers=layers, macs=_rounded(macs))
    cycles = clock.cycles(bind(model, after))
    everything = sum(cycles.values())
    return Wider(
        layers=layers,
        macs=_rounded(macs),
        time=_rounded(sum(cycles.get(name, 0.0) for name in layers) / everything),
        slower=_rounded(everything / _time(clock, bind(model, before))),
        where=clock.where,
    )


def _rounded(share: float) -> float:
    return round(share, 4)


def _bits_by_layer(plan: Plan, graph: Graph, layers: Sequence[str]) -> dict[str, int]:
    """Activation bits that these convolutions read."""
    structure = analyse(graph)
    tensors, reads = ({name: code.bits for name, code in codes.items()} for codes in (plan.tensors, plan.reads))
    stream = {name for name, layer in plan.layers.items() if layer.reads_stream}
    return {name: bits_read(structure, tensors, reads, stream, name) for name in layers}


def fewest(
    judge: Judge, order: Sequence[Candidate], replan: Callable[[Mapping[str, int]], IntegerGraph], max_drop: float
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


@dataclass(frozen=True, eq=False)
class Widened:
    """A plan with wider layers and the noise that the judge finds in it."""

    plan: Plan
    noise: float


def fewest_adjusted(
    adjusted: Callable[[int], Widened], enough: int, meets: Callable[[Widened], bool]
) -> tuple[int, Widened]:
    """How many of the candidates, at most `enough`, it takes once weights are adjusted to them, too; and that plan.

    adjusted: the plan with so many. Weights that know of the wider layers lose less, so fewer may do; where not even
    `enough` meet the limit, those are it. Not none: that was looked at before.
    """
    found = {enough: adjusted(enough)}
    low, high = 1, enough
    while low < high and meets(found[enough]):
        middle = (low + high) // 2
        found[middle] = adjusted(middle)
        low, high = (low, middle) if meets(found[middle]) else (middle + 1, high)
    count = high if meets(found[enough]) else enough
    return count, found[count]


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
