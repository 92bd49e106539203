"""Weight rounding against data: codes whose sums repeat the FP32 network's on the crops, in place of the nearest ones.

Layer by layer in execution order, the FP32 network and the integer one side by side (tvmsr.quant.beside), every earlier
layer already rounded and corrected. For each convolution over pixels:

- the real weights that repeat the FP32 sums best from the integer inputs (damped least squares), which makes good what
  earlier layers lost;
- codes near them, column by column, each error handed on to the columns that are left (GPTQ's order), on the scales
  that the plan has;
- channel by channel, the codes to the nearest where those are better on the patches;
- the mean error taken back by the bias (tvmsr.quant.correct), which is why moments here are about the mean.

Where inputs have few bits, least squares weights are smaller, as those draw less noise in. That is best for each layer,
but residual networks may lose more by what every block is short of: below 8 bits both are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import ConvAttrs, Model, Node
from tvmsr.quant.beside import Seen, walk
from tvmsr.quant.bind import bind
from tvmsr.quant.correct import MOST_CROPS, mean_error, with_correction
from tvmsr.quant.feedback import fed_forward
from tvmsr.quant.integer import Code, IntegerNode
from tvmsr.quant.judge import Judge
from tvmsr.quant.patches import Moments, by_group, moments
from tvmsr.quant.plan import LayerPlan, Plan, encode_codes
from tvmsr.quant.ranges import spaced
from tvmsr.quant.weights import folded_weight, layer_codes, weight_limit

F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
U8 = NDArray[np.uint8]

#: Columns of H, the inputs of one output: 256 channels under 3x3. More take too long.
MOST_COLUMNS = 2304
#: Damping of H: this share of its mean diagonal, and as much as a code's own rounding makes (squared codes a patch).
DAMPING, ROUNDING_NOISE = 0.01, 1 / 12
#: What the reason of a layer says behind what the plan's maker said.
_SAID = "; weights rounded "
_AGAINST_DATA = "against data"


@dataclass(frozen=True)
class Rounding:
    """What is done. fit: aim at the least squares weights, not at the network's. feed: hand errors on."""

    fit: bool = True
    feed: bool = True


DEFAULT = Rounding()
#: Tensors of fewer bits make it worth trying without the first step too.
FULL_BITS = 8
#: Bytes of weight codes that are remembered.
_MOST_REMEMBERED = 1 << 26


@dataclass(frozen=True, eq=False)
class Made:
    """What a convolution became. codes: None where they stay the nearest, for the reason why."""

    codes: I8 | None
    correction: F64
    why: str = ""


@dataclass(eq=False)
class Remembered:
    """What the convolutions of one model became on one list of crops, by everything else that decides it.

    Plans of one network are alike: up to the first layer that another one has wider, all convolutions meet the same.
    """

    made: dict[bytes, Made] = field(default_factory=dict)
    size: int = 0

    def keep(self, key: bytes, made: Made) -> None:
        more = 0 if made.codes is None else made.codes.nbytes
        if self.size + more > _MOST_REMEMBERED:
            self.made.clear()
            self.size = 0
        self.made[key] = made
        self.size += more


def rounded(
    plan: Plan,
    model: Model,
    crops: Sequence[U8],
    done: Callable[[], None],
    rounding: Rounding = DEFAULT,
    remembered: Remembered | None = None,
) -> Plan:
    """The plan with weight codes and bias corrections measured anew. `done` is called after each convolution.

    Layers without `weight_codes` are rounded to nearest: on 1x1 maps, what only moves codes, and where the reason says
    why. crops: uint8 (H, W, 3), of a size that the network runs on; the same ones give the same plan. remembered: of
    this model and these crops, to which it is added; the plan is the same without.
    """
    plan = _bare(plan)
    rounder = _Rounder(
        nodes={node.name: node for node in model.graph},
        plan=plan,
        coarsened=bind(model, plan).extra["coarsened"],
        rounding=rounding,
        remembered=Remembered() if remembered is None else remembered,
    )
    walk(model, plan, spaced(crops, MOST_CROPS), rounder.adjust, done)
    return plan.model_copy(update={"layers": {**plan.layers, **rounder.layers}})


def ways_for(plan: Plan) -> tuple[Rounding, ...]:
    """What `best_rounded` tries."""
    least = min(code.bits for codes in (plan.tensors, plan.reads) for code in codes.values())
    return (DEFAULT,) if least >= FULL_BITS else (DEFAULT, replace(DEFAULT, fit=False))


def best_rounded(
    plan: Plan,
    model: Model,
    crops: Sequence[U8],
    judge: Judge,
    done: Callable[[], None],
    remembered: Remembered | None = None,
) -> Plan:
    """`rounded` in each of the `ways_for` the plan; what the judge finds least noise in. `done`: as often."""
    plans = [rounded(plan, model, crops, done, way, remembered) for way in ways_for(plan)]
    return min(plans, key=judge.noise) if len(plans) > 1 else plans[0]


def _bare(plan: Plan) -> Plan:
    """Without what is measured here."""
    layers = {
        name: layer.model_copy(
            update={"weight_codes": None, "bias_correction": None, "reason": layer.reason.split(_SAID)[0]}
        )
        for name, layer in plan.layers.items()
    }
    return plan.model_copy(update={"layers": layers})


@dataclass(eq=False)
class _Rounder:
    nodes: Mapping[str, Node]
    plan: Plan
    coarsened: Mapping[str, Mapping[int, tuple[float, float]]]
    rounding: Rounding
    remembered: Remembered
    layers: dict[str, LayerPlan] = field(default_factory=dict)

    def adjust(self, node: IntegerNode, seen: Sequence[Seen]) -> IntegerNode:
        """The convolution with its new weights and bias; the layer's plan is kept."""
        key, layer = _met(node, seen, self.rounding), self.plan.layers[node.name]
        made = self.remembered.made.get(key)
        if made is None:
            made = self.made(node, seen)
            self.remembered.keep(key, made)
        if made.codes is None:
            self.layers[node.name] = _described(layer, made.correction, f"to nearest: {made.why}")
            return with_correction(node, made.correction)
        layer = self.given(layer, node, made.codes, seen[0].x.code)
        self.layers[node.name] = _described(layer, made.correction, _AGAINST_DATA + self.coarser(node.name))
        return with_correction(_with_codes(node, made.codes), made.correction)

    def made(self, node: IntegerNode, seen: Sequence[Seen]) -> Made:
        """What becomes of the convolution. Of its plan only what `bind` made of it counts: see `_met`."""
        columns = int(np.prod(node.params["weight"].shape[:3]))
        why = f"{columns} inputs of an output are more than {MOST_COLUMNS}"
        if columns <= MOST_COLUMNS:
            codes = data_codes(node, self.nodes[node.name], seen, self.rounding)
            correction = mean_error(_with_codes(node, codes), seen)
            layer = self.given(self.plan.layers[node.name], node, codes, seen[0].x.code)
            if self.fits(node.name, _described(layer, correction, ""), seen[0].x.code):
                return Made(codes, correction)
            why = "sums would not fit int32"
        return Made(None, mean_error(node, seen), why)

    def given(self, layer: LayerPlan, node: IntegerNode, codes: I8, x: Code) -> LayerPlan:
        """The layer's plan with these codes, on the scales that the convolution has."""
        scales = cast(F64, node.step) / float(x.scale)
        update = {"weight_codes": encode_codes(codes), "weight_scales": [float(np.float32(s)) for s in scales]}
        return layer.model_copy(update=update)

    def coarser(self, name: str) -> str:
        """What `bind` did to the scales: they are what the codes are on, and it will not say so again."""
        channels = len(self.coarsened.get(name, ()))
        return f", scales of {channels} channels coarsened so that their sums fit int32" if channels else ""

    def fits(self, name: str, layer: LayerPlan, x: Code) -> bool:
        """Whether `bind` takes the codes: it cannot make the scales of given ones coarser."""
        exact = self.nodes[name]
        folded = folded_weight(exact.weights["weight"], x.equal, cast(ConvAttrs, exact.attrs).groups)
        bias = exact.weights["bias"].astype(np.float64) + np.asarray(layer.bias_correction)
        try:
            layer_codes(folded, bias, x, layer)
        except ValueError:
            return False
        return True


def _met(node: IntegerNode, seen: Sequence[Seen], rounding: Rounding) -> bytes:
    """A digest of all that decides what a convolution becomes, but the FP32 sums: model and crops decide those."""
    x = seen[0].x.code
    numbers = (node.name, rounding, node.weight_bits, x.bits, float(x.scale), x.zero)
    found = blake2b(repr(numbers).encode(), digest_size=16)
    params = (node.params[name] for name in ("weight", "bias", "pad"))
    for array in (*params, cast(F64, node.step), x.equal, *(one.x.values for one in seen)):
        found.update(repr((array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.digest()


def _with_codes(node: IntegerNode, codes: I8) -> IntegerNode:
    return replace(node, params={**node.params, "weight": codes})


def _described(layer: LayerPlan, correction: F64, how: str) -> LayerPlan:
    reason = f"{layer.reason}{_SAID}{how}"
    return layer.model_copy(update={"bias_correction": [float(c) for c in correction], "reason": reason})


def data_codes(node: IntegerNode, exact: Node, seen: Sequence[Seen], rounding: Rounding = DEFAULT) -> I8:
    """Weight codes (KH, KW, IC/groups, OC) of a convolution, on the scales that the integer one has."""
    x, groups = seen[0].x.code, cast(ConvAttrs, exact.attrs).groups
    scales = cast(F64, node.step) / float(x.scale)
    weights = by_group(folded_weight(exact.weights["weight"], x.equal, groups) / scales, groups)
    nearest = by_group(node.params["weight"], groups)
    found = moments(node, seen)
    codes = choose_codes(weights, nearest, found, weight_limit(node.weight_bits), rounding)
    return codes.transpose(1, 0, 2).reshape(node.params["weight"].shape).astype(np.int8)


def choose_codes(weights: F64, nearest: F64, found: Moments, limit: int, rounding: Rounding = DEFAULT) -> F64:
    """Codes (G, K, O): integers within +-limit whose error on the patches is never above that of `nearest`.

    weights: the network's own in units of codes.
    """
    inputs = damped(found)
    target = weights
    if rounding.fit:
        target = weights + np.linalg.solve(inputs, found.cross - found.inputs @ weights)
    codes = fed_forward(target, inputs, limit) if rounding.feed else np.clip(np.rint(target), -limit, limit)
    better = found.error(codes) < found.error(nearest)
    return np.where(better[:, None, :], codes, nearest)


def damped(found: Moments) -> F64:
    """H with more on its diagonal: no direction without data is free."""
    count = found.inputs.shape[1]
    mean = np.trace(found.inputs, axis1=1, axis2=2) / count
    more = DAMPING * mean + ROUNDING_NOISE * found.patches
    return found.inputs + more[:, None, None] * np.eye(count)
