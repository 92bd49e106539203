"""Bias correction: take back the mean error that quantization leaves in each output channel of a convolution.

Layer by layer in execution order, the FP32 network and the integer one run side by side over the crops: the mean
difference of their values before the activation, with every earlier layer already corrected, goes into the bias. It is
in the network's units, so it belongs to the plan; `bind` turns it into codes. Convolutions on 1x1 maps have none: a
crop is one sample of them; nor has what only moves codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import mapped
from tvmsr.graph.model import Model
from tvmsr.quant.beside import Seen, walk
from tvmsr.quant.integer import IntegerNode
from tvmsr.quant.patches import patch_sums
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import spaced

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]


#: Crops that the means are taken over: a channel's mean needs fewer than its extremes do.
MOST_CROPS = 8


def corrected(plan: Plan, model: Model, crops: Sequence[U8], done: Callable[[], None]) -> Plan:
    """The plan with its bias corrections measured anew. `done` is called after each convolution."""
    layers = {name: layer.model_copy(update={"bias_correction": None}) for name, layer in plan.layers.items()}
    plan = plan.model_copy(update={"layers": layers})
    found: dict[str, list[float]] = {}

    def adjust(node: IntegerNode, seen: Sequence[Seen]) -> IntegerNode:
        correction = mean_error(node, seen)
        found[node.name] = [float(c) for c in correction]
        return with_correction(node, correction)

    walk(model, plan, spaced(crops, MOST_CROPS), adjust, done)
    layers = {name: layer.model_copy(update={"bias_correction": found.get(name)}) for name, layer in layers.items()}
    return plan.model_copy(update={"layers": layers})


def mean_error(node: IntegerNode, seen: Sequence[Seen]) -> F64:
    """Mean of the FP32 sums less the integer ones (OC,), in the network's units."""
    weight = node.params["weight"]
    total, pixels = np.zeros(node.channels), 0
    codes = np.zeros((weight.shape[0] * weight.shape[1] * weight.shape[2], node.channels))
    for means, sums, count in mapped(lambda one: _sums(node, one), seen):
        total += means
        codes += sums
        pixels += count
    # Integers below 2**53: exact, as the executor's sums are.
    sums = (codes * weight.reshape(codes.shape)).sum(axis=0) + pixels * node.params["bias"].astype(np.float64)
    return (total - sums * cast(F64, node.step)) / pixels


def _sums(node: IntegerNode, one: Seen) -> tuple[F64, F64, int]:
    """Of a crop: sums over pixels of the FP32 sums (OC,) and of what each weight meets (K, OC), and how many pixels."""
    height, width = one.sums.shape[:2]
    return one.sums.sum(axis=(0, 1), dtype=np.float64), patch_sums(node, one.x), height * width


def with_correction(node: IntegerNode, correction: F64) -> IntegerNode:
    """The convolution with a correction, in the network's units, in its bias."""
    codes = np.rint(correction / cast(F64, node.step)).astype(np.int64)
    bias = np.clip(node.params["bias"] + codes, -(1 << 31), (1 << 31) - 1).astype(np.int32)
    return replace(node, params={**node.params, "bias": bias})
