"""What is written for other runtimes: the same network, by ONNX's own reference, and ncnn's text and bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tvmsr.errors import UsageError
from tvmsr.evaluation.peers.channels import channels_of, input_channels, runs_of
from tvmsr.evaluation.peers.luma import on_luma
from tvmsr.evaluation.peers.ncnn_graph import ncnn_files
from tvmsr.evaluation.peers.onnx_graph import onnx_bytes
from tvmsr.graph.execute import run_fp32, run_fp32_tensors
from tvmsr.graph.model import (
    INPUT,
    ActivateAttrs,
    Activation,
    AddAttrs,
    Colour,
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

HEIGHT, WIDTH = 20, 24
LUMA = np.array([65.481, 128.553, 24.966]) / 255


def conv(name: str, source: str, inputs: int, outputs: int, size: int = 3, *, pad: float = 0.0, **attrs) -> Node:
    rng = np.random.default_rng(len(name) + outputs)
    attrs.setdefault("padding", (size // 2,) * 4)
    weights = {
        "weight": rng.normal(0, 0.3, (size, size, inputs, outputs)).astype(np.float32),
        "bias": rng.normal(0, 0.1, outputs).astype(np.float32),
        "pad": np.full(inputs, pad, np.float32),
    }
    if attrs.get("activation") is Activation.LEAKY:
        weights["slope"] = np.full(outputs, 0.05, np.float32)
    return Node(name, "conv", (source,), ConvAttrs(**attrs), weights)


def model_of(*nodes: Node, scale: int = 1, colour: Colour = Colour.RGB) -> Model:
    return Model(Graph(nodes, nodes[-1].name), "made", "made up", scale, colour, False, "", (), "")


def attention() -> Model:
    """What ESA and contrast attention are made of: pools, statistics, 1x1 maps, a resize to another tensor's size."""
    return model_of(
        conv("first", INPUT, 3, 8, activation=Activation.LEAKY),
        conv("small", "first", 8, 4, stride=2, padding=(0, 0, 0, 0)),
        Node("pooled", "max_pool", ("small",), PoolAttrs((3, 3), 2)),
        Node("back", "resize", ("pooled", "first"), ResizeAttrs(Resampling.LINEAR)),
        conv("gate", "back", 4, 8, 1, activation=Activation.SIGMOID),
        Node("gated", "mul", ("first", "gate")),
        Node("mean", "statistic", ("gated",), StatisticAttrs(Statistic.MEAN)),
        Node("deviation", "statistic", ("gated",), StatisticAttrs(Statistic.DEVIATION)),
        Node("most", "statistic", ("gated",), StatisticAttrs(Statistic.MAX)),
        Node("contrast", "add", ("mean", "deviation", "most")),
        conv("weights", "contrast", 8, 8, 1, activation=Activation.RELU),
        Node("weighed", "mul", ("gated", "weights")),
        conv("last", "weighed", 8, 12),
        Node("large", "depth_to_space", ("last",), ShuffleAttrs(2)),
        scale=2,
    )


def beyond_ncnn() -> Model:
    """What only ONNX has a form for here: other paddings, gains, factors, an epsilon, resizes by factors."""
    factor = np.linspace(-1, 1, 6, dtype=np.float32)
    grid = ResizeAttrs(Resampling.CUBIC, Grid.HALF_PIXEL, cubic=-0.5)
    return model_of(
        conv("edge", INPUT, 3, 6, mode=PadMode.REPLICATE, activation=Activation.TANH, gain=2.0, offset=0.25),
        conv("mirror", "edge", 6, 6, mode=PadMode.REFLECT),
        conv("less", "mirror", 6, 6, 1, padding=(-1, -2, -1, -2)),
        Node("same", "resize", ("less", "edge"), grid),
        Node("near", "resize", ("less", "edge"), ResizeAttrs(Resampling.NEAREST, Grid.ASYMMETRIC)),
        Node("sum", "add", ("same", "near"), AddAttrs(), {"factor1": factor}),
        Node("spread", "statistic", ("sum",), StatisticAttrs(Statistic.VARIANCE, 0.1)),
        Node("scaled", "mul", ("sum", "spread")),
        Node("hard", "activate", ("scaled",), ActivateAttrs(Activation.HARD_SIGMOID)),
        Node("root", "activate", ("hard",), ActivateAttrs(Activation.SQRT)),
        Node("some", "gather", ("root",), GatherAttrs((5, 0, 1))),
    )


def picture(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(3).random((HEIGHT, WIDTH, channels), dtype=np.float32)


@pytest.mark.parametrize("model", [attention(), beyond_ncnn()], ids=["attention", "beyond ncnn"])
@pytest.mark.parametrize("sides", [(HEIGHT, WIDTH), (None, None)], ids=["fixed", "any size"])
def test_onnx_is_the_same_network(model: Model, sides: tuple[int | None, int | None]) -> None:
    written = onnx.load_from_string(onnx_bytes(model, *sides))
    (found,) = ReferenceEvaluator(written).run(None, {INPUT: picture().transpose(2, 0, 1)[None]})
    wanted = run_fp32(model, picture())
    assert np.max(np.abs(found[0].transpose(1, 2, 0) - wanted)) < 1e-5


def test_one_slope_is_a_leaky_relu() -> None:
    """Which peers do within a convolution, as they do not with slopes of their own for each channel."""
    kinds = [node.op_type for node in onnx.load_from_string(onnx_bytes(attention(), 8, 8)).graph.node]
    assert "LeakyRelu" in kinds and "PRelu" not in kinds


def test_an_activation_without_a_form() -> None:
    model = model_of(Node("odd", "activate", (INPUT,), ActivateAttrs(Activation.MISH)))
    with pytest.raises(UsageError, match="odd: mish has no form in ONNX"):
        onnx_bytes(model, 8, 8)


@pytest.mark.parametrize(
    "node",
    [
        conv("bad", INPUT, 3, 3, mode=PadMode.REFLECT),
        conv("bad", INPUT, 3, 3, activation=Activation.TANH, gain=2.0),
        Node("bad", "add", (INPUT, INPUT), AddAttrs(), {"factor0": np.full(3, 2, np.float32)}),
        Node("bad", "statistic", (INPUT,), StatisticAttrs(Statistic.DEVIATION, 0.1)),
        Node("bad", "resize", (INPUT, INPUT), ResizeAttrs(Resampling.CUBIC)),
    ],
    ids=["padding", "gain", "factor", "epsilon", "cubic"],
)
def test_what_ncnn_has_no_counterpart_for(node: Node) -> None:
    with pytest.raises(UsageError, match=r"bad: .* has no counterpart in ncnn"):
        ncnn_files(model_of(node))


def test_ncnn_in_float_is_the_same_network() -> None:
    ncnn = pytest.importorskip("ncnn")
    found = _run_ncnn(ncnn, *ncnn_files(attention()))
    assert np.max(np.abs(found - run_fp32(attention(), picture()))) < 1e-5


def test_ncnn_in_int8_is_near_it() -> None:
    ncnn = pytest.importorskip("ncnn")
    found = _run_ncnn(ncnn, *ncnn_files(attention(), _ranges(attention())))
    wanted = run_fp32(attention(), picture())
    error = np.abs(found - wanted)
    assert np.max(error) > 1e-3 and np.mean(error) < 0.1 * np.std(wanted)


def _ranges(model: Model) -> dict[str, float]:
    return {name: float(np.max(np.abs(v))) for name, v in run_fp32_tensors(model, picture()).items()}


def _run_ncnn(ncnn, param: bytes, weights: bytes) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, "a.param"), Path(folder, "a.bin")]
        for file, data in zip(files, (param, weights), strict=True):
            file.write_bytes(data)
        net = ncnn.Net()
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        assert net.load_param(str(files[0])) == 0 and net.load_model(str(files[1])) == 0
        extractor, source = net.create_extractor(), np.ascontiguousarray(picture().transpose(2, 0, 1))
        extractor.input(INPUT, ncnn.Mat(source))  # which does not keep it
        return np.array(extractor.extract("output")[1]).transpose(1, 2, 0)


def test_the_bytes_of_int8() -> None:
    """Two convolutions, the first handing codes to the second: tag, codes, bias, scales; the weights' largest is 31."""
    model = model_of(conv("a", INPUT, 3, 5), conv("b", "a", 5, 2, 1))
    param, weights = ncnn_files(model, {INPUT: 1.0, "a": 4.0, "b": 1.0})
    lines = {line.split()[1]: line for line in param.decode().splitlines()[2:]}
    assert lines["a"].split()[-1] == "8=102" and lines["b"].split()[-1] == "8=2"
    assert int.from_bytes(weights[:4], "little") == 0x000D4B38
    codes = np.frombuffer(weights[4 : 4 + 135], np.int8).reshape(5, -1)
    assert np.array_equal(np.max(np.abs(codes), axis=1), np.full(5, 31))
    assert weights[4 + 135] == 0  # up to four bytes
    rest = np.frombuffer(weights[4 + 136 :][: 4 * (5 + 5 + 1 + 1)], "<f4")
    node = model.graph.node("a")
    assert np.array_equal(rest[:5], node.weights["bias"])
    assert np.allclose(codes / rest[5:10, None], node.weights["weight"].transpose(3, 2, 0, 1).reshape(5, -1), atol=0.02)
    assert np.array_equal(rest[10:], np.array([127, 127 / 4], np.float32))
    assert len(weights) == 4 + 136 + 4 * 12 + 4 + 12 + 4 * (2 + 2 + 1)


def luma_model(pad: float = -16 / 219) -> Model:
    """A network of Y as canonicalisation leaves it: a tap has one weight, times what Y is made of."""
    of_y = conv("first", INPUT, 1, 4, activation=Activation.RELU)
    weights = {
        **of_y.weights,
        "weight": (of_y.weights["weight"] * LUMA[None, None, :, None]).astype(np.float32),
        "bias": of_y.weights["bias"] + np.float32(16 / 255) * of_y.weights["weight"].sum(axis=(0, 1, 2)),
        "pad": np.full(3, pad, np.float32),
    }
    first = Node("first", "conv", (INPUT,), of_y.attrs, weights)
    last = conv("last", "first", 4, 4)
    return model_of(first, last, Node("y", "depth_to_space", ("last",), ShuffleAttrs(2)), scale=2, colour=Colour.Y)


@pytest.mark.parametrize("pad", [-16 / 219, 0.0], ids=["black is 0", "black is 16"])
def test_a_network_on_luma(pad: float) -> None:
    model = luma_model(pad)
    on_y = on_luma(model)
    assert input_channels(on_y.graph) == 1
    wanted = run_fp32(model, picture())
    plane = (16 / 255 + picture().astype(np.float64) @ LUMA)[:, :, None].astype(np.float32)
    assert np.max(np.abs(run_fp32(on_y, plane) - wanted)) < 1e-5


def test_what_is_not_on_luma() -> None:
    with pytest.raises(UsageError, match="computes RGB"):
        on_luma(attention())
    more = model_of(conv("first", INPUT, 3, 1), colour=Colour.Y)
    with pytest.raises(UsageError, match="first reads more of the picture than its Y"):
        on_luma(more)
    other = model_of(Node("first", "gather", (INPUT,), GatherAttrs((0,))), colour=Colour.Y)
    with pytest.raises(UsageError, match="other than by a convolution"):
        on_luma(other)


def test_channels() -> None:
    found = channels_of(attention().graph)
    assert (found[INPUT], found["small"], found["gated"], found["contrast"], found["large"]) == (3, 4, 8, 8, 3)
    assert runs_of((0, 1, 2, 2, 3, 0)) == [(0, 3), (2, 2), (0, 1)]
