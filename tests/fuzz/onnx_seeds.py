"""Small ONNX networks that are whole: together they use every converter of the frontend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Node = Callable[..., onnx.NodeProto]
_node: Node = helper.make_node


class Net:
    """Collects nodes and weights; every method returns the name of what it makes."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, value: object, kind: type = np.float32) -> str:
        name = f"k{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def random(self, *shape: int) -> str:
        return self.constant(self.rng.standard_normal(shape) / 4)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        names = [f"n{len(self.nodes)}" + f"_{i}" * (i > 0) for i in range(outputs)]
        self.nodes.append(_node(kind, list(inputs), names, name=f"/{kind}_{len(self.nodes)}", **attributes))
        return names[0]

    def conv(self, x: str, outs: int, ins: int, size: int = 3, **attributes: object) -> str:
        pads = {} if "auto_pad" in attributes else {"pads": [size // 2] * 4}
        return self.op("Conv", x, self.random(outs, ins, size, size), self.random(outs), **{**pads, **attributes})

    def model(self, output: str, opset: int = 17, shape: tuple[object, ...] = (1, 3, "h", "w")) -> onnx.ModelProto:
        self.nodes.append(_node("Identity", [output], ["y"], name="last"))
        graph = helper.make_graph(
            self.nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "H", "W"])], self.weights,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        helper.set_model_props(model, {"license": "MIT"})
        return model


def _anchor() -> onnx.ModelProto:
    net = Net()
    y = net.op("Relu", net.conv("x", 8, 3))
    y = net.conv(net.op("LeakyRelu", net.conv(y, 8, 8), alpha=0.1), 12, 8)
    parts = net.op("Split", "x", outputs=3, axis=1)
    names = [parts, f"{parts}_1", f"{parts}_2"]
    anchor = net.op("Concat", *[name for name in names for _ in range(4)], axis=1)
    return net.model(net.op("DepthToSpace", net.op("Add", y, anchor), blocksize=2, mode="CRD"))


def _disguises() -> onnx.ModelProto:
    net = Net()
    x = net.op("Sub", "x", net.random(1, 3, 1, 1))
    x = net.op("Pad", x, net.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    x = net.op("Conv", x, net.random(12, 3, 3, 3))
    positive = net.constant(net.rng.random(12) + 0.5)
    x = net.op("BatchNormalization", x, net.random(12), net.random(12), net.random(12), positive)
    x = net.op("PRelu", x, net.random(12, 1, 1))
    x = net.op("Mul", x, net.op("Sigmoid", x))
    x = net.conv(x, 12, 12, auto_pad="SAME_UPPER")
    x = net.op("Div", net.op("Add", x, net.op("Tile", "x", net.constant([1, 4, 1, 1], np.int64))), net.constant(2))
    size = net.op("Slice", net.op("Shape", x), net.constant([2], np.int64), net.constant([4], np.int64))
    six = net.op("Concat", net.constant([-1, 3, 2, 2], np.int64), size, axis=0)
    x = net.op("Transpose", net.op("Reshape", x, six), perm=[0, 1, 4, 2, 5, 3])
    twice = net.op("Mul", size, net.constant([2, 2], np.int64))
    x = net.op("Reshape", x, net.op("Concat", net.constant([1, 3], np.int64), twice, axis=0))
    up = net.op("Resize", "x", net.constant([]), net.constant([1, 1, 2, 2]), mode="nearest",
                coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    return net.model(net.op("Clip", net.op("Add", x, up), net.constant(0), net.constant(1)), shape=(1, 3, 9, 11))


def _attention() -> onnx.ModelProto:
    """Channel attention, transposed convolution, pooling, softmax: what larger networks have."""
    net = Net()
    x = net.conv("x", 8, 3)
    mean = net.op("ReduceMean", x, net.constant([2, 3], np.int64), keepdims=1)
    pooled = net.op("Add", net.op("GlobalAveragePool", x), mean)
    gate = net.op("HardSigmoid", net.conv(net.op("Relu", net.conv(pooled, 4, 8, 1)), 8, 4, 1))
    x = net.op("Mul", x, gate)
    x = net.op("Add", x, net.op("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4))
    x = net.op("Gelu", x, approximate="tanh")
    x = net.op("ConvTranspose", x, net.random(8, 3, 4, 4), strides=[2, 2], pads=[1] * 4)
    return net.model(x, opset=20)


def _arithmetic() -> onnx.ModelProto:
    """Spellings of activations, gathers, squeezes, casts, constants in attributes and computed ones."""
    net = Net()
    x = net.conv("x", 8, 3, group=1, dilations=[1, 1])
    x = net.op("Max", x, net.op("Mul", x, net.constant(0.2)))
    half = net.op("Constant", value=numpy_helper.from_array(np.float32(0.5), "half"))
    erf = net.op("Erf", net.op("Div", x, net.constant(2**0.5)))
    x = net.op("Mul", net.op("Mul", x, net.op("Add", erf, net.constant(1))), half)
    ones = net.op("ConstantOfShape", net.constant([1, 8, 1, 1], np.int64), value=helper.make_tensor("v", 1, [1], [2.0]))
    x = net.op("Mul", x, net.op("Expand", ones, net.constant([1, 8, 1, 1], np.int64)))
    first, behind, axis = (net.constant([n], np.int64) for n in (0, 8, 1))
    half_way = net.constant([4], np.int64)
    x = net.op("Concat", net.op("Slice", x, half_way, behind, axis), net.op("Slice", x, first, half_way, axis), axis=1)
    vector = net.op("Unsqueeze", net.op("Squeeze", net.random(8, 1), net.constant([1], np.int64)),
                    net.constant([0, 2, 3], np.int64))  # fmt: skip
    x = net.op("Where", net.op("Greater", x, net.constant(0)), x, net.op("Mul", x, vector))
    x = net.op("Sub", x, net.op("Neg", net.op("Tanh", x)))
    x = net.conv(net.op("Cast", x, to=1), 3, 8)
    return net.model(x, opset=13)


def _norms() -> onnx.ModelProto:
    net = Net()
    x = net.conv("x", 8, 3)
    y = net.op("LayerNormalization", net.op("Transpose", x, perm=[0, 2, 3, 1]), net.random(8), net.random(8))
    y = net.op("MatMul", y, net.random(8, 12))
    y = net.op("Transpose", y, perm=[0, 3, 1, 2])
    up = net.op("Resize", "x", "", net.constant([1, 1, 2, 2]), mode="linear")
    return net.model(net.op("Add", net.op("DepthToSpace", y, blocksize=2), up))


def _pools() -> onnx.ModelProto:
    """What is computed at other sizes, and activations by tables."""
    net = Net()
    x = net.op("SpaceToDepth", "x", blocksize=2)
    x = net.op("Mish", net.conv(x, 8, 12))
    x = net.op("Add", x, net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1))
    x = net.op("Elu", net.conv(net.op("HardSwish", x), 8, 8))
    strong = net.op("ReduceMax", net.op("Softplus", net.conv(x, 8, 8)), net.constant([2, 3], np.int64), keepdims=1)
    x = net.op("Mul", x, net.op("Sigmoid", net.op("Add", strong, net.op("GlobalMaxPool", x))))
    y = net.conv(x, 12, 8)
    return net.model(
        net.op("DepthToSpace", net.op("DepthToSpace", net.conv(y, 48, 12), blocksize=2), blocksize=2), opset=18
    )


SEEDS: tuple[Callable[[], onnx.ModelProto], ...] = (_anchor, _disguises, _attention, _arithmetic, _norms, _pools)
