"""What bits of each site are worth: the noise that fewer of them make at the output, and what they cost.

Noise is the mean square difference of luma against the FP32 output, in squared gray levels. It is measured once for
each site alone (tvmsr.quant.adabm.alone) and goes with the mean square error of the codes from bits to bits: networks
pass small errors on in proportion. Noise of several sites adds up, as they err independently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import mapped
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import F32, ConvAttrs, Graph, Model, Node
from tvmsr.quant.adabm.alone import Change, Exact
from tvmsr.quant.adabm.clips import Clips
from tvmsr.quant.adabm.sites import FULL_BITS, LEAST_BITS, Site, read_codes, with_bits, with_weight_bits
from tvmsr.quant.bind import bind
from tvmsr.quant.bits import Bits
from tvmsr.quant.integer import Code, IntegerGraph
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import as_float
from tvmsr.quant.structure import READ_SUFFIX
from tvmsr.quant.weights import best_scales, folded_weight, weight_limit
from tvmsr.quant.widen import Clock, macs_shares

U8 = NDArray[np.uint8]

SITE_BITS = tuple(range(LEAST_BITS, FULL_BITS + 1))
#: Mean square errors below it are none: of a site where all values are alike.
LEAST_ERROR = 1e-30
#: Rounding against data leaves this share of the noise that weights to the nearest make, which is what is measured: of
#: 4-bit weights 0.12 on EDSR-8 x2, 0.14 on ABPN x3, 0.19 on the embedded x2 network.
ROUNDED = 0.15


class Costs(Enum):
    """What bits cost. TIME: modelled time on the target; BITS: multiplications times weight and activation bits."""

    TIME = "time"
    BITS = "bits"


class Sensitivity(Enum):
    """How noise is known. NOISE: of each site quantized alone; GRADIENT: of all at once, from one gradient.

    DEVIATION: layer factors follow that of what is read, as published; what is kept follows NOISE.
    """

    NOISE = "noise"
    GRADIENT = "gradient"
    DEVIATION = "deviation"


@dataclass(frozen=True, eq=False)
class Table:
    """By names of sites and convolutions.

    noise: {site: {activation bits: squared gray levels}}, with ranges drawn in for the bits. weights: {convolution:
    {weight bits: squared gray levels}}, once rounded against data; empty where nobody asked. cost: {site: {Bits: cost
    of its readers}}, as a share of the whole network's at 8 bits. costs, where: what the cost is, and the CPU level
    that it is on.
    """

    sites: tuple[Site, ...]
    noise: Mapping[str, Mapping[int, float]]
    weights: Mapping[str, Mapping[int, float]]
    cost: Mapping[str, Mapping[Bits, float]]
    costs: Costs
    where: str = ""

    def free(self, site: Site, bits: Bits) -> int:
        """The most activation bits that cost no more than these do, with the same weights."""
        cost = self.cost[site.name]
        limit = cost[bits] * (1 + 1e-9)
        return max(a for a in SITE_BITS if a == bits.activations or cost[Bits(a, bits.weights)] <= limit)


def bit_costs(sites: Sequence[Site], weights: Sequence[int]) -> dict[str, dict[Bits, float]]:
    """Multiplications times weight bits times activation bits."""
    most = FULL_BITS * FULL_BITS
    return {site.name: {Bits(a, w): site.macs * a * w / most for w in weights for a in SITE_BITS} for site in sites}


def time_costs(
    model: Model, plan: Plan, sites: Sequence[Site], clock: Clock, weights: Sequence[int]
) -> dict[str, dict[Bits, float]]:
    """Modelled time of the convolutions that read each site.

    All sites have the same bits at a time: what a convolution takes depends on what it reads itself. Raises WorkError
    where the network cannot be compiled.
    """
    found: dict[str, dict[Bits, float]] = {site.name: {} for site in sites}
    layers = [name for site in sites for name in site.readers]
    whole = 0.0
    for w in sorted({*weights, FULL_BITS}, reverse=True):
        weighed = with_weight_bits(model, plan, dict.fromkeys(layers, w))
        for a in reversed(SITE_BITS):
            cycles = clock.cycles(bind(model, with_bits(weighed, sites, {site.name: a for site in sites})))
            whole = whole or sum(cycles.values())
            for site in sites:
                found[site.name][Bits(a, w)] = sum(cycles.get(name, 0.0) for name in site.readers) / whole
    return found


def cost_of(model: Model, plan: Plan, clock: Clock | None) -> float:
    """Of a whole plan: modelled cycles of a pixel; without a clock, the mean of weight bits times activation bits."""
    graph = bind(model, plan)
    if clock is not None:
        return sum(clock.cycles(graph).values())
    return sum(share * _bit_product(graph, name) for name, share in macs_shares(model).items())


def _bit_product(graph: IntegerGraph, name: str) -> float:
    nodes = {node.name: node for node in graph}
    node = nodes[name]
    read = nodes.get(node.inputs[0])
    bits = FULL_BITS if read is None else getattr(read.output, "bits", FULL_BITS)
    return float(node.weight_bits * bits)


def site_changes(plan: Plan, sites: Sequence[Site], clips: Clips, bits: int) -> dict[str, Change]:
    """By site: it has these bits, its range drawn in for them, and nothing else is quantized."""
    found = {}
    for site in sites:
        width = {site.name: bits}
        changed = with_bits(plan, [site], width, clips.drawn_in([site], width, 1.0))
        tensors = {slot: changed.tensors[slot] for slot in site.slots if slot in changed.tensors}
        reading = [changed.reads[slot.removesuffix(READ_SUFFIX)] for slot in site.slots if slot not in changed.tensors]
        found[site.name] = Change(tensors=tensors, read=dict.fromkeys(site.readers, reading[0]) if reading else {})
    return found


def weight_changes(model: Model, plan: Plan, layers: Sequence[str], bits: int) -> dict[str, Change]:
    """By convolution: its weights are as the nearest codes of these bits hold them."""
    nodes, read = {node.name: node for node in model.graph}, read_codes(model, plan)
    return {name: Change(weights={name: _nearest(nodes[name], read[name], bits)}) for name in layers}


def by_site_bits(noise: Mapping[str, float], clips: Clips, bits: int) -> dict[str, dict[int, float]]:
    """Noise of sites at all bits, from that at `bits`: it goes with the square error of the codes."""
    return {
        name: {b: value * error / max(clips.errors[name][bits], LEAST_ERROR) for b, error in clips.errors[name].items()}
        for name, value in noise.items()
    }


def by_weight_bits(noise: Mapping[str, float], bits: int) -> dict[str, dict[int, float]]:
    """Noise of weights at all bits, from that at `bits`: it goes with the square of the step."""
    steps = {width: 1 / float(weight_limit(width)) ** 2 for width in SITE_BITS}
    return {name: {b: value * step / steps[bits] for b, step in steps.items()} for name, value in noise.items()}


def measured_noise(
    plan: Plan, sites: Sequence[Site], clips: Clips, exact: Exact, bits: int, done: Callable[[], None]
) -> dict[str, dict[int, float]]:
    """Noise of each site by its bits, measured at `bits`. `done` is called after each."""
    return by_site_bits(_measured(site_changes(plan, sites, clips, bits), exact, done), clips, bits)


def measured_weights(
    model: Model, plan: Plan, layers: Sequence[str], exact: Exact, bits: int, done: Callable[[], None]
) -> dict[str, dict[int, float]]:
    """Noise of each convolution's weights by their bits, measured at `bits`. `done` is called after each."""
    noise = _measured(weight_changes(model, plan, layers, bits), exact, done)
    return by_weight_bits({name: ROUNDED * value for name, value in noise.items()}, bits)


def _measured(changes: Mapping[str, Change], exact: Exact, done: Callable[[], None]) -> dict[str, float]:
    found = {}
    for name, change in changes.items():
        found[name] = exact.noise(change)
        done()
    return found


def _nearest(node: Node, x: Code, bits: int) -> F32:
    """A convolution's weights as the nearest codes hold them."""
    weight, groups = node.weights["weight"], cast(ConvAttrs, node.attrs).groups
    folded, factors = folded_weight(weight, x.equal, groups), folded_weight(np.ones_like(weight), x.equal, groups)
    scales, limit = best_scales(folded, node.weights["bias"], bits, float(x.scale)), weight_limit(bits)
    return cast(F32, (np.clip(np.rint(folded / scales), -limit, limit) * scales / factors).astype(np.float32))


def deviations(graph: Graph, sites: Sequence[Site], crops: Sequence[U8]) -> dict[str, dict[int, float]]:
    """Sensitivity as published, the deviation of what is read in a picture, as noise that each bit divides by 4."""
    inputs = {node.name: node.inputs[0] for node in graph}
    read = {site.name: inputs[site.readers[0]] for site in sites}
    wanted = set(read.values())

    def of_crop(crop: U8) -> dict[str, float]:
        found: dict[str, float] = {}

        def visit(name: str, value: NDArray[np.float32]) -> None:
            if name in wanted:
                found[name] = float(value.std(dtype=np.float64))

        run_fp32(graph, as_float(crop), visit=visit)
        return found

    found = mapped(of_crop, crops)
    means = {site: float(np.mean([one[name] for one in found])) for site, name in read.items()}
    return {site: {bits: mean**2 * 4.0**-bits for bits in SITE_BITS} for site, mean in means.items()}
