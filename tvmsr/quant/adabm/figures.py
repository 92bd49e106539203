"""What a plan is made of, in the figures that publications give: average bits, shares of the multiplications."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tvmsr.graph.model import Model
from tvmsr.quant.adabm.sites import FULL_BITS
from tvmsr.quant.bind import bind
from tvmsr.quant.ending import Ending, ended
from tvmsr.quant.integer import Code
from tvmsr.quant.plan import Plan
from tvmsr.quant.structure import analyse
from tvmsr.quant.widen import macs_shares

#: Of Plan.settings: what the method wrote down.
SETTINGS = "adabm"


@dataclass(frozen=True)
class LayerFigures:
    """Of a convolution: bits of the activations that it reads and of its weights, its share of all multiplications.

    kept: it stays at 8 bits by decision, or as it reads the picture.
    """

    activations: int
    weights: int
    macs: float
    kept: bool


@dataclass(frozen=True)
class Figures:
    """fab: feature average bit, the mean of the activation bits of all convolutions over pixels, each counting once.

    adapted_fab: the same without those kept at 8 bits, which is what is published; fab where none is left. activations,
    weights: means weighted by multiplications. bit_operations: multiplications times weight bits times activation bits,
    as a share of those at 8 bits. at_8_bits: share of the multiplications whose activations and weights have 8 bits or
    more; kept: of the layers kept at 8 bits. layers: by name, in order; on 1x1 maps and of what only moves codes none.
    """

    fab: float
    adapted_fab: float
    activations: float
    weights: float
    bit_operations: float
    at_8_bits: float
    kept: float
    layers: Mapping[str, LayerFigures]


def figures(model: Model, plan: Plan, choice: int = 0) -> Figures:
    """Of one choice of a plan. IndexError where there is none of that number; PlanError as `bind` raises it."""
    one = plan.of_choice(choice)
    structure = analyse(ended(model, one.ending or Ending.PINNED).graph)
    nodes, shares = {node.name: node for node in bind(model, one)}, macs_shares(model)
    kept = _kept(plan)
    layers = {}
    for node in structure.graph:
        if structure.weighs_pixels(node):
            bound = nodes[node.name]
            read = nodes.get(bound.inputs[0])
            bits = read.output.bits if read is not None and isinstance(read.output, Code) else FULL_BITS
            layers[node.name] = LayerFigures(
                bits, bound.weight_bits, shares[node.name], node.name in kept or read is None
            )
    some = [layer for layer in layers.values() if not layer.kept]
    return Figures(
        fab=_mean(layers.values()),
        adapted_fab=_mean(some or layers.values()),
        activations=_weighted(layers, lambda layer: layer.activations),
        weights=_weighted(layers, lambda layer: layer.weights),
        bit_operations=_weighted(layers, lambda layer: layer.activations * layer.weights / FULL_BITS) / FULL_BITS,
        at_8_bits=sum(one.macs for one in layers.values() if min(one.activations, one.weights) >= FULL_BITS),
        kept=sum(layer.macs for layer in layers.values() if layer.kept),
        layers=layers,
    )


def _kept(plan: Plan) -> tuple[str, ...]:
    """What the method wrote down; none where that is not names: anyone may have edited it."""
    said = plan.settings.get(SETTINGS, {})
    names = said.get("kept", ()) if isinstance(said, Mapping) else ()
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _mean(layers: Iterable[LayerFigures]) -> float:
    bits = [layer.activations for layer in layers]
    return sum(bits) / len(bits) if bits else float(FULL_BITS)


def _weighted(layers: Mapping[str, LayerFigures], value: Callable[[LayerFigures], float]) -> float:
    macs = sum(layer.macs for layer in layers.values())
    return sum(value(layer) * layer.macs for layer in layers.values()) / macs if macs else float(FULL_BITS)
