"""ONNX files, written with onnx.helper, against ONNX's own reference evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.frontend import states
from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend import load_model
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Activation, Colour, Model

RNG = np.random.default_rng(0)
Weights = dict[str, np.ndarray]


def save(path: Path, nodes: list[onnx.NodeProto], weights: Weights, *, opset: int = 17, shape=(1, 3, "h", "w"),
         outputs: tuple[str, ...] = ("y",), kind: int = TensorProto.FLOAT) -> Path:  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, ["n", "c", "H", "W"]) for name in outputs],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def weight(outs: int, ins: int, size: int = 3) -> np.ndarray:
    return (RNG.standard_normal((outs, ins, size, size)) / np.sqrt(ins * size * size)).astype(np.float32)


def vector(*shape: int) -> np.ndarray:
    return (RNG.random(shape) + 0.2).astype(np.float32)


def check(path: Path, size: tuple[int, int] = (9, 11), **options) -> Model:
    """The imported model computes what the file says."""
    model = load_model(path, **options)
    x = np.random.default_rng(1).random((*size, 3), np.float32)
    wanted = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x.transpose(2, 0, 1)[None]})[0][0].transpose(1, 2, 0)
    got = run_fp32(model, x)
    assert isinstance(got, np.ndarray)
    got = np.clip(got, 0, 1) if model.clip else got
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() < 1e-5
    return model


def anchor_net(state: Weights) -> tuple[list[onnx.NodeProto], Weights]:
    """The default network as ONNX; the anchor as Concat of slices, the shuffle as DepthToSpace CRD."""
    nodes = [
        helper.make_node("Conv", ["x", "conv.0.weight", "conv.0.bias"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "conv.1.weight", "conv.1.bias"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "conv.2.weight", "conv.2.bias"], ["e"], pads=[1] * 4),
        helper.make_node("Split", ["x"], ["r", "g", "b_"], axis=1, **{}),
        helper.make_node("Concat", ["r"] * 4 + ["g"] * 4 + ["b_"] * 4, ["f"], axis=1),
        helper.make_node("Add", ["e", "f"], ["s"]),
        helper.make_node("DepthToSpace", ["s"], ["y"], blocksize=2, mode="CRD"),
    ]
    return nodes, state


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("shape", [(1, 3, "h", "w"), (1, 3, 9, 11), ("n", 3, "h", "w")])
def test_equals_the_family(tmp_path: Path, opset: int, shape: tuple[object, ...]):
    state = states.plain_anchor(2)
    model = check(save(tmp_path / "net.onnx", *anchor_net(state), opset=opset, shape=shape))
    family = load_model(state)
    assert [(n.op, n.attrs) for n in model.graph] == [(n.op, n.attrs) for n in family.graph]
    for a, b in zip(model.graph, family.graph, strict=True):
        assert all(np.array_equal(a.weights[key], b.weights[key]) for key in b.weights)
    assert [n.name for n in model.graph if n.op == "conv"] == ["conv.0", "conv.1", "conv.2"]
    assert model.scale == 2 and "value range 1" in model.assumed[0]


# Before opset 14, onnx's own evaluator computes another BatchNormalization than ONNX Runtime (and we) do.
@pytest.mark.parametrize("opset", [14, 18, 20, 21])
def test_disguises(tmp_path: Path, opset: int):
    """Batch norm, PReLU, x*sigmoid(x), reshape-transpose-reshape, resize, tile, pad, clip, arithmetic."""
    shapes = {"split6": [-1, 3, 2, 2], "pads": [0, 0, 1, 1, 0, 0, 1, 1], "tiles": [1, 4, 1, 1]}
    weights: Weights = {
        "c.weight": weight(12, 3), "c.bias": vector(12), "bn.scale": vector(12), "bn.bias": vector(12),
        "bn.mean": vector(12), "bn.var": vector(12), "slope": vector(12, 1, 1), "d.weight": weight(12, 12),
        "mean": vector(1, 3, 1, 1), "two": np.float32(2), "zero": np.float32(0), "one": np.float32(1),
        "scales": np.asarray([1, 1, 2, 2], np.float32), "empty": np.zeros(0, np.float32),
        "start": np.asarray([2], np.int64), "end": np.asarray([4], np.int64),
        **{key: np.asarray(value, np.int64) for key, value in shapes.items()},
    }  # fmt: skip
    n = helper.make_node
    nodes = [
        n("Sub", ["x", "mean"], ["x0"]),
        n("Pad", ["x0", "pads"], ["x1"]),
        n("Conv", ["x1", "c.weight", "c.bias"], ["a"]),
        n("BatchNormalization", ["a", "bn.scale", "bn.bias", "bn.mean", "bn.var"], ["b"]),
        n("PRelu", ["b", "slope"], ["p"]),
        n("Sigmoid", ["p"], ["g"]),
        n("Mul", ["p", "g"], ["s"]),
        n("Conv", ["s", "d.weight"], ["e"], auto_pad="SAME_UPPER"),
        n("Tile", ["x", "tiles"], ["t"]),
        n("Div", ["e", "two"], ["e2"]),
        n("Add", ["e2", "t"], ["f"]),
        # a shuffle whose sizes are computed from the picture, as exporters write it
        n("Shape", ["f"], ["shape"]),
        n("Slice", ["shape", "start", "end"], ["hw"]),
        n("Concat", ["split6", "hw"], ["six"], axis=0),
        n("Reshape", ["f", "six"], ["r"]),
        n("Transpose", ["r"], ["q"], perm=[0, 1, 4, 2, 5, 3]),
        n("Mul", ["hw", "twos"], ["hw2"]),
        n("Concat", ["head", "hw2"], ["four"], axis=0),
        n("Reshape", ["q", "four"], ["u"]),
        n("Resize", ["x", "empty", "scales"], ["v"], mode="nearest", coordinate_transformation_mode="asymmetric",
          nearest_mode="floor"),
        n("Add", ["u", "v"], ["w"]),
        n("Clip", ["w", "zero", "one"], ["y"]),
    ]  # fmt: skip
    weights |= {"twos": np.asarray([2, 2], np.int64), "head": np.asarray([1, 3], np.int64)}
    model = check(save(tmp_path / "net.onnx", nodes, weights, opset=opset))
    assert model.clip
    assert [node.op for node in model.graph].count("conv") == 2
    assert [node.op for node in model.graph].count("depth_to_space") == 1


@pytest.mark.parametrize(("mode", "rounding"), [("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")])
@pytest.mark.parametrize("block", [2, 3, 4])
def test_nearest_resize(tmp_path: Path, mode: str, rounding: str, block: int):
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest", coordinate_transformation_mode=mode,
                            nearest_mode=rounding)  # fmt: skip
    path = save(tmp_path / "net.onnx", [node], {"scales": np.asarray([1, 1, block, block], np.float32)})
    assert load_model(path).scale == block
    x = RNG.random((3, 4, 3), np.float32)
    assert np.array_equal(run_fp32(load_model(path), x), x.repeat(block, 0).repeat(block, 1))


RESIZES = [
    ({"mode": "linear"}, 2.0),
    ({"mode": "linear", "coordinate_transformation_mode": "align_corners"}, 2.0),
    ({"mode": "linear", "coordinate_transformation_mode": "asymmetric"}, 3.0),
    ({"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}, 2.0),
    ({"mode": "cubic"}, 2.0),
    ({"mode": "cubic", "cubic_coeff_a": -0.5}, 4.0),
    ({"nearest_mode": "round_prefer_ceil"}, 2.0),
    ({"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}, 3.0),
]


@pytest.mark.parametrize(("attrs", "scale"), RESIZES, ids=str)
def test_resizes(tmp_path: Path, attrs: dict[str, str], scale: float):
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **{"mode": "nearest", **attrs})
    check(save(tmp_path / "net.onnx", [node], {"scales": np.asarray([1, 1, scale, scale], np.float32)}))


def test_resize_to_a_computed_size(tmp_path: Path):
    """Down by a stride, and back to the size that Shape says."""
    n = helper.make_node
    nodes = [
        n("Conv", ["x", "w"], ["a"], pads=[1] * 4, strides=[2, 2]),
        n("Shape", ["x"], ["s"]),
        n("Slice", ["s", "two", "four"], ["hw"]),
        n("Shape", ["a"], ["t"]),
        n("Slice", ["t", "zero", "two"], ["nc"]),
        n("Concat", ["nc", "hw"], ["size"], axis=0),
        n("Resize", ["a", "", "", "size"], ["y"], mode="linear"),
    ]
    numbers = {key: np.asarray([value], np.int64) for key, value in (("zero", 0), ("two", 2), ("four", 4))}
    model = check(save(tmp_path / "net.onnx", nodes, {"w": weight(3, 3), **numbers}))
    assert [(node.op, len(node.inputs)) for node in model.graph] == [("conv", 1), ("resize", 2)]
    assert model.graph.nodes[1].inputs[1] == "input"


@pytest.mark.parametrize("opset", [9, 10])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(tmp_path: Path, opset: int, mode: str):
    node = helper.make_node({9: "Upsample", 10: "Resize"}[opset], ["x", "scales"], ["y"], mode=mode)
    model = load_model(
        save(tmp_path / "net.onnx", [node], {"scales": np.asarray([1, 1, 2, 2], np.float32)}, opset=opset)
    )
    x = RNG.random((4, 5, 3), np.float32)
    wanted = x.repeat(2, 0).repeat(2, 1)
    if mode == "linear":  # at i / 2
        between = (
            np.minimum(np.arange(8) // 2 + np.arange(8) % 2, 3),
            np.minimum(np.arange(10) // 2 + np.arange(10) % 2, 4),
        )
        rows = (x.repeat(2, 0) + x[between[0]]) / 2
        wanted = (rows.repeat(2, 1) + rows[:, between[1]]) / 2
    assert np.abs(run_fp32(model, x) - wanted).max() < 1e-6


@pytest.mark.parametrize(
    ("attrs", "says"),
    [
        ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"}, "rounded by ceil; use asymmetric"),
        ({"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop_and_resize coordinates"),
        ({"mode": "cubic", "exclude_outside": 1}, "exclude_outside 0"),
        ({"mode": "linear", "antialias": 1}, "antialias"),
    ],
)
def test_other_resizes_are_named(tmp_path: Path, attrs: dict[str, str], says: str):
    node = helper.make_node("Resize", ["x", "roi", "scales"], ["y"], name="up", **{"mode": "nearest", **attrs})
    weights = {"scales": np.asarray([1, 1, 2, 2], np.float32), "roi": np.asarray([0] * 4 + [1] * 4, np.float32)}
    path = save(tmp_path / "net.onnx", [node], weights, opset=18)
    with pytest.raises(InputFileError, match=rf"(?i)resize.*node up, makes y.*{says}"):
        load_model(path)


@pytest.mark.parametrize(
    ("spelling", "wanted"),
    [
        (["LeakyRelu a y alpha=0.1"], Activation.LEAKY),
        (["Mul a s m", "Max a m y"], Activation.LEAKY),
        (["Relu a y"], Activation.RELU),
        (["Max a z y"], Activation.RELU),
        (["Max a z m", "Min m one y"], Activation.NONE),  # the final clip
        (["Tanh a y"], Activation.TANH),
        (["Mul a half h", "Div a root2 t", "Erf t e", "Add e one p", "Mul h p y"], Activation.GELU),
        (["Div a root2 t", "Erf t e", "Add one e p", "Mul a p q", "Mul q half y"], Activation.GELU),
        (["Neg a n", "Neg n m", "Sub m z y"], Activation.NONE),
    ],
    ids=str,
)
def test_spellings_of_activations(tmp_path: Path, spelling: list[str], wanted: Activation):
    nodes = [helper.make_node("Conv", ["x", "c.weight", "c.bias"], ["a"], pads=[1] * 4)]
    for line in spelling:
        op, *names = line.split()
        attrs = {k: float(v) for k, v in (name.split("=") for name in names if "=" in name)}
        names = [name for name in names if "=" not in name]
        nodes.append(helper.make_node(op, names[:-1], names[-1:], **attrs))
    numbers = {"s": 0.2, "z": 0.0, "one": 1.0, "half": 0.5, "root2": 2**0.5}
    weights = {"c.weight": weight(3, 3), "c.bias": vector(3) - 0.7, **{k: np.float32(v) for k, v in numbers.items()}}
    model = check(save(tmp_path / "net.onnx", nodes, weights))
    assert [node.op for node in model.graph] == ["conv"]
    assert model.graph.nodes[0].attrs.activation is wanted


def test_gray_and_ranges(tmp_path: Path):
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)]
    gray = load_model(save(tmp_path / "g.onnx", nodes, {"w": weight(1, 1)}, shape=(1, 1, "h", "w")))
    assert gray.colour is Colour.Y and "colour y" in " ".join(gray.assumed)
    clipped = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Clip", ["a", "lo", "hi"], ["y"]),
    ]
    weights = {"w": weight(3, 3), "lo": np.float32(0), "hi": np.float32(255)}
    model = load_model(save(tmp_path / "c.onnx", clipped, weights))
    assert model.clip and "value range 255" in " ".join(model.assumed)


def test_unknown_operators_are_all_named_with_their_place(tmp_path: Path):
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], name="attention", axis=1),
        helper.make_node("Celu", ["x"], ["c"], alpha=0.5),
        helper.make_node("Add", ["s", "c"], ["a"]),
        helper.make_node("AveragePool", ["x"], ["b"], name="pool", kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Mul", ["a", "b"], ["y"]),
    ]
    with pytest.raises(InputFileError) as caught:
        load_model(save(tmp_path / "net.onnx", nodes, {}))
    said = str(caught.value)
    assert "3 unsupported operations" in said and "net.onnx" in said
    assert "Softmax (node attention, makes s, axis=1): is not supported; use attention without softmax" in said
    assert "Celu (node without a name, makes c, alpha=0.5): is not supported" in said
    assert "avg_pool2d (node pool, makes b, pool_size=(3, 3)" in said and "count_include_pad, or no padding" in said


def test_operators_of_others(tmp_path: Path):
    nodes = [
        helper.make_node("Fancy", ["x"], ["a"], domain="com.example", name="f"),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    with pytest.raises(InputFileError, match=r"com\.example\.Fancy \(node f, makes a\): is not supported"):
        load_model(save(tmp_path / "net.onnx", nodes, {}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"opset": 8}, "opset 9 to 21"),
        ({"shape": (1, 3, "h")}, "3 dimensions"),
        ({"shape": (1, 4, "h", "w")}, "1 or 3 channels"),
        ({"outputs": ("y", "a")}, "2 outputs"),
        ({"kind": TensorProto.FLOAT16}, "FLOAT16"),
    ],
)
def test_ends_that_do_not_fit(tmp_path: Path, change, says: str):
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    with pytest.raises((InputFileError, UsageError), match=says):
        load_model(save(tmp_path / "net.onnx", nodes, {}, **change))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_truncated(tmp_path: Path, keep: float):
    path = save(tmp_path / "net.onnx", *anchor_net(states.plain_anchor(2)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputFileError, match=r"net\.onnx"):
        load_model(path)
