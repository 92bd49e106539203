"""The integer network as a torch module that can be learned: a Model with a Plan, its numbers computed anew each time.

Every number is what `bind` would make of the plan that `tvmsr.quant.learned.written` writes, so codes are the reference
executor's wherever float32 holds the sums; gradients go to scales, zero points, weights and biases alike.
"""

# mypy: allow-subclassing-any
# (torch is not followed, so its classes are Any here)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from tvmsr.graph.model import INPUT, Attrs, Model, Node
from tvmsr.quant.bind import PIXEL_SCALE, bind
from tvmsr.quant.integer import Code, IntegerNode, Term
from tvmsr.quant.learned.gradients import Tensor
from tvmsr.quant.learned.grids import Coded, Flow, Grid, Lean, Summand, per_channel
from tvmsr.quant.learned.layers import Layer, Moving
from tvmsr.quant.learned.operations import OPERATIONS, Step
from tvmsr.quant.plan import CodePlan, Plan
from tvmsr.quant.structure import READ_SUFFIX, Structure, analyse

F64 = NDArray[np.float64]


def unsupported(model: Model) -> tuple[str, ...]:
    """The operations of a network that cannot be learned through, each once."""
    found = [node.op for node in model.graph if node.op not in OPERATIONS]
    return tuple(dict.fromkeys(found))


def students(model: Model, plan: Plan, leans: Mapping[str, Lean] | None = None) -> tuple[Student, ...]:
    """One for each choice of the plan, that of the plan itself first: see `Student`.

    leans: by slot, those whose bits are learned.
    """
    base = Student(model, plan.of_choice(0), leans=leans)
    others = plan.adaptive.choices if plan.adaptive else ()
    return (base, *(Student(model, plan.of_choice(number), base, leans) for number, _ in enumerate(others, 1)))


class Student(torch.nn.Module):
    """grids: by tensor that has codes of its own, and by reading, "T.read"; several may have one. layers: by name.

    factors: what is learned of the factors per channel of readings, by reading: there they cost nothing and nobody else
    has them. Those of other tensors go with the weight scales of what makes them.

    base: of the plan that this one is a choice of: weights, their scales, factors, and the grids of tensors that the
    choice holds as the plan does are its own, and are learned once for both; biases are of each.
    """

    def __init__(
        self, model: Model, plan: Plan, base: Student | None = None, leans: Mapping[str, Lean] | None = None
    ) -> None:
        super().__init__()
        graph, self.structure = bind(model, plan), analyse(model.graph)
        self.output, self.plan = graph.output, plan
        self.forms: dict[str, Coded | Summand] = {}
        self.grids = _grids(plan, self.structure, base, leans or {})
        self.factors: Mapping[str, Tensor] = self._factors() if base is None else base.factors
        self.layers: dict[str, Layer] = {}
        self._shared: Mapping[str, Layer] = {} if base is None else base.layers
        self._held = torch.nn.ModuleList(dict.fromkeys(self.grids.values()))
        self._moving: dict[str, Moving] = {}
        self._forms(graph.nodes)
        bound = {INPUT: graph.input} | {n.name: cast(Code, n.output) for n in graph}
        self.steps = [self._step(node, bound) for node in graph]
        self._weights = torch.nn.ModuleList(self.layers.values())
        self._factor_list = torch.nn.ParameterList(self.factors.values())
        self._last = {name: node.name for node in graph for name in node.inputs}

    def seen(self, pictures: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """The output before it is rounded, and the values of these tensors, in the network's units."""
        flows = self.tensors(pictures, keep=True, rounds_output=False)
        values = {name: flows[name].values * per_channel(flows[name].form.unit()) for name in names}
        return flows[self.output].values, values

    def forward(self, pictures: Tensor, *, rounds_output: bool = True) -> Tensor:
        """Bytes (N, 3, H, W) in float32 -> the output's (N, C, H', W').

        rounds_output: without, what would be rounded, which is better to learn from.
        """
        return self.tensors(pictures, rounds_output=rounds_output)[self.output].values

    def tensors(self, pictures: Tensor, *, keep: bool = False, rounds_output: bool = True) -> dict[str, Flow]:
        """Tensors by name; keep: all, not the output alone."""
        flows = {INPUT: Flow(pictures, self.forms[INPUT])}
        for step in self.steps:
            rounds = rounds_output or step.node.name != self.structure.output
            operands = tuple(flows[name] for name in step.node.inputs)
            flows[step.node.name] = Flow(step.operation(step, operands, rounds), step.form)
            for name in set(step.node.inputs):
                if not keep and self._last[name] == step.node.name and name != self.output:
                    del flows[name]
        return flows

    def _factors(self) -> dict[str, Tensor]:
        """Of readings of few bits (C,): changes of logarithms."""
        found = {}
        for name in self.plan.reads:
            if self.grids[name + READ_SUFFIX].learns:
                start = torch.zeros(self.structure.channels[name], dtype=torch.float64)
                found[name + READ_SUFFIX] = torch.nn.Parameter(start)
        return found

    def _forms(self, nodes: tuple[IntegerNode, ...]) -> None:
        """How every tensor is held: moves hold theirs as their operand is."""
        self.forms[INPUT] = Coded(Grid(8, float(PIXEL_SCALE), 0, False), torch.ones(3, dtype=torch.float64))
        for node in nodes:
            if node.name in self.grids:
                equal = torch.tensor(cast(Code, node.output).equal.astype(np.float64))
                self.forms[node.name] = Coded(self.grids[node.name], equal, self.factors.get(node.name))
            elif node.name in self.structure.moves:
                operand = cast(Coded, self.forms[node.inputs[0]])
                self.forms[node.name] = operand.at(torch.tensor(self.structure.moves[node.name][0]))
        for node in nodes:
            if isinstance(node.output, Term):
                total = self.structure.readers[node.name][0].name
                self.forms[node.name] = Summand(cast(Coded, self.forms[total]), node.output.fraction)

    def _step(self, node: IntegerNode, bound: Mapping[str, Code]) -> Step:
        exact = self.structure.nodes.get(node.name, Node(node.name, "activate", node.inputs, Attrs()))
        form, layer, table = self.forms[node.name], None, None
        if node.op == "conv":
            layer = self._layer(node, exact, bound[node.inputs[0]])
            given = self.plan.layers[node.name].table
            table = None if given is None else _table_form(given, node.channels)
        operation = OPERATIONS[exact.op]
        return Step(node, exact, form, operation, layer, table, self._factor(node))

    def _layer(self, node: IntegerNode, exact: Node, x: Code) -> Layer | Moving:
        if node.name in self.structure.moves:
            self._moving[node.name] = moving = Moving(node, x)
            return moving
        form = self.forms[node.name]
        coded = form.total if isinstance(form, Summand) else form
        with torch.no_grad():
            unit = (coded.unit() * 2.0 ** (coded.grid.bits - 8)).numpy()
        plan, shared = self.plan.layers[node.name], self._shared.get(node.name)
        self.layers[node.name] = layer = Layer(node, exact, plan, x, unit, shared)
        return layer

    def _factor(self, node: IntegerNode) -> Tensor:
        """What a term's sum multiplies it by (C,), or None."""
        if not isinstance(node.output, Term):
            return None
        total = self.structure.readers[node.name][0]
        given = total.weights.get(f"factor{total.inputs.index(node.name)}")
        return None if given is None else torch.tensor(given.astype(np.float64))


def _grids(plan: Plan, structure: Structure, base: Student | None, leans: Mapping[str, Lean]) -> dict[str, Grid]:
    """One grid for all tensors that have the same numbers: streams and concats share theirs and have to go on so.

    base: what holds some of them as this plan does, on whose grids they stay. leans: by slot; of one grid all have one.
    """

    def key(name: str, code: CodePlan) -> tuple[object, ...]:
        return name == structure.output, code.bits, code.scale, code.zero, leans.get(name)

    slots = _slots(plan)
    made: dict[tuple[object, ...], Grid] = {}
    if base is not None:
        same = [name for name, code in _slots(base.plan).items() if key(name, code) == key(name, slots[name])]
        made = {key(name, slots[name]): base.grids[name] for name in same}
    found = {}
    for name, code in slots.items():
        grid = made.get(key(name, code))
        if grid is None:
            grid = Grid(code.bits, float(np.float32(code.scale)), code.zero, name != structure.output, leans.get(name))
        found[name] = made[key(name, code)] = grid
    return found


def _slots(plan: Plan) -> dict[str, CodePlan]:
    """Tensors that have codes of their own, and readings."""
    return {**plan.tensors, **{name + READ_SUFFIX: read for name, read in plan.reads.items()}}


def _table_form(plan: CodePlan, channels: int) -> Coded:
    grid = Grid(plan.bits, float(np.float32(plan.scale)), plan.zero, learns=False)
    return Coded(grid, torch.ones(channels, dtype=torch.float64))
