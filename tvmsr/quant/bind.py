"""bind: a Model with a Plan applied. Every number of an IntegerGraph is computed here, in double, and rounded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import (
    INPUT,
    INPUT_CHANNELS,
    ActivateAttrs,
    Activation,
    AddAttrs,
    Attrs,
    ConvAttrs,
    GatherAttrs,
    Model,
    Node,
    ShuffleAttrs,
)
from tvmsr.quant.check import check_plan
from tvmsr.quant.integer import TERM_LIMIT, Code, IntegerGraph, IntegerNode, Term, fraction_bits
from tvmsr.quant.plan import LayerPlan, Plan, PlanError, TensorPlan
from tvmsr.quant.structure import MOVES, READ_SUFFIX, Structure, analyse
from tvmsr.quant.tables import code_table
from tvmsr.quant.weights import folded_weight, layer_codes

F64 = NDArray[np.float64]
Params = dict[str, NDArray[Any]]

#: Scale of the ends: a byte of a picture is its own code.
PIXEL_SCALE = np.float32(1 / 255)


def bind(model: Model, plan: Plan) -> IntegerGraph:
    """Apply a plan; raises PlanError where it does not belong to the model or cannot be met.

    IntegerGraph.extra: "coarsened" {layer: {channel: (scale of the plan, scale used)}} where sums would not have fit
    int32, and "pad_rounding" {layer: codes}, the largest distance of a pad code from the padding value it stands for.
    """
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
        try:
            self.append(_BINDERS[node.op](self, node))
        except (ValueError, OverflowError) as error:
            raise PlanError(f"plan: {node.op} {node.name!r}: {error}") from error
        if node.name in self.plan.reads:
            self.append(self.read(node.name))

    def append(self, node: IntegerNode) -> None:
        self.held[node.name] = node.output
        self.nodes.append(node)

    def code(self, name: str) -> Code:
        """How a stored tensor is held, also of one that comes later."""
        if name not in self.held:
            node = self.structure.graph.node(name)
            self.held[name] = _moved_code(self, node) if node.op in MOVES else self.result(node)
        held = self.held[name]
        if isinstance(held, Term):
            raise ValueError(f"{name!r} is a term")
        return held

    def planned(self, name: str, plan: TensorPlan) -> Code:
        channels = self.structure.channels[name]
        equal = np.ones(channels, np.float32) if plan.equal is None else np.asarray(plan.equal, np.float32)
        return Code(plan.bits, np.float32(plan.scale), plan.zero, equal)

    def result(self, node: Node) -> Code:
        return self.planned(node.name, self.plan.tensors[node.name])

    def read(self, name: str) -> IntegerNode:
        out = self.planned(name, self.plan.reads[name])
        params = _requantized(self.code(name), out, 0) | _bounds(Attrs(), unit(out), out)
        return IntegerNode(name + READ_SUFFIX, "requantize", (name,), Attrs(), params, out, len(out.equal))

    def input_of(self, node: Node, layer: LayerPlan) -> str:
        name = node.inputs[0]
        return name + READ_SUFFIX if name in self.plan.reads and not layer.reads_stream else name


def unit(code: Code) -> F64:
    """The value of one step of a code, per channel (C,), in double."""
    return float(code.scale) * code.equal.astype(np.float64)


def _rounded(multiplier: F64) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        m = multiplier.astype(np.float32)
    if not np.all(np.isfinite(m)):
        raise ValueError("a multiplier is not finite: the scales of operands and result are too far apart")
    return m


def _range(code: Code) -> tuple[int, int]:
    """Codes minus their zero point."""
    return -code.zero, (1 << code.bits) - 1 - code.zero


def _bounds(attrs: Attrs, step: F64, form: Code | Term) -> Params:
    """Bounds lo and hi (C,) of a result in multiples of `step`, narrowed by the activation of attrs."""
    low, high = _range(form) if isinstance(form, Code) else (-TERM_LIMIT, TERM_LIMIT)
    lo, hi = np.full(step.shape, float(low)), np.full(step.shape, float(high))
    activation = getattr(attrs, "activation", Activation.NONE)
    if activation is Activation.RELU:
        lo = np.maximum(lo, 0.0)
    elif activation is Activation.CLIP:
        clip = cast(ActivateAttrs, attrs)
        lo, hi = (np.clip(np.rint(edge / step), low, high) for edge in (clip.low, clip.high))
    return {"lo": lo.astype(np.float32), "hi": hi.astype(np.float32)}


def _requantized(operand: Code, out: Code, index: int, step: F64 | None = None) -> Params:
    """m{index}: from the operand's codes to multiples of `step` (of the result's codes unless given)."""
    return {f"m{index}": _rounded(unit(operand) / (unit(out) if step is None else step))}


def _conv(binder: _Binder, node: Node) -> IntegerNode:
    layer, attrs = binder.plan.layers[node.name], cast(ConvAttrs, node.attrs)
    source = binder.input_of(node, layer)
    x = binder.code(source)
    folded = folded_weight(node.weights["weight"], x.equal, attrs.groups)
    bias = node.weights["bias"].astype(np.float64)
    if layer.bias_correction is not None:
        bias = bias + np.asarray(layer.bias_correction)
    codes = layer_codes(folded, bias, x, layer)
    if codes.coarsened:
        binder.coarsened[node.name] = codes.coarsened
    params: Params = {"weight": codes.weight, "bias": codes.bias, "pad": _pad(binder, node, x)}
    form, step, params_out = _conv_result(binder, node, layer)
    unit_of_sum = float(x.scale) * codes.scales
    multiplier = unit_of_sum / step
    params |= {"m": _rounded(multiplier)} | params_out
    if attrs.activation is Activation.LEAKY:
        params["m_neg"] = _rounded(multiplier * node.weights["slope"].astype(np.float64))
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


def _conv_result(binder: _Binder, node: Node, layer: LayerPlan) -> tuple[Code | Term, F64, Params]:
    """How a convolution's result is held, what one step of its requantization is worth (OC,), and its bounds."""
    attrs = cast(ConvAttrs, node.attrs)
    if node.name in binder.structure.terms:
        total = binder.structure.readers[node.name][0]
        term = Term(_fraction(binder, total))
        step = unit(binder.result(total)) / (1 << term.fraction)
        return term, step, _bounds(attrs, step, term)
    out = binder.result(node)
    if not attrs.activation.is_table:
        return out, unit(out), _bounds(attrs, unit(out), out)
    if layer.table is None:
        raise ValueError(f"layers.{node.name}.table is missing")
    # The table's input is a code of its own, held nowhere.
    index = Code(layer.table.bits, np.float32(layer.table.scale), layer.table.zero, np.ones_like(out.equal))
    params = _bounds(Attrs(), unit(index), index)
    params["table"] = code_table(attrs.activation, index, out)
    return out, unit(index), params


def _pad(binder: _Binder, node: Node, x: Code) -> NDArray[np.uint16]:
    """The pad code of every input channel."""
    values = node.weights["pad"].astype(np.float64)
    exact = values / unit(x) + x.zero
    pad = np.clip(np.rint(exact), 0, (1 << x.bits) - 1)
    distance = float(np.abs(pad - exact).max())
    if any(cast(ConvAttrs, node.attrs).padding) and distance > 0:
        binder.pad_rounding[node.name] = distance
    return pad.astype(np.uint16)


def _fraction(binder: _Binder, node: Node) -> int:
    """Fractional bits of an add's terms: none where that loses nothing or next to nothing.

    An operand on the result's own grid adds an exact integer. Beside it, the rounding of a single other operand is the
    rounding of the sum; in a stream of more than 8 bits a few half steps do not matter.
    """
    out = binder.result(node)
    on_grid = [_same_step(binder, name, out) for name in node.inputs]
    shared = any(on_grid) and (out.bits > 8 or len(on_grid) - sum(on_grid) <= 1)
    return fraction_bits(out.bits, shared)


def _same_step(binder: _Binder, name: str, out: Code) -> bool:
    if name in binder.structure.terms:
        return False
    return bool(np.array_equal(unit(binder.code(name)), unit(out)))


def _add(binder: _Binder, node: Node) -> IntegerNode:
    out, fraction = binder.result(node), _fraction(binder, node)
    step = unit(out) / (1 << fraction)
    params = _bounds(cast(AddAttrs, node.attrs), unit(out), out)
    for index, name in enumerate(node.inputs):
        if name not in binder.structure.terms:
            params |= _requantized(binder.code(name), out, index, step)
    return IntegerNode(node.name, "add", node.inputs, node.attrs, params, out, len(out.equal), fraction=fraction)


def _concat(binder: _Binder, node: Node) -> IntegerNode:
    out, first = binder.result(node), 0
    params = _bounds(node.attrs, unit(out), out)
    for index, name in enumerate(node.inputs):
        operand = binder.code(name)
        chosen = slice(first, first + len(operand.equal))
        first = chosen.stop
        params |= _requantized(operand, out, index, unit(out)[chosen])
    return IntegerNode(node.name, "concat", node.inputs, node.attrs, params, out, len(out.equal))


def _mul(binder: _Binder, node: Node) -> IntegerNode:
    left, right = (binder.code(name) for name in node.inputs)
    if left.bits + right.bits > 31:
        raise ValueError(f"operands of {left.bits} and {right.bits} bits: their product does not fit int32")
    out = binder.result(node)
    params = {"m": _rounded(unit(left) * unit(right) / unit(out))} | _bounds(node.attrs, unit(out), out)
    return IntegerNode(node.name, "mul", node.inputs, node.attrs, params, out, len(out.equal))


def _activate(binder: _Binder, node: Node) -> IntegerNode:
    attrs, x, out = cast(ActivateAttrs, node.attrs), binder.code(node.inputs[0]), binder.result(node)
    if attrs.activation.is_table:
        params: Params = {"table": code_table(attrs.activation, x, out)}
        return IntegerNode(node.name, "table", node.inputs, attrs, params, out, len(out.equal))
    params = _requantized(x, out, 0) | _bounds(attrs, unit(out), out)
    if attrs.activation is Activation.LEAKY:
        params["m_neg0"] = _rounded(unit(x) / unit(out) * node.weights["slope"].astype(np.float64))
    return IntegerNode(node.name, "requantize", node.inputs, attrs, params, out, len(out.equal))


def _move(binder: _Binder, node: Node) -> IntegerNode:
    out = binder.code(node.name)
    return IntegerNode(node.name, node.op, node.inputs, node.attrs, {}, out, len(out.equal))


def _moved_code(binder: _Binder, node: Node) -> Code:
    """The operand's code, with the factors where their channels go."""
    x = binder.code(node.inputs[0])
    if node.op == "gather":
        return replace(x, equal=x.equal[list(cast(GatherAttrs, node.attrs).channels)])
    equal = x.equal.reshape(cast(ShuffleAttrs, node.attrs).block ** 2, -1)
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
}
