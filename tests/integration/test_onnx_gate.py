"""A .onnx file with gates (Mul of two tensors), from the file to the .so."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.integration.artifacts import compare, make
from tests.quant.networks import picture
from tvmsr.frontend import load_model
from tvmsr.runtime import load

WIDTH = 10


def gated_file(path):
    """conv -> (conv * sigmoid(conv)) * trunk -> conv -> shuffle."""
    rng, values = np.random.default_rng(4), {}
    nodes = []

    def conv(name, x, ins, outs, gain=1.0, bias=0.0):
        scale = gain / np.sqrt(9 * ins)
        values[f"{name}.weight"] = (rng.standard_normal((outs, ins, 3, 3)) * scale).astype(np.float32)
        values[f"{name}.bias"] = np.full(outs, bias, np.float32)
        nodes.append(helper.make_node("Conv", [x, f"{name}.weight", f"{name}.bias"], [name], pads=[1] * 4))
        return name

    def node(op, inputs, name, **attrs):
        nodes.append(helper.make_node(op, inputs, [name], **attrs))
        return name

    trunk = node("Relu", [conv("head", "x", 3, WIDTH, 2.0)], "trunk")
    gate = node("Sigmoid", [conv("gate", trunk, WIDTH, WIDTH)], "open")
    inner = node("Mul", [gate, conv("body", trunk, WIDTH, WIDTH)], "inner")
    outer = node("Mul", [inner, trunk], "outer")
    conv("last", outer, WIDTH, 12, 0.3, 0.5)
    node("DepthToSpace", ["last"], "y", blocksize=2, mode="CRD")
    graph = helper.make_graph(
        nodes,
        "gated",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, "h", "w"))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", "c", "H", "W"))],
        [numpy_helper.from_array(value, key) for key, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_onnx_gate(tmp_path):
    path, image = gated_file(tmp_path / "gated.onnx"), picture(5, 34, 27)
    model = load_model(path)
    assert [node.op for node in model.graph].count("mul") == 2
    made = make(model, tmp_path, [picture(), image], rounding=False)  # which trades the largest error for the mean one
    compare(made, image, threads=(1, 2), memory=(1.0, 0.6))

    x = image.transpose(2, 0, 1)[None].astype(np.float32) / 255
    exact = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x})[0][0].transpose(1, 2, 0)
    with load(made.path) as session:
        got = session.upscale(image)
    wanted = np.clip(exact, 0, 1) * 255
    assert wanted.std() > 5
    assert np.abs(got - wanted).max() < 4
