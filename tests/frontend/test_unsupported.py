"""What is not supported is named: all of it at once, where it is, with its attributes, and what could replace it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.frontend import ways
from tvmsr.errors import InputFileError
from tvmsr.frontend import load_model, words
from tvmsr.frontend.onnx_call import Call, GiveUpError
from tvmsr.frontend.onnx_ops import CONVERTERS


def _windows(torch: Any, x: Any) -> Any:
    n, c, h, w = x.shape
    y = x.view(n, c, h // 8, 8, w // 8, 8).permute(0, 2, 4, 3, 5, 1).reshape(-1, 64, c)
    y = torch.softmax(y @ y.transpose(1, 2), -1) @ y
    return y.reshape(n, h // 8, w // 8, 8, 8, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)


#: What a network does to 8 channels, and the words that its error has.
CASES: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, ...]]] = {
    "softmax": (lambda torch, x: torch.softmax(x, 1), ("softmax", "attention without softmax")),
    "windows": (_windows, ("2 unsupported", "matmul", "softmax")),
    "self-attention": (
        lambda torch, x: (x.flatten(2).transpose(1, 2) @ x.flatten(2)).mean() * x,
        ("matmul", "of two tensors"),
    ),
    "einsum": (lambda torch, x: torch.einsum("nchw,ndhw->ncd", x, x).mean() * x, ("einsum", "1x1 convolution")),
    "roll": (lambda torch, x: torch.roll(x, 2, 2), ("roll", "windows of pixels", "shifts=[2]")),
    "unfold": (lambda torch, x: torch.nn.functional.unfold(x, 3).mean() * x, ("im2col", "kernel_size=[3, 3]")),
    "division": (lambda torch, x: x / (x.abs() + 1), ("divide", "division by a tensor", "layer norm over channels")),
    "celu": (lambda torch, x: torch.nn.functional.celu(x, 0.5), ("celu", "another activation")),
    "elu": (lambda torch, x: torch.nn.functional.elu(x, 0.5), ("elu", "with alpha 0.5", "ELU with alpha 1")),
    "cube root": (lambda torch, x: torch.relu(x) ** (1 / 3), ("power", "exponent 0.333333", "the square")),
    "instance norm": (lambda torch, x: torch.nn.functional.instance_norm(x), ("instance_norm", "batch norm")),
    "group norm": (lambda torch, x: torch.nn.functional.group_norm(x, 2), ("group_norm", "num_groups=2")),
    "average without padding": (
        lambda torch, x: torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        ("avg_pool2d", "leaves the padding out", "count_include_pad=False"),
    ),
    "uneven strides": (
        lambda torch, x: torch.nn.functional.max_pool2d(x, 2, (2, 1)), ("max_pool2d", "[2, 1] differ", "equal strides")
    ),
    "antialias": (
        lambda torch, x: torch.nn.functional.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True),
        ("_upsample_bilinear2d_aa",),
    ),
    "flip": (lambda torch, x: torch.flip(x, [2]), ("flip", "outside of the network")),
    "softplus": (
        lambda torch, x: torch.nn.functional.softplus(x, 2, 1.0), ("softplus", "with threshold 1", "threshold is 20")
    ),
    "topk": (lambda torch, x: torch.topk(x, 1, 1)[0] * x, ("topk", "a mean over channels")),
    "maximum over channels": (
        lambda torch, x: x.max(1, keepdim=True)[0] * x, ("max (", "8 channels of 24 x 32", "a mean over channels")
    ),
    "half a mean": (
        lambda torch, x: x * x.mean(3, keepdim=True), ("multiply", "a mean along one side,", "beside a tensor")
    ),
    "a sum": (lambda torch, x: x * x.sum((2, 3), keepdim=True), ("a sum over pixels that is not divided",)),
    "a choice": (lambda torch, x: torch.where(x > 0.1, x, x * 0.1), ("where", "use ReLU, PReLU or LeakyReLU")),
    "matmul": (
        lambda torch, x: (x.flatten(2) @ x.flatten(2).transpose(1, 2)).mean() * x, ("1 unsupported", "of two tensors")
    ),
    "sort": (lambda torch, x: torch.sort(x, 1)[0], ("sort",)),
}  # fmt: skip


def _net(torch: Any, function: Callable[[Any, Any], Any]) -> Any:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.tail = torch.nn.Conv2d(3, 8, 3, 1, 1), torch.nn.Conv2d(8, 3, 3, 1, 1)

        def forward(self, x: Any) -> Any:
            return self.tail(function(torch, self.head(x)))

    return Net().eval()


@pytest.mark.parametrize("case", CASES)
def test_named(torch: ModuleType, case: str):
    function, words = CASES[case]
    with pytest.raises(InputFileError) as caught, ways.quiet():
        load_model(_net(torch, function))
    said = str(caught.value)
    assert "Net: " in said
    for word in words:
        assert word in said, said


def _several(torch: Any, x: Any) -> Any:
    y = torch.softmax(x, 1) + torch.nn.functional.celu(x)
    y = torch.nn.functional.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
    return y + x / (x + 2)


def test_all_at_once(torch: ModuleType):
    with pytest.raises(InputFileError) as caught, ways.quiet():
        load_model(_net(torch, _several))
    said = str(caught.value)
    assert "unsupported operations" in said
    for word in ("softmax", "celu", "divide"):
        assert word in said, said


@pytest.mark.parametrize("dynamo", [False, True])
def test_no_sizes_that_nobody_chose(torch: ModuleType, tmp_path: Path, dynamo: bool):
    """Nodes have their names, and the sizes that stand in for any are not shown."""

    def function(torch: Any, x: Any) -> Any:
        y = x / (x.abs() + 1)
        return x.amax(1, keepdim=True) * x + y

    with pytest.raises(InputFileError) as caught:
        ways.by_onnx(torch, _net(torch, function), tmp_path, dynamo=dynamo, opset=18)
    said = str(caught.value)
    assert "2 unsupported" in said and said.count("makes") == 2
    assert "8 channels of n x m" in said
    for word in ("R.Tensor", "T.Tuple", "960", "1920", "509", "lv"):
        assert word not in said, said


def test_shapes_in_words():
    assert words.shape_in_words((1, 12, 24, 32), 24, 32) == "12 channels of 24 x 32"
    assert words.shape_in_words((1, 1, 1920, 3840), 960, 1920) == "1 channel of 2n x 2m"
    assert words.shape_in_words((1, 64, 480, 960), 960, 1920) == "64 channels of n/2 x m/2"
    assert words.in_words("dimensions [1] of (1, 8, 509, 523)", 509, 523) == "dimensions [1] of 8 channels of n x m"
    assert words.in_words("of (1, 509, 8)", 509, 523) == "of (1, n, 8)"
    kept = words.attributes_in_words('strides=(1, 1), groups=1, data_layout="NCHW", out_dtype=float32')
    assert kept == "strides=(1, 1), groups=1"
    said = "must have the same type. However, R.divide(lv2, lv3) uses R.Tensor((1,))"
    assert words.without_expressions(said) == "must have the same type"


@pytest.mark.parametrize(
    ("kind", "attributes", "said"),
    [
        ("DepthToSpace", {"blocksize": 0}, "with blocksize 0"),
        ("SpaceToDepth", {"blocksize": 0}, "with blocksize 0"),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [0, 0]}, "with strides [0, 0]"),
    ],
)
def test_zeros_in_our_own_words(kind: str, attributes: dict[str, Any], said: str):
    call = Call(None, [None], attributes, None, 1, 17)
    name = "blocksize" if "blocksize" in attributes else "strides"
    with pytest.raises(GiveUpError) as caught:
        call.positive(name, ())
    assert str(caught.value) == said
    assert kind in CONVERTERS


@pytest.mark.parametrize("dynamo", [False, True])
def test_in_onnx(torch: ModuleType, tmp_path: Path, dynamo: bool):
    with pytest.raises(InputFileError) as caught:
        ways.by_onnx(torch, _net(torch, _several), tmp_path, dynamo=dynamo, opset=18)
    said = str(caught.value)
    assert ".onnx: " in said and "node" in said and "makes" in said
    for word in ("Softmax", "elu", "divide"):
        assert word in said, said
