"""The FP32 network and the integer one side by side over crops, layer by layer in execution order.

What is measured at a convolution changes it before its results are computed, so that the layers behind it see what it
became.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import mapped
from tvmsr.graph.model import F32, INPUT, Activation, ConvAttrs, Model, Node
from tvmsr.operations.activate import apply_activation
from tvmsr.operations.table import operation_of
from tvmsr.quant.bind import bind
from tvmsr.quant.held import Held
from tvmsr.quant.integer import IntegerNode
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import as_float
from tvmsr.quant.reference import execute
from tvmsr.quant.structure import analyse

U8 = NDArray[np.uint8]
#: The last reader of each tensor.
Readers = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Seen:
    """A convolution on one crop. x: what the integer one reads. sums: of the FP32 one (H, W, OC), before activation."""

    x: Held
    sums: F32


#: Given a convolution of the integer network and what it meets on every crop; returns what takes its place.
Adjust = Callable[[IntegerNode, Sequence[Seen]], IntegerNode]


@dataclass
class _Run:
    """Live tensors of one crop in both networks."""

    exact: dict[str, F32]
    integer: dict[str, Held]

    def seen(self, node: IntegerNode, exact: Node) -> Seen:
        """Of a convolution; the FP32 network's tensor becomes the sums."""
        bare = replace(exact, attrs=replace(cast(ConvAttrs, exact.attrs), activation=Activation.NONE))
        sums = self.exact[exact.name] = self.compute(bare)
        return Seen(self.integer[node.inputs[0]], sums)

    def go_on(self, node: IntegerNode, exact: Node | None, has_sums: bool, last: tuple[Readers, Readers]) -> None:
        """Compute a node in both, and free what it read last. has_sums: those of the FP32 one are there already."""
        self.integer[node.name] = execute(node, tuple(self.integer[name] for name in node.inputs))
        _free(self.integer, node.name, node.inputs, last[1])
        if exact is not None:
            self.exact[node.name] = apply_activation(self.exact[node.name], exact) if has_sums else self.compute(exact)
            _free(self.exact, exact.name, exact.inputs, last[0])

    def compute(self, node: Node) -> F32:
        return operation_of(node).reference(tuple(self.exact[name] for name in node.inputs), node)


def walk(model: Model, plan: Plan, crops: Sequence[U8], adjust: Adjust, done: Callable[[], None]) -> None:
    """Run both over the crops, and call `adjust` for each convolution that weighs pixels.

    Convolutions on 1x1 maps are left as they are: a crop is one sample of them; so is what only moves codes. `done` is
    called after each convolution that was adjusted, or had no need to be.
    """
    graph, structure = bind(model, plan), analyse(model.graph)
    last_exact = {name: node.name for node in model.graph for name in node.inputs}
    last_integer = {name: node.name for node in graph for name in node.inputs}
    runs = [_Run({INPUT: as_float(crop)}, {INPUT: Held(crop, graph.input)}) for crop in crops]
    for node in graph:
        exact = structure.nodes.get(node.name)
        weighs = exact is not None and structure.weighs_pixels(exact)
        chosen = node
        if exact is not None and weighs:
            chosen = adjust(node, mapped(partial(_Run.seen, node=node, exact=exact), runs))
        if node.op == "conv":
            done()
        mapped(partial(_Run.go_on, node=chosen, exact=exact, has_sums=weighs, last=(last_exact, last_integer)), runs)


def _free(tensors: dict[str, F32] | dict[str, Held], name: str, inputs: tuple[str, ...], last: Readers) -> None:
    for tensor in set(inputs):
        if last[tensor] == name:
            del tensors[tensor]
