"""Changes after which an ONNX graph is still well-formed, or nearly: what gets past every check of form."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

Graph = onnx.GraphProto

_UNARY = tuple(
    """
    Relu Sigmoid Tanh Erf Neg Abs Exp Log Sqrt Floor Sign Softplus Softsign Elu Selu LeakyRelu HardSigmoid HardSwish
    Mish Gelu Identity Reciprocal Not Shape Flatten GlobalAveragePool GlobalMaxPool Softmax LogSoftmax Transpose Size
    Dropout IsNaN Cos Round NonZero Squeeze ReduceMean ReduceMax ReduceSum LpNormalization Hardmax ArgMax Unsqueeze Celu
    ThresholdedRelu MeanVarianceNormalization
    """.split()  # noqa: SIM905 - a table of words
)
_BINARY = tuple(
    """
    Add Sub Mul Div Max Min Pow Mod Sum Mean Greater Less Equal MatMul And PRelu Concat Expand Reshape Tile Gather
    GatherElements BitShift CumSum Unsqueeze Resize Slice Pad ConstantOfShape Split Clip Where Range OneHot TopK
    """.split()  # noqa: SIM905 - a table of words
)
_SMALL = (-4, -2, -1, 0, 0, 1, 1, 2, 2, 3, 4, 5, 7, 16, 100, 10**4, 10**7)


def _made(graph: Graph) -> list[str]:
    return ["x", *(name for node in graph.node for name in node.output if name)]


def _operator(rng: random.Random, graph: Graph) -> None:
    node = rng.choice(graph.node)
    node.op_type = rng.choice(_UNARY if len(node.input) == 1 else _BINARY)
    del node.attribute[:]


def _insert(rng: random.Random, graph: Graph) -> None:
    """A node between a tensor and its reader."""
    at = rng.randrange(len(graph.node))
    reader = rng.choice(graph.node[at:])
    if not reader.input:
        return
    place = rng.randrange(len(reader.input))
    source, name = reader.input[place], f"inserted{len(graph.node)}"
    if rng.random() < 0.6:
        node = helper.make_node(rng.choice(_UNARY), [source], [name])
    else:
        others = [*_made(graph), *(tensor.name for tensor in graph.initializer)]
        node = helper.make_node(rng.choice(_BINARY), [source, rng.choice(others)], [name])
    reader.input[place] = name
    nodes = [onnx.NodeProto.FromString(other.SerializeToString()) for other in graph.node]
    nodes.insert(at if rng.random() < 0.9 else len(nodes), node)
    del graph.node[:]
    graph.node.extend(nodes)


def _integers(rng: random.Random, graph: Graph) -> None:
    """One of the sizes, axes or factors in an attribute."""
    attributes = [a for node in graph.node for a in node.attribute if a.ints or a.type == onnx.AttributeProto.INT]
    if not attributes:
        return
    attribute = rng.choice(attributes)
    if attribute.ints and rng.random() < 0.8:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(_SMALL)
    elif attribute.ints:
        values = list(attribute.ints)
        rng.shuffle(values)
        attribute.ints[:] = values if rng.random() < 0.5 else values[:-1]
    else:
        attribute.i = rng.choice(_SMALL)


def _constant(rng: random.Random, graph: Graph) -> None:
    """Values of a constant of sizes; dtype and shape stay."""
    tensors = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT64]
    if tensors:
        tensor = rng.choice(tensors)
        values = numpy_helper.to_array(tensor).copy().reshape(-1)
        for _ in range(rng.choice((1, 1, 2))):
            if values.size:
                values[rng.randrange(values.size)] = rng.choice(_SMALL)
        tensor.raw_data = values.tobytes()


def _weights(rng: random.Random, graph: Graph) -> None:
    """Another shape, type or size of a weight, with values to match."""
    tensor = rng.choice(graph.initializer)
    values = numpy_helper.to_array(tensor)
    dims = list(values.shape)
    action = rng.randrange(5)
    if action == 0:
        rng.shuffle(dims)
        values = values.reshape(dims)
    elif action == 1:
        values = values.astype(rng.choice((np.float64, np.float16, np.int64, np.int32, np.bool_, np.float32)))
    elif action == 2 and dims:
        values = np.resize(values, [rng.choice((d, d, 1, d + 1, max(d - 1, 1))) for d in dims])
    elif action == 3:
        values = rng.choice((values.reshape(-1), values[None], values.reshape(-1)[:1], values.reshape(-1)[:0]))
    else:
        values = (values * rng.choice((0, 1e-30, 1e20, -1))).astype(values.dtype)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def _rewire(rng: random.Random, graph: Graph) -> None:
    """A node reads another tensor that was made before it."""
    at = rng.randrange(len(graph.node))
    node = graph.node[at]
    if node.input:
        before = ["x", *(name for other in graph.node[:at] for name in other.output if name)]
        before += [tensor.name for tensor in graph.initializer]
        node.input[rng.randrange(len(node.input))] = rng.choice(before)


def _swap(rng: random.Random, graph: Graph) -> None:
    node = rng.choice(graph.node)
    names = list(node.input)
    rng.shuffle(names)
    node.input[:] = names


def _picture(rng: random.Random, graph: Graph) -> None:
    """Another size of the input: fixed or not."""
    dims = graph.input[0].type.tensor_type.shape.dim
    sizes = (rng.choice((1, 1, 2)), rng.choice((3, 1, 4)), rng.choice((1, 2, 7, 64)), rng.choice((1, 3, 65, 4096)))
    for dim, size in zip(dims, sizes, strict=False):
        if rng.random() < 0.5:
            dim.dim_value = size
        else:
            dim.dim_param = rng.choice(("h", "w", "n", ""))


def _to_constant(rng: random.Random, graph: Graph) -> None:
    """An initialiser becomes a node, of any of the kinds that there are for it."""
    number = rng.randrange(len(graph.initializer))
    tensor = onnx.TensorProto.FromString(graph.initializer[number].SerializeToString())
    del graph.initializer[number]
    values = numpy_helper.to_array(tensor)
    node = helper.make_node("Constant", [], [tensor.name], value=tensor)
    if values.ndim == 1 and values.size and values.dtype in (np.float32, np.int64) and rng.random() < 0.5:
        key = "value_floats" if values.dtype == np.float32 else "value_ints"
        node = helper.make_node("Constant", [], [tensor.name], **{key: values.tolist()})
    nodes = [onnx.NodeProto.FromString(other.SerializeToString()) for other in graph.node]
    del graph.node[:]
    graph.node.extend([node, *nodes])


SUBTLE: tuple[Callable[[random.Random, Graph], None], ...] = (
    _operator, _operator, _insert, _insert, _integers, _integers, _constant, _constant, _weights, _weights, _rewire,
    _swap, _picture, _to_constant,
)  # fmt: skip
