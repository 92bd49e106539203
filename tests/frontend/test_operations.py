"""Every operation by every way: nn.Module, .pt2 and ONNX of both exporters give one graph, the right one.

The networks are in operation_rows.py. All come as modules and through the older ONNX exporter; the newer one and .pt2
files are slower to make, and some come by them.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.frontend import ways
from tests.frontend.operation_rows import names, rows

#: Sizes at which results are compared; the exports see another one. Multiples of 8, which one network asks for.
SIZES = ((24, 32), (40, 24))
#: What the older exporter has no ONNX for.
NOT_BY_OLDER = (
    "channel shuffle layer", "nearest exact 3", "modulation", "average of whole",
    "tensor split", "tensor split at", "narrow from end",
)  # fmt: skip
#: Exporters fold norms for themselves, in their own precision.
ROUNDED = ("batch norm", "weight norm", "spectral norm")
BY_NEWER = (
    "narrow", "clamp max", "tensor split", "three gates", "std of imdn", "mean of rows", "sum over pixels",
    "pad to multiples",
    "conv 3x5", "conv dilated", "conv padded reflect", "deconv 3 output padding", "layer norm", "layer norm plain",
    "mlp of tokens", "prelu", "gelu", "gelu tanh", "hardswish", "hardsigmoid", "mish", "softplus", "clamp",
    "gelu spelled", "add alpha", "gate per pixel", "split", "chunk gate", "slice channels", "pixel shuffle",
    "pixel unshuffle", "channel shuffle", "nearest 2", "bilinear 2", "bilinear corners", "bicubic 3",
    "bilinear by size", "to another's size", "mean", "squeeze excite", "std", "variance", "global max",
    "max pool 3", "average pool 3", "index channels", "pad reflect", "pad replicate",
)  # fmt: skip
BY_PT2 = (
    "narrow", "clamp max", "clamp tensors", "clip", "dropouts", "weight norm", "spectral norm", "chunk uneven",
    "tensor split", "index select", "three gates", "std of imdn", "mean of rows", "sum over pixels", "rrelu",
    "constants of forward", "pad to multiples",
    "conv grouped", "deconv 4", "layer norm", "mlp of tokens", "prelu", "gelu", "hardswish", "add alpha", "split",
    "pixel unshuffle spelled", "nearest by size", "bilinear by size", "to another's size", "bilinear 1.5 and shuffle",
    "squeeze excite", "std", "average of whole", "max pool ceil", "pad reflect", "crop",
)  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_operation(torch: ModuleType, tmp_path: Path, name: str):
    net = ways.network(torch, rows()[name])
    with ways.quiet():
        model = ways.load_model(net)
    ways.check_values(torch, net, model, SIZES)
    assert "affine" not in [node.op for node in model.graph]
    others = []
    if name not in NOT_BY_OLDER:
        others.append(ways.by_onnx(torch, net, tmp_path, dynamo=False))
    if name in BY_NEWER:
        others.append(ways.by_onnx(torch, net, tmp_path, dynamo=True, opset=18))
    if name in BY_PT2:
        others.append(ways.by_pt2(torch, net, tmp_path))
    for other in others:
        if name in ROUNDED:
            ways.check_values(torch, net, other, SIZES)
        else:
            ways.assert_same_graph(model, other)


@pytest.mark.parametrize("name", ["conv 5x5", "mlp of tokens", "pixel shuffle spelled", "modulation", "std biased"])
def test_fixed_size(torch: ModuleType, tmp_path: Path, name: str):
    """Files of one size, which say less of other ones, give the same graph where nothing depends on it."""
    net = ways.network(torch, rows()[name])
    with ways.quiet():
        model = ways.load_model(net)
    ways.assert_same_graph(model, ways.by_pt2(torch, net, tmp_path, dynamic=False))
    ways.assert_same_graph(model, ways.by_onnx(torch, net, tmp_path, dynamo=False, dynamic=False))


@pytest.mark.parametrize("opset", [9, 11, 13, 18, 20])
@pytest.mark.parametrize(
    "name", ["layer norm", "gelu", "clamp", "split", "nearest 2", "pad reflect", "squeeze excite", "pixel shuffle"]
)
def test_opsets(torch: ModuleType, tmp_path: Path, name: str, opset: int):
    net = ways.network(torch, rows()[name])
    ways.check_values(torch, net, ways.by_onnx(torch, net, tmp_path, dynamo=False, opset=opset), SIZES[:1])
