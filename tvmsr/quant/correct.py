"""Bias correction: take back the mean error that quantization leaves in each output channel of a convolution.

Layer by layer in execution order, the FP32 network and the integer one run side by side over the crops: the mean
difference of their values before the activation, with every earlier layer already corrected, goes into the bias. It is
in the network's units, so it belongs to the plan; `bind` turns it into codes. Convolutions on 1x1 maps have none: a
crop is one sample of them; nor has what only moves codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import F32, INPUT, Activation, ConvAttrs, Model, Node
from tvmsr.operations.activate import apply_activation
from tvmsr.operations.table import operation_of
from tvmsr.quant.bind import bind
from tvmsr.quant.held import Held
from tvmsr.quant.integer import IntegerNode
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import as_float, spaced
from tvmsr.quant.reference import conv_blocks, execute
from tvmsr.quant.structure import analyse

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]


#: Crops that the means are taken over: a channel's mean needs fewer than its extremes do.
MOST_CROPS = 8


@dataclass
class _Run:
    """Live tensors of one crop in both networks."""

    exact: dict[str, F32]
    integer: dict[str, Held]

    def operands(self, node: Node) -> tuple[F32, ...]:
        return tuple(self.exact[name] for name in node.inputs)


def corrected(plan: Plan, model: Model, crops: Sequence[U8], done: Callable[[], None]) -> Plan:
    """The plan with its bias corrections measured anew. `done` is called after each convolution."""
    layers = {name: layer.model_copy(update={"bias_correction": None}) for name, layer in plan.layers.items()}
    plan = plan.model_copy(update={"layers": layers})
    found = bias_corrections(model, plan, crops, done)
    layers = {name: layer.model_copy(update={"bias_correction": found.get(name)}) for name, layer in layers.items()}
    return plan.model_copy(update={"layers": layers})


def bias_corrections(model: Model, plan: Plan, crops: Sequence[U8], done: Callable[[], None]) -> dict[str, list[float]]:
    """Corrections (OC,) by convolution that can have one, in the network's units."""
    graph, structure = bind(model, plan), analyse(model.graph)
    measured = {node.name for node in model.graph if structure.weighs_pixels(node)}
    last_exact = {name: node.name for node in model.graph for name in node.inputs}
    last_integer = {name: node.name for node in graph for name in node.inputs}
    used = spaced(crops, MOST_CROPS)
    runs = [_Run({INPUT: as_float(crop)}, {INPUT: Held(crop, graph.input)}) for crop in used]
    corrections: dict[str, list[float]] = {}
    for node in graph:
        exact = structure.nodes.get(node.name)
        chosen = node
        if exact is not None and node.name in measured:
            correction = _mean_error(node, exact, runs)
            corrections[node.name] = [float(c) for c in correction]
            chosen = _with_correction(node, correction)
        if node.op == "conv":
            done()
        for run in runs:
            run.integer[node.name] = execute(chosen, tuple(run.integer[name] for name in node.inputs))
            _free(run.integer, node.name, node.inputs, last_integer)
            if exact is not None:
                if node.name not in measured:
                    run.exact[node.name] = operation_of(exact).reference(run.operands(exact), exact)
                _free(run.exact, exact.name, exact.inputs, last_exact)
    return corrections


def _mean_error(node: IntegerNode, exact: Node, runs: Sequence[_Run]) -> F64:
    """Mean of exact minus integer sums (OC,); leaves the exact result in every run."""
    bare = replace(exact, attrs=replace(cast(ConvAttrs, exact.attrs), activation=Activation.NONE))
    total, pixels = np.zeros(node.channels), 0
    for run in runs:
        value = operation_of(bare).reference(run.operands(exact), bare)
        total += value.sum(axis=(0, 1), dtype=np.float64)
        for _, acc in conv_blocks(node, run.integer[node.inputs[0]]):
            total -= acc.sum(axis=(0, 1)) * cast(F64, node.step)
        pixels += value.shape[0] * value.shape[1]
        run.exact[exact.name] = apply_activation(value, exact)
    return total / pixels


def _with_correction(node: IntegerNode, correction: F64) -> IntegerNode:
    codes = np.rint(correction / cast(F64, node.step)).astype(np.int64)
    bias = np.clip(node.params["bias"] + codes, -(1 << 31), (1 << 31) - 1).astype(np.int32)
    return replace(node, params={**node.params, "bias": bias})


def _free(
    tensors: dict[str, F32] | dict[str, Held], name: str, inputs: tuple[str, ...], last: Mapping[str, str]
) -> None:
    for tensor in set(inputs):
        if last[tensor] == name:
            del tensors[tensor]
