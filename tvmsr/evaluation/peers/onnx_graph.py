"""Write a canonical graph as ONNX (NCHW, float32), so that a peer runs the very network that tvmsr compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tvmsr.errors import UsageError
from tvmsr.evaluation.peers.channels import channels_of, input_channels, runs_of
from tvmsr.graph.model import (
    INPUT,
    ActivateAttrs,
    Activation,
    AddAttrs,
    ConvAttrs,
    GatherAttrs,
    Graph,
    Grid,
    Model,
    Node,
    PadMode,
    PoolAttrs,
    Resampling,
    ResizeAttrs,
    ShuffleAttrs,
    Statistic,
    StatisticAttrs,
)

OPSET = 17

#: "As far as it goes" in a Slice.
_END = 2**31 - 1

#: A gather of more stretches than this is one Gather; of fewer, slices put together, which peers run faster.
MOST_SLICES = 16

_SIMPLE = {
    Activation.RELU: "Relu", Activation.TANH: "Tanh", Activation.SIGMOID: "Sigmoid", Activation.SOFTPLUS: "Softplus",
    Activation.ELU: "Elu", Activation.EXP: "Exp", Activation.HARD_SWISH: "HardSwish",
}  # fmt: skip
_GRIDS = {Grid.HALF_PIXEL: "half_pixel", Grid.ALIGN_CORNERS: "align_corners", Grid.ASYMMETRIC: "asymmetric"}
#: floor((i + 1/2) * step) is what rounding the middle of a pixel, halves up, gives.
_NEAREST = {Grid.HALF_PIXEL: "round_prefer_ceil", Grid.ALIGN_CORNERS: "floor", Grid.ASYMMETRIC: "floor"}
_PAD_MODES = {PadMode.REPLICATE: "edge", PadMode.REFLECT: "reflect"}


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.channels = channels_of(graph)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def scalar(self, name: str, value: float) -> str:
        # ascontiguousarray makes a vector of one.
        self.constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def integers(self, name: str, *values: int) -> str:
        return self.constant(name, np.array(values, np.int64))

    def per_channel(self, name: str, value: NDArray[Any]) -> str:
        return self.constant(name, value.reshape(-1, 1, 1).astype(np.float32))

    def add(self, op: str, inputs: Sequence[str], output: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attrs))
        return output

    def activation(self, node: Node, source: str) -> None:
        """The activation of a conv, add or activate node, whose output gets the node's name."""
        attrs, output = cast("ActivateAttrs | AddAttrs | ConvAttrs", node.attrs), node.name
        gain, offset = getattr(attrs, "gain", 1.0), getattr(attrs, "offset", 0.0)
        if (gain, offset) == (1.0, 0.0):
            self._curve(node, source, output)
            return
        curve = self._curve(node, source, f"{output}:curve")
        scaled = self.add("Mul", [curve, self.scalar(f"{output}:gain", gain)], f"{output}:gained")
        self.add("Add", [scaled, self.scalar(f"{output}:offset", offset)], output)

    def _curve(self, node: Node, source: str, output: str) -> str:
        kind = cast("ActivateAttrs | AddAttrs | ConvAttrs", node.attrs).activation
        if kind in _SIMPLE:
            return self.add(_SIMPLE[kind], [source], output)
        if kind not in _CURVES:
            raise _unknown(node, kind.value)
        return _CURVES[kind](self, node, source, output)

    def leaky(self, node: Node, source: str, output: str) -> str:
        slopes = node.weights["slope"]
        if np.all(slopes == slopes.flat[0]):  # peers do it within the convolution
            return self.add("LeakyRelu", [source], output, alpha=float(slopes.flat[0]))
        return self.add("PRelu", [source, self.per_channel(f"{output}:slope", slopes)], output)

    def clip(self, node: Node, source: str, output: str) -> str:
        bounds = [self.scalar(f"{output}:{key}", getattr(node.attrs, key)) for key in ("low", "high")]
        return self.add("Clip", [source, *bounds], output)

    def silu(self, _: Node, source: str, output: str) -> str:
        return self.add("Mul", [source, self.add("Sigmoid", [source], f"{output}:sigmoid")], output)

    def gelu(self, _: Node, source: str, output: str) -> str:
        scaled = self.add("Mul", [source, self.scalar(f"{output}:c", 0.5**0.5)], f"{output}:scaled")
        curve = self.add("Erf", [scaled], f"{output}:erf")
        above = self.add("Add", [curve, self.scalar(f"{output}:1", 1.0)], f"{output}:above")
        half = self.add("Mul", [source, self.scalar(f"{output}:half", 0.5)], f"{output}:halved")
        return self.add("Mul", [half, above], output)

    def hard_sigmoid(self, _: Node, source: str, output: str) -> str:
        return self.add("HardSigmoid", [source], output, alpha=1 / 6, beta=0.5)

    def square(self, _: Node, source: str, output: str) -> str:
        return self.add("Mul", [source, source], output)

    def root(self, _: Node, source: str, output: str) -> str:
        return self.add("Sqrt", [self.add("Relu", [source], f"{output}:positive")], output)

    def conv(self, node: Node) -> None:
        attrs, weight = cast(ConvAttrs, node.attrs), node.weights["weight"]
        source, bias, pad = node.inputs[0], node.weights["bias"].astype(np.float64), node.weights["pad"]
        pads = list(attrs.padding)
        if min(pads) < 0:
            source, pads = self._cropped(node, source, pads), [max(side, 0) for side in pads]
        if attrs.mode is not PadMode.CONSTANT and any(pads):
            source, pads = self._padded(node, source, pads), [0, 0, 0, 0]
        elif np.any(pad) and any(pads):  # ONNX pads with zero: shift the input by the pad value, and the bias back
            shift = self.per_channel(f"{node.name}:pad", pad)
            source = self.add("Sub", [source, shift], f"{node.name}:shifted")
            of_group = np.repeat(pad.reshape(attrs.groups, -1), weight.shape[3] // attrs.groups, 0)
            bias = bias + np.einsum("hwio,oi->o", weight.astype(np.float64), of_group)
        names = [
            self.constant(f"{node.name}:weight", weight.transpose(3, 2, 0, 1).astype(np.float32)),
            self.constant(f"{node.name}:bias", bias.astype(np.float32)),
        ]
        plain = attrs.activation is Activation.NONE
        made = self.add(
            "Conv",
            [source, *names],
            node.name if plain else f"{node.name}:conv",
            pads=pads,
            strides=[attrs.stride] * 2,
            dilations=[attrs.dilation] * 2,
            group=attrs.groups,
            kernel_shape=list(weight.shape[:2]),
        )
        if not plain:
            self.activation(node, made)

    def _cropped(self, node: Node, source: str, pads: list[int]) -> str:
        top, left, bottom, right = (max(-side, 0) for side in pads)
        names = [
            self.integers(f"{node.name}:{key}", *values)
            for key, values in (
                ("from", (top, left)),
                ("to", (-bottom or _END, -right or _END)),
                ("axes", (2, 3)),
            )
        ]
        return self.add("Slice", [source, *names], f"{node.name}:cropped")

    def _padded(self, node: Node, source: str, pads: list[int]) -> str:
        mode = _PAD_MODES[cast(ConvAttrs, node.attrs).mode]
        top, left, bottom, right = pads
        sizes = self.integers(f"{node.name}:pads", 0, 0, top, left, 0, 0, bottom, right)
        return self.add("Pad", [source, sizes], f"{node.name}:padded", mode=mode)

    def sum(self, node: Node) -> None:
        plain = not isinstance(node.attrs, AddAttrs) or node.attrs.activation is Activation.NONE
        total = self._operand(node, 0)
        for i in range(1, len(node.inputs)):
            last = i == len(node.inputs) - 1
            output = node.name if last and plain else f"{node.name}:{i - 1}"
            total = self.add("Add", [total, self._operand(node, i)], output)
        if not plain:
            self.activation(node, total)

    def _operand(self, node: Node, place: int) -> str:
        name, factor = node.inputs[place], node.weights.get(f"factor{place}")
        if factor is None or np.all(factor == 1):
            return name
        constant = self.per_channel(f"{node.name}:factor{place}", factor)
        return self.add("Mul", [name, constant], f"{node.name}:operand{place}")

    def product(self, node: Node) -> None:
        self.add("Mul", list(node.inputs), node.name)

    def concat(self, node: Node) -> None:
        self.add("Concat", list(node.inputs), node.name, axis=1)

    def gather(self, node: Node) -> None:
        channels, source = cast(GatherAttrs, node.attrs).channels, node.inputs[0]
        runs = runs_of(channels)
        if len(runs) > MOST_SLICES:
            index = self.constant(f"{node.name}:index", np.array(channels, np.int64))
            self.add("Gather", [source, index], node.name, axis=1)
            return
        names = [node.name] if len(runs) == 1 else [f"{node.name}:part{i}" for i in range(len(runs))]
        parts = []
        for (first, count), name in zip(runs, names, strict=True):
            if count == self.channels[source] and len(runs) > 1:
                parts.append(source)
                continue
            ends = [self.integers(f"{name}:{k}", v) for k, v in (("from", first), ("to", first + count), ("axis", 1))]
            parts.append(self.add("Slice", [source, *ends], name))
        if len(runs) > 1:
            self.add("Concat", parts, node.name, axis=1)

    def shuffle(self, node: Node) -> None:
        block = cast(ShuffleAttrs, node.attrs).block
        self.add("DepthToSpace", list(node.inputs), node.name, blocksize=block, mode="DCR")

    def activate(self, node: Node) -> None:
        self.activation(node, node.inputs[0])

    def max_pool(self, node: Node) -> None:
        attrs = cast(PoolAttrs, node.attrs)
        shape = {"kernel_shape": list(attrs.kernel), "strides": [attrs.stride] * 2, "pads": list(attrs.padding)}
        self.add("MaxPool", list(node.inputs), node.name, **shape)

    def statistic(self, node: Node) -> None:
        attrs, source, name = cast(StatisticAttrs, node.attrs), node.inputs[0], node.name
        if attrs.kind is Statistic.MAX:
            self.add("ReduceMax", [source], name, axes=[2, 3], keepdims=1)
            return
        if attrs.kind is Statistic.MEAN:
            self.add("ReduceMean", [source], name, axes=[2, 3], keepdims=1)
            return
        if attrs.unbiased:
            raise _unknown(node, "an unbiased variance")
        mean = self.add("ReduceMean", [source], f"{name}:mean", axes=[2, 3], keepdims=1)
        centred = self.add("Sub", [source, mean], f"{name}:centred")
        square = self.add("Mul", [centred, centred], f"{name}:square")
        steps: list[tuple[str, list[str], dict[str, Any]]] = [("ReduceMean", [], {"axes": [2, 3], "keepdims": 1})]
        if attrs.epsilon:
            steps.append(("Add", [self.scalar(f"{name}:epsilon", attrs.epsilon)], {}))
        if attrs.kind is Statistic.DEVIATION:
            steps.append(("Sqrt", [], {}))
        value = square
        for place, (op, more, how) in enumerate(steps, 1):
            value = self.add(op, [value, *more], name if place == len(steps) else f"{name}:step{place}", **how)

    def resize(self, node: Node) -> None:
        """Sizes come from the other tensor's shape: peers fold them where the picture's size is fixed."""
        attrs, source = cast(ResizeAttrs, node.attrs), node.inputs[0]
        how: dict[str, Any] = {
            "mode": attrs.method.value,
            "coordinate_transformation_mode": _GRIDS[attrs.grid],
            "nearest_mode": _NEAREST[attrs.grid],
        }
        if attrs.method is Resampling.CUBIC:
            how["cubic_coeff_a"] = attrs.cubic
        if attrs.factor:
            factors = np.array([1, 1, float(attrs.factor), float(attrs.factor)], np.float32)
            self.add("Resize", [source, "", self.constant(f"{node.name}:factors", factors)], node.name, **how)
            return
        shape = self.add("Shape", [node.inputs[1]], f"{node.name}:shape")
        ends = [self.integers(f"{node.name}:{key}", value) for key, value in (("from", 2), ("to", 4))]
        plane = self.add("Slice", [shape, *ends], f"{node.name}:plane")
        before = self.integers(f"{node.name}:before", 1, self.channels[source])
        sizes = self.add("Concat", [before, plane], f"{node.name}:sizes", axis=0)
        self.add("Resize", [source, "", "", sizes], node.name, **how)


_CURVES: dict[Activation, Callable[[_Writer, Node, str, str], str]] = {
    Activation.LEAKY: _Writer.leaky,
    Activation.CLIP: _Writer.clip,
    Activation.SILU: _Writer.silu,
    Activation.GELU: _Writer.gelu,
    Activation.HARD_SIGMOID: _Writer.hard_sigmoid,
    Activation.SQUARE: _Writer.square,
    Activation.SQRT: _Writer.root,
}

_FORMS: dict[str, Callable[[_Writer, Node], None]] = {
    "conv": _Writer.conv,
    "add": _Writer.sum,
    "mul": _Writer.product,
    "concat": _Writer.concat,
    "gather": _Writer.gather,
    "depth_to_space": _Writer.shuffle,
    "activate": _Writer.activate,
    "max_pool": _Writer.max_pool,
    "statistic": _Writer.statistic,
    "resize": _Writer.resize,
}


def _unknown(node: Node, what: str) -> UsageError:
    return UsageError(f"{node.name}: {what} has no form in ONNX here, so --peer ort cannot run this network")


def onnx_bytes(model: Model, height: int | None, width: int | None) -> bytes:
    """`model` as an ONNX file for pictures of one size (peers are faster with one), or of any where that is None.

    UsageError where it has no form.
    """
    graph = model.graph
    writer = _Writer(graph)
    for node in graph:
        if node.op not in _FORMS:
            raise _unknown(node, node.op)
        _FORMS[node.op](writer, node)
    large = [side * model.scale if side is not None else None for side in (height, width)]
    shapes = ((1, input_channels(graph), height, width), (1, writer.channels[graph.output], *large))
    source = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shapes[0])
    result = helper.make_tensor_value_info(graph.output, TensorProto.FLOAT, shapes[1])
    proto = helper.make_graph(writer.nodes, model.name, [source], [result], writer.constants)
    whole = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString())


def write_onnx(model: Model, path: Path, height: int | None, width: int | None) -> None:
    """Write `model` to `path`, as `onnx_bytes` makes it."""
    path.write_bytes(onnx_bytes(model, height, width))
