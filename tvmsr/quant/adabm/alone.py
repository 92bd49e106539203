"""The FP32 network with one thing quantized: what that alone changes at the output, without what bytes round away.

Mean errors of channels are left out, as bias correction takes them back. Only what lies behind the change is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import mapped
from tvmsr.graph.model import F32, INPUT, Activation, Colour, ConvAttrs, Model, Node
from tvmsr.operations.activate import apply_activation
from tvmsr.operations.table import operation_of
from tvmsr.quant.judge import BORDER, LUMA
from tvmsr.quant.plan import TensorPlan
from tvmsr.quant.ranges import as_float

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Change:
    """What is quantized. tensors: where they are made; read: by readers, what they read; weights: of convolutions."""

    tensors: Mapping[str, TensorPlan] = field(default_factory=dict)
    read: Mapping[str, TensorPlan] = field(default_factory=dict)
    weights: Mapping[str, F32] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Exact:
    """A network and all its FP32 tensors on some crops."""

    model: Model
    tensors: Sequence[Mapping[str, F32]]

    @classmethod
    def of(cls, model: Model, crops: Sequence[U8]) -> Exact:
        """crops: small ones, uint8 (H, W, 3), as memory holds all tensors; of a size that the network runs on."""
        return cls(model, mapped(partial(_run, model), crops))

    def noise(self, change: Change) -> float:
        """Mean square difference of luma, in squared gray levels, over all crops."""
        output = self.model.graph.output

        def error(one: Mapping[str, F32]) -> float:
            return _luma_error(self._changed(one, change), one[output], self.model)

        return float(np.mean(mapped(error, self.tensors)))

    def _changed(self, known: Mapping[str, F32], change: Change) -> F32:
        new: dict[str, F32] = {}
        for node in self.model.graph:
            operands = [new.get(name, known[name]) for name in node.inputs]
            if node.name in change.read:
                operands[0] = coded(operands[0], change.read[node.name])
            value = known[node.name]
            if node.name in change.read or node.name in change.weights or not new.keys().isdisjoint(node.inputs):
                value = _computed(node, tuple(operands), change.weights.get(node.name), known)
                new[node.name] = value
            if node.name in change.tensors:
                new[node.name] = coded(value, change.tensors[node.name])
        return new.get(self.model.graph.output, known[self.model.graph.output])


def coded(value: F32, code: TensorPlan) -> F32:
    """What codes make of values (H, W, C), without the mean error of each channel."""
    equal = np.ones(value.shape[-1]) if code.equal is None else np.asarray(code.equal)
    step = (code.scale * equal).astype(np.float32)
    codes = np.clip(np.rint(value / step), -code.zero, (1 << code.bits) - 1 - code.zero)
    made = codes * step
    return cast(F32, made - (made - value).mean(axis=(0, 1), keepdims=True, dtype=np.float64).astype(np.float32))


def _computed(node: Node, operands: tuple[F32, ...], weights: F32 | None, known: Mapping[str, F32]) -> F32:
    """The node's result; with other weights, its sums have the mean of what they were."""
    if weights is None:
        return operation_of(node).reference(operands, node)
    bare = replace(node, attrs=replace(cast(ConvAttrs, node.attrs), activation=Activation.NONE))
    sums = operation_of(bare).reference(operands, bare)
    given = replace(bare, weights={**node.weights, "weight": weights})
    other = operation_of(given).reference(operands, given)
    shift = (other - sums).mean(axis=(0, 1), keepdims=True, dtype=np.float64).astype(np.float32)
    return apply_activation(other - shift, node)


def _run(model: Model, crop: U8) -> dict[str, F32]:
    tensors: dict[str, F32] = {INPUT: as_float(crop)}
    for node in model.graph:
        tensors[node.name] = operation_of(node).reference(tuple(tensors[name] for name in node.inputs), node)
    return tensors


def _luma_error(made: F32, exact: F32, model: Model) -> float:
    error = (made.astype(np.float64) - exact) * 255
    luma = error @ LUMA if model.colour is Colour.RGB else error[:, :, 0]
    edge = BORDER * model.scale
    inner = luma[edge:-edge, edge:-edge] if min(luma.shape) > 4 * edge else luma
    return float((inner**2).mean())
