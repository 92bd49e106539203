"""bind: a Model with a Plan applied. Every number of an IntegerGraph is computed here, in double, and rounded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.analysis import size_rule, tile_rule
from tvmsr.graph.model import (
    INPUT,
    INPUT_CHANNELS,
    ActivateAttrs,
    Activation,
    AddAttrs,
    Attrs,
    ConvAttrs,
    Model,
    Node,
    PadMode,
)
from tvmsr.quant.bind_spatial import NUMBERS
from tvmsr.quant.bits import PRODUCT_BITS
from tvmsr.quant.check import check_plan
from tvmsr.quant.ending import Ending, ended
from tvmsr.quant.integer import Code, IntegerGraph, IntegerNode, Term, fraction_bits
from tvmsr.quant.multipliers import F64, Params, bounds, requantized, rounded, unit
from tvmsr.quant.plan import LayerPlan, Plan, PlanError, TensorPlan
from tvmsr.quant.structure import READ_SUFFIX, Structure, analyse
from tvmsr.quant.tables import code_table
from tvmsr.quant.weights import folded_weight, layer_codes, selection_scales

#: Scale of the ends: a byte of a picture is its own code.
PIXEL_SCALE = np.float32(1 / 255)


def bind(model: Model, plan: Plan) -> IntegerGraph:
    """Apply a plan; raises PlanError where it does not belong to the model or cannot be met.

    IntegerGraph.extra: "coarsened" {layer: {channel: (scale of the plan, scale used)}} where sums would not have fit
    int32, and "pad_rounding" {layer: codes}, the largest distance of a pad code from the padding value it stands for.
    """
    model = ended(model, plan.ending or Ending.PINNED)
    structure = analyse(model.graph)
    check_plan(plan, model, structure)
    binder = _Binder(plan, structure)
    for node in model.graph:
        binder.place(node)
    return IntegerGraph(
        nodes=tuple(binder.nodes),
        input=cast(Code, binder.held[INPUT]),
        output=model.graph.output,
        scale=model.scale,
        colour=model.colour,
        extra={"coarsened": binder.coarsened, "pad_rounding": binder.pad_rounding, "method": plan.method},
        sizes=size_rule(model.graph),
        tiles=tile_rule(model.graph),
    )


def picture_code() -> Code:
    """How input and output are held."""
    return Code(8, PIXEL_SCALE, 0, np.ones(INPUT_CHANNELS, np.float32))


@dataclass
class _Binder:
    plan: Plan
    structure: Structure
    held: dict[str, Code | Term] = field(default_factory=lambda: {INPUT: picture_code()})
    nodes: list[IntegerNode] = field(default_factory=list)
    coarsened: dict[str, Mapping[int, tuple[float, float]]] = field(default_factory=dict)
    pad_rounding: dict[str, float] = field(default_factory=dict)

    def place(self, node: Node) -> None:
        """Append the node, and the narrow reading of its tensor where the plan has one."""
        bind_one = _BINDERS[node.op]
        if node.name in self.structure.moves and node.op != "conv":
            bind_one = _move
        try:
            self.append(node, bind_one(self, node))
        except (ValueError, OverflowError) as error:
            raise PlanError(f"plan: {node.op} {node.name!r}: {error}") from error
        if node.name in self.plan.reads:
            self.append(node, self.read(node.name))

    def append(self, of: Node, made: IntegerNode) -> None:
        """An integer node that is made of a node of the graph, and has its size."""
        rows, columns = self.structure.types[of.name].size
        self.held[made.name] = made.output
        self.nodes.append(replace(made, rows=rows, columns=columns))

    def code(self, name: str) -> Code:
        """How a stored tensor is held, also of one that comes later."""
        if name not in self.held:
            node = self.structure.nodes[name]
            self.held[name] = self.result(node)
        held = self.held[name]
        if isinstance(held, Term):
            raise ValueError(f"{name!r} is a term")
        return held

    def planned(self, name: str, plan: TensorPlan) -> Code:
        channels = self.structure.channels[name]
        equal = np.ones(channels, np.float32) if plan.equal is None else np.asarray(plan.equal, np.float32)
        return Code(plan.bits, np.float32(plan.scale), plan.zero, equal)

    def result(self, node: Node) -> Code:
        if node.name in self.structure.moves:
            return _moved_code(self, node)
        return self.planned(node.name, self.plan.tensors[node.name])

    def read(self, name: str) -> IntegerNode:
        out = self.planned(name, self.plan.reads[name])
        params = requantized(self.code(name), out, 0) | bounds(Attrs(), unit(out), out)
        return IntegerNode(name + READ_SUFFIX, "requantize", (name,), Attrs(), params, out, len(out.equal))

    def input_of(self, node: Node, layer: LayerPlan) -> str:
        name, narrow = node.inputs[0], self.structure.weighs_pixels(node)
        return name + READ_SUFFIX if narrow and name in self.plan.reads and not layer.reads_stream else name

    def factor(self, total: Node, index: int) -> F64 | float:
        """What an add multiplies an operand by."""
        given = total.weights.get(f"factor{index}")
        return 1.0 if given is None else given.astype(np.float64)


def _conv(binder: _Binder, node: Node) -> IntegerNode:
    layer, attrs = binder.plan.layers[node.name], cast(ConvAttrs, node.attrs)
    source = binder.input_of(node, layer)
    x = binder.code(source)
    folded = folded_weight(node.weights["weight"], x.equal, attrs.groups)
    bias = node.weights["bias"].astype(np.float64)
    if layer.bias_correction is not None:
        bias = bias + np.asarray(layer.bias_correction)
    codes = layer_codes(folded, bias, x, _with_scales(binder, node, x, layer))
    if codes.coarsened:
        binder.coarsened[node.name] = codes.coarsened
    params: Params = {"weight": codes.weight, "bias": codes.bias, "pad": _pad(binder, node, x)}
    form, step, params_out = _conv_result(binder, node, layer)
    unit_of_sum = float(x.scale) * codes.scales
    multiplier = unit_of_sum / step
    if isinstance(form, Term):
        total = binder.structure.readers[node.name][0]
        multiplier = multiplier * binder.factor(total, total.inputs.index(node.name))
    params |= {"m": rounded(multiplier)} | params_out
    if attrs.activation is Activation.LEAKY:
        params["m_neg"] = rounded(multiplier * node.weights["slope"].astype(np.float64))
    return IntegerNode(
        node.name,
        "conv",
        (source,),
        attrs,
        params,
        form,
        len(bias),
        table_bits=layer.table.bits if layer.table else 0,
        table_zero=layer.table.zero if layer.table else 0,
        weight_bits=layer.weight_bits,
        acc_min=codes.acc_min,
        acc_max=codes.acc_max,
        step=unit_of_sum,
    )


def _with_scales(binder: _Binder, node: Node, x: Code, layer: LayerPlan) -> LayerPlan:
    """The layer with the scales of what only moves codes, where the plan leaves them out."""
    if layer.weight_scales is not None or layer.weight_codes is not None or node.name not in binder.structure.moves:
        return layer
    scales = selection_scales(x.equal[binder.structure.moves[node.name][0]], layer.weight_bits)
    return layer.model_copy(update={"weight_scales": [float(s) for s in scales]})


def _conv_result(binder: _Binder, node: Node, layer: LayerPlan) -> tuple[Code | Term, F64, Params]:
    """How a convolution's result is held, what one step of its requantization is worth (OC,), and its bounds."""
    attrs = cast(ConvAttrs, node.attrs)
    if node.name in binder.structure.terms:
        total = binder.structure.readers[node.name][0]
        term = Term(_fraction(binder, total))
        step = unit(binder.result(total)) / (1 << term.fraction)
        return term, step, bounds(attrs, step, term)
    out = binder.result(node)
    if not attrs.activation.is_table:
        return out, unit(out), bounds(attrs, unit(out), out)
    if layer.table is None:
        raise ValueError(f"layers.{node.name}.table is missing")
    # The table's input is a code of its own, held nowhere.
    index = Code(layer.table.bits, np.float32(layer.table.scale), layer.table.zero, np.ones_like(out.equal))
    params = bounds(Attrs(), unit(index), index)
    params["table"] = code_table(attrs, index, out)
    return out, unit(index), params


def _pad(binder: _Binder, node: Node, x: Code) -> NDArray[np.uint16]:
    """The pad code of every input channel. Other modes than CONSTANT repeat the picture's codes and need none."""
    attrs, values = cast(ConvAttrs, node.attrs), node.weights["pad"].astype(np.float64)
    exact = values / unit(x) + x.zero
    pad = np.clip(np.rint(exact), 0, (1 << x.bits) - 1)
    distance = float(np.abs(pad - exact).max())
    if max(attrs.padding) > 0 and attrs.mode is PadMode.CONSTANT and distance > 0:
        binder.pad_rounding[node.name] = distance
    return pad.astype(np.uint16)


def _fraction(binder: _Binder, node: Node) -> int:
    """Fractional bits of an add's terms: none where that loses nothing or next to nothing.

    An operand on the result's own grid adds an exact integer. Beside it, the rounding of a single other operand is the
    rounding of the sum; in a stream of more than 8 bits a few half steps do not matter.
    """
    out = binder.result(node)
    on_grid = [
        bool(np.all(binder.factor(node, index) == 1)) and _same_step(binder, name, out)
        for index, name in enumerate(node.inputs)
    ]
    shared = any(on_grid) and (out.bits > 8 or len(on_grid) - sum(on_grid) <= 1)
    return fraction_bits(out.bits, shared)


def _same_step(binder: _Binder, name: str, out: Code) -> bool:
    if name in binder.structure.terms:
        return False
    return bool(np.array_equal(unit(binder.code(name)), unit(out)))


def _add(binder: _Binder, node: Node) -> IntegerNode:
    out, fraction = binder.result(node), _fraction(binder, node)
    step = unit(out) / (1 << fraction)
    params = bounds(cast(AddAttrs, node.attrs), unit(out), out)
    for index, name in enumerate(node.inputs):
        if name not in binder.structure.terms:
            m = unit(binder.code(name)) * binder.factor(node, index) / step
            params[f"m{index}"] = rounded(m)
    return IntegerNode(node.name, "add", node.inputs, node.attrs, params, out, len(out.equal), fraction=fraction)


def _concat(binder: _Binder, node: Node) -> IntegerNode:
    out, first = binder.result(node), 0
    params = bounds(node.attrs, unit(out), out)
    for index, name in enumerate(node.inputs):
        operand = binder.code(name)
        chosen = slice(first, first + len(operand.equal))
        first = chosen.stop
        params |= requantized(operand, out, index, unit(out)[chosen])
    return IntegerNode(node.name, "concat", node.inputs, node.attrs, params, out, len(out.equal))


def _mul(binder: _Binder, node: Node) -> IntegerNode:
    left, right = (binder.code(name) for name in node.inputs)
    if left.bits + right.bits > PRODUCT_BITS:
        raise ValueError(f"operands of {left.bits} and {right.bits} bits: their product does not fit int32")
    out = binder.result(node)
    params = {"m": rounded(unit(left) * unit(right) / unit(out))} | bounds(node.attrs, unit(out), out)
    return IntegerNode(node.name, "mul", node.inputs, node.attrs, params, out, len(out.equal))


def _activate(binder: _Binder, node: Node) -> IntegerNode:
    attrs, x, out = cast(ActivateAttrs, node.attrs), binder.code(node.inputs[0]), binder.result(node)
    if attrs.activation.is_table:
        params: Params = {"table": code_table(attrs, x, out)}
        return IntegerNode(node.name, "table", node.inputs, attrs, params, out, len(out.equal))
    params = requantized(x, out, 0) | bounds(attrs, unit(out), out)
    if attrs.activation is Activation.LEAKY:
        params["m_neg0"] = rounded(unit(x) / unit(out) * node.weights["slope"].astype(np.float64))
    return IntegerNode(node.name, "requantize", node.inputs, attrs, params, out, len(out.equal))


def _spatial(binder: _Binder, node: Node) -> IntegerNode:
    """What makes codes of its own of one operand: of a second one, a resize takes the size."""
    out = binder.result(node)
    found = NUMBERS[node.op](node, binder.code(node.inputs[0]), out)
    made = IntegerNode(node.name, node.op, node.inputs, node.attrs, found.params, out, len(out.equal))
    return replace(made, fraction=found.fraction)


def _move(binder: _Binder, node: Node) -> IntegerNode:
    out = binder.code(node.name)
    return IntegerNode(node.name, node.op, node.inputs, node.attrs, {}, out, len(out.equal))


def _moved_code(binder: _Binder, node: Node) -> Code:
    """The operand's code, with the factors where their channels go."""
    x = binder.code(node.inputs[0])
    equal = x.equal[binder.structure.moves[node.name]]
    if not np.all(equal == equal[0]):
        raise ValueError(f"tensors.{binder.structure.source[node.name]}.equal differs between the phases of a channel")
    return replace(x, equal=equal[0])


_BINDERS: Mapping[str, Callable[[_Binder, Node], IntegerNode]] = {
    "conv": _conv,
    "add": _add,
    "concat": _concat,
    "mul": _mul,
    "activate": _activate,
    "gather": _move,
    "depth_to_space": _move,
    "max_pool": _move,
    "resize": _spatial,
    "statistic": _spatial,
    "layer_norm": _spatial,
}
