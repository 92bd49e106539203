"""QDQ files of other tools: their scales are the plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tvmsr.commands.calibrate import Calibration, plan_for
from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend import load_model
from tvmsr.graph.model import Activation, ConvAttrs, Mark
from tvmsr.quant.bind import bind
from tvmsr.quant.imported import METHOD
from tvmsr.quant.reference import run

RNG = np.random.default_rng(4)


@dataclass(frozen=True)
class Layer:
    """A convolution as its file has it: int8 weights (OC, IC, 3, 3) with a scale per channel, int32 bias."""

    codes: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    input_scale: float

    @property
    def weight(self) -> np.ndarray:
        return (self.codes * self.scales.reshape(-1, 1, 1, 1)).astype(np.float32)


def layer(ins: int, outs: int, input_scale: float) -> Layer:
    codes = RNG.integers(-127, 128, (outs, ins, 3, 3)).astype(np.int8)
    scales = RNG.uniform(0.5, 1.5, outs).astype(np.float32) / np.float32(127 * 9 * ins)
    return Layer(codes, scales, RNG.integers(-2000, 2000, outs).astype(np.int32), input_scale)


class File:
    """An ONNX graph with quantized tensors. codes: uint8 or int8, as tools write activations."""

    def __init__(self, codes: type = np.uint8) -> None:
        self.codes, self.nodes, self.constants = codes, [], []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def pair(self, name: str, mark: Mark) -> str:
        """QuantizeLinear and DequantizeLinear after a tensor."""
        zero = np.asarray(mark.zero - (128 if self.codes is np.int8 else 0), self.codes)
        with_what = [
            self.constant(f"{name}_scale", np.float32(mark.scale)),
            self.constant(f"{name}_zero", zero),
        ]
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *with_what], [f"{name}_q"]))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", *with_what], [f"{name}_dq"]))
        return f"{name}_dq"

    def conv(self, name: str, x: str, made: Layer) -> str:
        weight = [
            self.constant(f"{name}.weight_quantized", made.codes),
            self.constant(f"{name}.weight_scale", made.scales),
            self.constant(f"{name}.weight_zero", np.zeros(len(made.scales), np.int8)),
        ]
        bias = [
            self.constant(f"{name}.bias_quantized", made.bias),
            self.constant(f"{name}.bias_scale", made.scales * np.float32(made.input_scale)),
        ]
        self.nodes += [
            helper.make_node("DequantizeLinear", weight, [f"{name}.weight_DequantizeLinear_Output"], axis=0),
            helper.make_node("DequantizeLinear", bias, [f"{name}.bias"], axis=0),
            helper.make_node(
                "Conv", [x, f"{name}.weight_DequantizeLinear_Output", f"{name}.bias"], [name], pads=[1, 1, 1, 1]
            ),
        ]
        return name

    def op(self, kind: str, inputs: list[str], name: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], **attrs))
        return name

    def save(self, path: Path, output: str, opset: int) -> Path:
        shape = [1, 3, "h", "w"]
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 3, "H", "W"])],
            self.constants,
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
        return path


MARKS = {
    "a": Mark(8, float(np.float32(0.004)), 0),  # the ReLU is in its range
    "b": Mark(8, float(np.float32(0.006)), 131),
    "l": Mark(8, float(np.float32(0.005)), 30),
    "s": Mark(8, float(np.float32(0.007)), 21),
    "c": Mark(8, float(np.float32(0.008)), 120),
}
PIXEL = float(np.float32(1 / 255))


def network(folder: Path, codes: type = np.uint8, opset: int = 13) -> tuple[Path, dict[str, Layer]]:
    """conv without its ReLU, conv, LeakyReLU, residual add, conv, pixel shuffle: every tensor in a pair."""
    file = File(codes)
    layers = {"a": layer(3, 8, PIXEL), "b": layer(8, 8, MARKS["a"].scale), "c": layer(8, 12, MARKS["s"].scale)}
    picture = file.pair("x", Mark(8, PIXEL, 0))
    first = file.pair(file.conv("a", picture, layers["a"]), MARKS["a"])
    second = file.pair(file.conv("b", first, layers["b"]), MARKS["b"])
    leaky = file.pair(file.op("LeakyRelu", [second], "l", alpha=0.25), MARKS["l"])
    total = file.pair(file.op("Add", [first, leaky], "s"), MARKS["s"])
    last = file.pair(file.conv("c", total, layers["c"]), MARKS["c"])
    output = file.op("DepthToSpace", [last], "y", blocksize=2, mode="CRD")
    return file.save(folder / "net.onnx", output, opset), layers


@pytest.mark.parametrize(("codes", "opset"), [(np.uint8, 13), (np.int8, 13), (np.uint8, 21)])
def test_marks(tmp_path: Path, codes: type, opset: int):
    path, _ = network(tmp_path, codes, opset)
    model = load_model(path)
    marks = model.graph.marks
    assert [node.op for node in model.graph] == ["conv", "conv", "add", "conv", "depth_to_space"]
    first, second = model.graph.nodes[:2]
    assert isinstance(first.attrs, ConvAttrs) and first.attrs.activation is Activation.RELU
    assert (first.name, second.name) == ("a", "b") and marks["a"] == MARKS["a"]
    assert marks["b"] == MARKS["l"], "the pair behind the activation counts"
    assert marks[model.graph.nodes[2].name] == MARKS["s"]


def test_scales_are_the_plan(tmp_path: Path):
    path, layers = network(tmp_path)
    model = load_model(path)
    plan, _ = plan_for(model, Calibration())
    assert plan.method == METHOD and not plan.reads and "weights of 3 of 3" in plan.notes[-1]
    held = plan.tensors["a"]
    assert (held.scale, held.zero, held.bits) == (MARKS["a"].scale, 0, 8)
    for node in bind(model, plan):
        if node.op == "conv":
            wanted = layers[node.name].codes.transpose(2, 3, 1, 0)
            if node.name == "c":  # pixel shuffle: the canonical order of channels
                wanted = wanted[..., [c * 4 + phase for phase in range(4) for c in range(3)]]
            assert np.array_equal(node.params["weight"], wanted)


def test_results_are_those_of_the_file(tmp_path: Path):
    """A code of the output stands for one of its pixels; the file rounds to its own grid twice before."""
    path, layers = network(tmp_path)
    model = load_model(path)
    plan, _ = plan_for(model, Calibration())
    image = RNG.integers(0, 256, (20, 24, 3)).astype(np.uint8)
    ours = run(bind(model, plan), image).astype(np.float64)
    theirs = np.clip(np.rint(emulated(layers, image) * 255), 0, 255)
    assert np.abs(ours - theirs).mean() < 0.75 and np.abs(ours - theirs).max() <= 3


def emulated(layers: dict[str, Layer], image: np.ndarray) -> np.ndarray:
    """The file in float64, rounding wherever it rounds."""

    def rounded(x: np.ndarray, mark: Mark) -> np.ndarray:
        return (np.clip(np.rint(x / mark.scale) + mark.zero, 0, 255) - mark.zero) * mark.scale

    def conv(x: np.ndarray, made: Layer) -> np.ndarray:
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
        bias = made.bias * made.scales.astype(np.float64) * made.input_scale
        return np.einsum("hwcij,ocij->hwo", windows, made.weight.astype(np.float64)) + bias

    first = rounded(conv(image / 255, layers["a"]), MARKS["a"])
    second = rounded(conv(first, layers["b"]), MARKS["b"])
    total = rounded(first + rounded(np.where(second < 0, 0.25 * second, second), MARKS["l"]), MARKS["s"])
    last = rounded(conv(total, layers["c"]), MARKS["c"])
    height, width, _ = last.shape
    return last.reshape(height, width, 3, 2, 2).transpose(0, 3, 1, 4, 2).reshape(2 * height, 2 * width, 3)


def test_other_bits_are_refused(tmp_path: Path):
    model = load_model(network(tmp_path)[0])
    with pytest.raises(UsageError, match="its bits and scales stay"):
        plan_for(model, Calibration(bits="6"))


def test_a_scale_per_channel_of_activations_is_refused(tmp_path: Path):
    file = File()
    scale = file.constant("scale", np.full(8, 0.1, np.float32))
    zero = file.constant("zero", np.zeros(8, np.uint8))
    conv = file.conv("a", "x", layer(3, 8, PIXEL))
    file.op("QuantizeLinear", [conv, scale, zero], "q", axis=1)
    out = file.conv("b", file.op("DequantizeLinear", ["q", scale, zero], "d", axis=1), layer(8, 3, 0.1))
    with pytest.raises(InputFileError, match=r"QuantizeLinear .*scale per channel"):
        load_model(file.save(tmp_path / "net.onnx", out, 13))
