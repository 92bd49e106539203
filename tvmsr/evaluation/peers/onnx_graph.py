"""Write a canonical graph as ONNX (NCHW, float32), so that a peer runs the very network that tvmsr compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tvmsr.errors import UsageError
from tvmsr.graph.model import (
    INPUT,
    ActivateAttrs,
    Activation,
    AddAttrs,
    ConvAttrs,
    GatherAttrs,
    Model,
    Node,
    ShuffleAttrs,
)

OPSET = 17
_SIMPLE = {Activation.RELU: "Relu", Activation.TANH: "Tanh", Activation.SIGMOID: "Sigmoid"}


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def scalar(self, name: str, value: float) -> str:
        # ascontiguousarray makes a vector of one.
        self.constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attrs))
        return output

    def activation(self, node: Node, source: str) -> None:
        """The activation of a conv, add or activate node, whose output gets the node's name."""
        attrs, output = cast("ActivateAttrs | AddAttrs | ConvAttrs", node.attrs), node.name
        kind = attrs.activation
        if kind is Activation.LEAKY:
            slope = self.constant(f"{output}:slope", node.weights["slope"].reshape(-1, 1, 1).astype(np.float32))
            self.add("PRelu", [source, slope], output)
        elif kind is Activation.CLIP:
            bounds = [self.scalar(f"{output}:{key}", getattr(attrs, key)) for key in ("low", "high")]
            self.add("Clip", [source, *bounds], output)
        elif kind is Activation.SILU:
            self.add("Mul", [source, self.add("Sigmoid", [source], f"{output}:sigmoid")], output)
        elif kind is Activation.GELU:
            scaled = self.add("Mul", [source, self.scalar(f"{output}:c", 0.5**0.5)], f"{output}:scaled")
            curve = self.add("Erf", [scaled], f"{output}:erf")
            above = self.add("Add", [curve, self.scalar(f"{output}:1", 1.0)], f"{output}:above")
            half = self.add("Mul", [source, self.scalar(f"{output}:half", 0.5)], f"{output}:halved")
            self.add("Mul", [half, above], output)
        else:
            self.add(_SIMPLE[kind], [source], output)

    def conv(self, node: Node) -> None:
        attrs, weight = cast(ConvAttrs, node.attrs), node.weights["weight"]
        source, bias, pad = node.inputs[0], node.weights["bias"].astype(np.float64), node.weights["pad"]
        if np.any(pad):  # ONNX pads with zero: shift the input by the pad value and take the shift back in the bias
            shift = self.constant(f"{node.name}:pad", pad.reshape(-1, 1, 1).astype(np.float32))
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
            pads=list(attrs.padding),
            strides=[attrs.stride] * 2,
            dilations=[attrs.dilation] * 2,
            group=attrs.groups,
        )
        if not plain:
            self.activation(node, made)

    def sum(self, node: Node) -> None:
        plain = not isinstance(node.attrs, AddAttrs) or node.attrs.activation is Activation.NONE
        total = node.inputs[0]
        for i, other in enumerate(node.inputs[1:]):
            last = i == len(node.inputs) - 2
            total = self.add("Add", [total, other], node.name if last and plain else f"{node.name}:{i}")
        if not plain:
            self.activation(node, total)

    def product(self, node: Node) -> None:
        self.add("Mul", list(node.inputs), node.name)

    def concat(self, node: Node) -> None:
        self.add("Concat", list(node.inputs), node.name, axis=1)

    def gather(self, node: Node) -> None:
        index = self.constant(f"{node.name}:index", np.array(cast(GatherAttrs, node.attrs).channels, np.int64))
        self.add("Gather", [node.inputs[0], index], node.name, axis=1)

    def shuffle(self, node: Node) -> None:
        block = cast(ShuffleAttrs, node.attrs).block
        self.add("DepthToSpace", list(node.inputs), node.name, blocksize=block, mode="DCR")

    def activate(self, node: Node) -> None:
        self.activation(node, node.inputs[0])


_FORMS: dict[str, Callable[[_Writer, Node], None]] = {
    "conv": _Writer.conv,
    "add": _Writer.sum,
    "mul": _Writer.product,
    "concat": _Writer.concat,
    "gather": _Writer.gather,
    "depth_to_space": _Writer.shuffle,
    "activate": _Writer.activate,
}


def onnx_bytes(model: Model, height: int, width: int) -> bytes:
    """`model` as an ONNX file with a fixed input size (peers are faster with one). UsageError where it has no form."""
    writer, graph = _Writer(), model.graph
    for node in graph:
        if node.op not in _FORMS:
            raise UsageError(f"{node.name}: {node.op} has no form in ONNX here, so --peer ort cannot run this network")
        _FORMS[node.op](writer, node)
    shapes = (
        (1, 3, height, width),
        (1, 1 if model.colour.value == "y" else 3, height * model.scale, width * model.scale),
    )
    source = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shapes[0])
    result = helper.make_tensor_value_info(graph.output, TensorProto.FLOAT, shapes[1])
    proto = helper.make_graph(writer.nodes, model.name, [source], [result], writer.constants)
    whole = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString())


def write_onnx(model: Model, path: Path, height: int, width: int) -> None:
    """Write `model` to `path`, as `onnx_bytes` makes it."""
    path.write_bytes(onnx_bytes(model, height, width))
