"""Writes LiteRT's file of a network from the ONNX file that tvmsr's writer makes: NCHW becomes NHWC, sizes are fixed.

Only the operations of that writer are known, and of those the ones that the compared networks have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import numpy_helper

Shape = tuple[int, ...]

_SIMPLE = {"Relu": "RELU", "Tanh": "TANH", "Sigmoid": "LOGISTIC", "Sqrt": "SQRT", "Exp": "EXP"}
_BINARY = {"Add": ("ADD", "AddOptions"), "Sub": ("SUB", "SubOptions"), "Mul": ("MUL", "MulOptions")}
#: Where each axis of NCHW lies in NHWC.
_PLACE = (0, 3, 1, 2)


class _Builder:
    """One subgraph. Tensors are known by their ONNX names; shapes are NHWC."""

    def __init__(self, graph: Any) -> None:
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.buffers = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.index: dict[str, int] = {}
        self.shapes: dict[str, Shape] = {}
        self.codes: list[int] = []
        self.operators: list[Any] = []
        self.sizes: dict[str, Shape] = {}

    def tensor(self, name: str, shape: Shape, data: NDArray[Any] | None = None) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.shapeSignature = name.encode(), list(shape), None
        made.type = (
            schema.TensorType.INT32 if data is not None and data.dtype == np.int32 else schema.TensorType.FLOAT32
        )
        made.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            made.buffer = len(self.buffers) - 1
        self.tensors.append(made)
        self.index[name], self.shapes[name] = len(self.tensors) - 1, shape
        return self.index[name]

    def constant(self, name: str, data: NDArray[Any]) -> str:
        self.tensor(name, data.shape, data)
        return name

    def integers(self, name: str, *values: int) -> str:
        return self.constant(name, np.array(values, np.int32))

    def operand(self, name: str) -> str:
        """A tensor, or a constant of ONNX, (C, 1, 1) or one number, as one that broadcasts over NHWC."""
        if name in self.constants and name not in self.index:
            self.constant(name, self.constants[name].reshape(-1).astype(np.float32))
        return name

    def add(
        self, code: str, inputs: Sequence[str], output: str, shape: Shape, kind: str = "", **options: object
    ) -> str:
        number = getattr(schema.BuiltinOperator, code)
        if number not in self.codes:
            self.codes.append(number)
        made = schema.OperatorT()
        made.opcodeIndex = self.codes.index(number)
        made.inputs = [self.index[name] for name in inputs]
        made.outputs = [self.tensor(output, shape)]
        if kind:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                assert hasattr(made.builtinOptions, key), (kind, key)
                setattr(made.builtinOptions, key, value)
        self.operators.append(made)
        return output

    def fused(self, name: str) -> tuple[str, int]:
        """The output of a convolution or sum and its own activation: a ReLU that alone reads it is part of it."""
        readers = self.readers.get(name, [])
        if len(readers) == 1 and readers[0].op_type == "Relu":
            return readers[0].output[0], schema.ActivationFunctionType.RELU
        return name, schema.ActivationFunctionType.NONE


def _attributes(node: Any) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _conv(b: _Builder, node: Any) -> None:
    attrs, source = _attributes(node), node.input[0]
    weight, bias = (b.constants[name] for name in node.input[1:3])
    (outputs, per_group, *kernel), group, stride = weight.shape, attrs["group"], attrs["strides"][0]
    dilation, name = attrs["dilations"][0], node.output[0]
    spans = [(k - 1) * dilation for k in kernel]
    top, left, bottom, right = attrs["pads"]
    same = stride == 1 and [top + bottom, left + right] == spans and top == bottom and left == right
    if any(attrs["pads"]) and not same:
        sides = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        n, h, w, c = b.shapes[source]
        shape = (n, h + top + bottom, w + left + right, c)
        source = b.add("PAD", [source, b.constant(f"{name}:sides", sides)], f"{name}:padded", shape, "PadOptions")
    n, height, width, channels = b.shapes[source]
    area = [height, width] if same else [(s - e - 1) // stride + 1 for s, e in zip((height, width), spans, strict=True)]
    output, activation = b.fused(name)
    padding = schema.Padding.SAME if same and any(spans) else schema.Padding.VALID
    common = {
        "padding": padding, "strideW": stride, "strideH": stride, "dilationWFactor": dilation,
        "dilationHFactor": dilation, "fusedActivationFunction": activation,
    }  # fmt: skip
    depthwise = group == channels and per_group == 1 and group > 1
    form = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)
    names = [source, b.constant(node.input[1], form.astype(np.float32)), b.constant(node.input[2], bias)]
    shape = (n, *area, outputs)
    if depthwise:
        kind = "DepthwiseConv2DOptions"
        b.add("DEPTHWISE_CONV_2D", names, output, shape, kind, depthMultiplier=outputs // group, **common)
    else:
        b.add("CONV_2D", names, output, shape, "Conv2DOptions", **common)


def _simple(b: _Builder, node: Any) -> None:
    if node.output[0] not in b.index:  # else a convolution took it in
        b.add(_SIMPLE[node.op_type], [node.input[0]], node.output[0], b.shapes[node.input[0]])


def _leaky(b: _Builder, node: Any) -> None:
    shape = b.shapes[node.input[0]]
    alpha = float(_attributes(node)["alpha"])
    b.add("LEAKY_RELU", [node.input[0]], node.output[0], shape, "LeakyReluOptions", alpha=alpha)


def _prelu(b: _Builder, node: Any) -> None:
    slope = b.constant(node.input[1], b.constants[node.input[1]].reshape(1, 1, -1))
    b.add("PRELU", [node.input[0], slope], node.output[0], b.shapes[node.input[0]])


def _clip(b: _Builder, node: Any) -> None:
    shape, inner = b.shapes[node.input[0]], f"{node.output[0]}:low"
    b.add("MAXIMUM", [node.input[0], b.operand(node.input[1])], inner, shape, "MaximumMinimumOptions")
    b.add("MINIMUM", [inner, b.operand(node.input[2])], node.output[0], shape, "MaximumMinimumOptions")


def _binary(b: _Builder, node: Any) -> None:
    code, kind = _BINARY[node.op_type]
    names = [b.operand(name) for name in node.input]
    shape = max((b.shapes[name] for name in names), key=lambda s: (len(s), s))
    output, activation = b.fused(node.output[0])
    b.add(code, names, output, shape, kind, fusedActivationFunction=activation)


def _concat(b: _Builder, node: Any) -> None:
    if any(name in b.sizes for name in node.input):  # of a resize
        b.sizes[node.output[0]] = next(b.sizes[name] for name in node.input if name in b.sizes)
        return
    shapes = [b.shapes[name] for name in node.input]
    shape = (*shapes[0][:3], sum(s[3] for s in shapes))
    none = schema.ActivationFunctionType.NONE
    b.add(
        "CONCATENATION", node.input, node.output[0], shape, "ConcatenationOptions", axis=3, fusedActivationFunction=none
    )


def _slice(b: _Builder, node: Any) -> None:
    name, source = node.output[0], node.input[0]
    if source in b.sizes:
        b.sizes[name] = b.sizes[source]
        return
    first, last = (int(b.constants[key][0]) for key in node.input[1:3])
    n, h, w, _ = b.shapes[source]
    shape = (n, h, w, last - first)
    ends = [b.integers(f"{name}:begin", 0, 0, 0, first), b.integers(f"{name}:size", *shape)]
    b.add("SLICE", [source, *ends], name, shape, "SliceOptions")


def _gather(b: _Builder, node: Any) -> None:
    index = b.constants[node.input[1]].astype(np.int32)
    shape = (*b.shapes[node.input[0]][:3], index.size)
    b.add("GATHER", [node.input[0], b.constant(node.input[1], index)], node.output[0], shape, "GatherOptions", axis=3)


def _depth_to_space(b: _Builder, node: Any) -> None:
    block = _attributes(node)["blocksize"]
    n, h, w, c = b.shapes[node.input[0]]
    shape = (n, h * block, w * block, c // block**2)
    b.add("DEPTH_TO_SPACE", [node.input[0]], node.output[0], shape, "DepthToSpaceOptions", blockSize=block)


def _max_pool(b: _Builder, node: Any) -> None:
    attrs = _attributes(node)
    if any(attrs["pads"]):
        raise ValueError(f"{node.name}: a pool with padding has no form here")
    (rows, columns), stride = attrs["kernel_shape"], attrs["strides"][0]
    n, h, w, c = b.shapes[node.input[0]]
    shape = (n, (h - rows) // stride + 1, (w - columns) // stride + 1, c)
    window = {"filterHeight": rows, "filterWidth": columns, "strideH": stride, "strideW": stride}
    valid = schema.Padding.VALID
    b.add("MAX_POOL_2D", [node.input[0]], node.output[0], shape, "Pool2DOptions", padding=valid, **window)


def _mean(b: _Builder, node: Any) -> None:
    n, _, _, c = b.shapes[node.input[0]]
    axes = b.integers(f"{node.output[0]}:axes", *(_PLACE[a] for a in _attributes(node)["axes"]))
    b.add("MEAN", [node.input[0], axes], node.output[0], (n, 1, 1, c), "ReducerOptions", keepDims=True)


def _shape(b: _Builder, node: Any) -> None:
    b.sizes[node.output[0]] = b.shapes[node.input[0]][1:3]


def _resize(b: _Builder, node: Any) -> None:
    attrs, name = _attributes(node), node.output[0]
    grid = attrs["coordinate_transformation_mode"].decode()
    if attrs["mode"] != b"linear" or len(node.input) < 4:
        raise ValueError(f"{node.name}: only a linear resize to another tensor's size has a form here")
    n, _, _, c = b.shapes[node.input[0]]
    height, width = b.sizes[node.input[3]]
    size = b.integers(f"{name}:target", height, width)
    how = {"alignCorners": grid == "align_corners", "halfPixelCenters": grid == "half_pixel"}
    b.add("RESIZE_BILINEAR", [node.input[0], size], name, (n, height, width, c), "ResizeBilinearOptions", **how)


_FORMS: dict[str, Callable[[_Builder, Any], None]] = {
    "Conv": _conv, "LeakyRelu": _leaky, "PRelu": _prelu, "Clip": _clip, "Concat": _concat, "Slice": _slice,
    "Gather": _gather, "DepthToSpace": _depth_to_space, "MaxPool": _max_pool, "ReduceMean": _mean, "Shape": _shape,
    "Resize": _resize, **dict.fromkeys(_SIMPLE, _simple), **dict.fromkeys(_BINARY, _binary),
}  # fmt: skip


@dataclass(frozen=True)
class Lite:
    """A file for LiteRT. tiny: outputs of the convolutions that see a single pixel."""

    data: bytes
    tiny: tuple[str, ...]


def lite(path: Path, *, clip: bool = False) -> Lite:
    """The file of an ONNX network with a fixed input size. ValueError for an operation without a form here.

    clip: behind its end there are a minimum and a ReLU.
    """
    graph = onnx.load(str(path)).graph
    b = _Builder(graph)
    source, result = graph.input[0], graph.output[0].name
    dims = [d.dim_value for d in source.type.tensor_type.shape.dim]
    b.tensor(source.name, tuple(dims[axis] for axis in (0, 2, 3, 1)))
    for node in graph.node:
        if node.op_type not in _FORMS:
            raise ValueError(f"{node.name}: {node.op_type} has no form in LiteRT here")
        _FORMS[node.op_type](b, node)
    result = _clipped(b, result) if clip else result
    made = [b.fused(node.output[0])[0] for node in graph.node if node.op_type == "Conv"]
    return Lite(_packed(b, source.name, result), tuple(name for name in made if b.shapes[name][1:3] == (1, 1)))


def _clipped(b: _Builder, name: str) -> str:
    """The clip to 0..1 as it is found in files of networks that were trained with one: two passes over the picture."""
    shape = b.shapes[name]
    operands = [name, b.constant("white", np.ones(1, np.float32))]
    below = b.add("MINIMUM", operands, f"{name}:below", shape, "MaximumMinimumOptions")
    return b.add("RELU", [below], f"{name}:clipped", shape)


def _packed(b: _Builder, source: str, result: str) -> bytes:
    model, graph, signature = schema.ModelT(), schema.SubGraphT(), schema.SignatureDefT()
    graph.name, graph.tensors, graph.operators = b"main", b.tensors, b.operators
    graph.inputs, graph.outputs = [b.index[source]], [b.index[result]]
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = [], []
    for name, there, where in (("input", source, signature.inputs), ("output", result, signature.outputs)):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), b.index[there]
        where.append(entry)
    codes = []
    for number in b.codes:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        codes.append(code)
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, codes, [graph], b.buffers
    model.signatureDefs, model.description = [signature], b"made for a comparison"
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
