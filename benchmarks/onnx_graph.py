"""Write a canonical graph as ONNX (NCHW, float32), so that a peer runs the very network that tvmsr compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tvmsr.graph.model import INPUT, ActivateAttrs, Activation, ConvAttrs, Graph, Model, Node

OPSET = 17
_SIMPLE = {Activation.RELU: "Relu", Activation.TANH: "Tanh", Activation.SIGMOID: "Sigmoid"}


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attrs))
        return output

    def activation(self, attrs: ConvAttrs | ActivateAttrs, node: Node, source: str, output: str) -> None:
        kind = attrs.activation
        if kind is Activation.LEAKY:
            slope = self.constant(f"{output}:slope", node.weights["slope"].reshape(-1, 1, 1).astype(np.float32))
            self.add("PRelu", [source, slope], output)
        elif kind is Activation.CLIP:
            bounds = [self.constant(f"{output}:{k}", np.float32(getattr(attrs, k))) for k in ("low", "high")]
            self.add("Clip", [source, *bounds], output)
        else:
            self.add(_SIMPLE[kind], [source], output)

    def conv(self, node: Node) -> None:
        attrs, weight = node.attrs, node.weights["weight"]
        assert isinstance(attrs, ConvAttrs)
        source, bias, pad = node.inputs[0], node.weights["bias"].astype(np.float64), node.weights["pad"]
        if np.any(pad):  # ONNX pads with zero: shift the input by the pad value and take the shift back in the bias
            shift = self.constant(f"{node.name}:pad", pad.reshape(-1, 1, 1).astype(np.float32))
            source = self.add("Sub", [source, shift], f"{node.name}:shifted")
            bias = bias + np.einsum("hwio,i->o", weight.astype(np.float64), pad)
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
            self.activation(attrs, node, made, node.name)

    def node(self, node: Node) -> None:
        if node.op == "conv":
            self.conv(node)
        elif node.op == "add":
            total = node.inputs[0]
            for i, other in enumerate(node.inputs[1:]):
                last = i == len(node.inputs) - 2
                total = self.add("Add", [total, other], node.name if last else f"{node.name}:{i}")
        elif node.op == "concat":
            self.add("Concat", list(node.inputs), node.name, axis=1)
        elif node.op == "gather":
            index = self.constant(f"{node.name}:index", np.array(node.attrs.channels, np.int64))
            self.add("Gather", [node.inputs[0], index], node.name, axis=1)
        elif node.op == "depth_to_space":
            self.add("DepthToSpace", list(node.inputs), node.name, blocksize=node.attrs.block, mode="DCR")
        elif node.op == "activate":
            self.activation(node.attrs, node, node.inputs[0], node.name)
        else:
            raise NotImplementedError(f"{node.name}: no ONNX form of {node.op}")


def write_onnx(model: Model, path: Path, height: int, width: int) -> None:
    """Write `model` to `path` with a fixed input size (peers are faster with one)."""
    writer, graph = _Writer(), model.graph
    for node in graph:
        writer.node(node)
    shapes = (
        (1, 3, height, width),
        (1, 1 if model.colour.value == "y" else 3, height * model.scale, width * model.scale),
    )
    source = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shapes[0])
    result = helper.make_tensor_value_info(graph.output, TensorProto.FLOAT, shapes[1])
    proto = helper.make_graph(writer.nodes, model.name, [source], [result], writer.constants)
    whole = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(whole)
    onnx.save(whole, str(path))


__all__ = ["Graph", "write_onnx"]
