"""FP32 rows that look at more than a window of weights, against PyTorch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.networks import conv
from tests.needs import installed
from tvmsr.graph.model import (
    ConvAttrs,
    Grid,
    LayerNormAttrs,
    Node,
    PadMode,
    PoolAttrs,
    Resampling,
    ResizeAttrs,
    Statistic,
    StatisticAttrs,
    TensorType,
)
from tvmsr.operations.operation import ShapeError
from tvmsr.operations.table import operation_of

torch = installed("torch", "pip install tvmsr[torch]")
RNG = np.random.default_rng(3)


def picture(height: int, width: int, channels: int = 4) -> np.ndarray:
    return RNG.normal(size=(height, width, channels)).astype(np.float32)


def run(node: Node, *inputs: np.ndarray) -> np.ndarray:
    return operation_of(node).reference(inputs, node)


def as_torch(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.transpose(2, 0, 1)[None])


def as_numpy(x: torch.Tensor) -> np.ndarray:
    return x[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("attrs", [PoolAttrs(), PoolAttrs((7, 7), 3), PoolAttrs((3, 3), 2, (1, 1, 1, 1))])
def test_max_pool(attrs: PoolAttrs):
    x = picture(15, 20)
    wanted = torch.nn.functional.max_pool2d(as_torch(x), attrs.kernel, attrs.stride, attrs.padding[0])
    node = Node("n", "max_pool", ("x",), attrs)
    assert np.array_equal(run(node, x), as_numpy(wanted))
    kind = operation_of(node).shape((TensorType.scaled(4, 1),), node)
    assert (kind.rows(15), kind.columns(20)) == tuple(wanted.shape[2:])


@pytest.mark.parametrize("mode", [PadMode.REPLICATE, PadMode.REFLECT])
def test_padding_modes(mode: PadMode):
    x, attrs = picture(9, 7), ConvAttrs((2, 1, 3, 2), mode=mode)
    node = conv(RNG, "n", "x", 4, 5, attrs=attrs)
    padded = torch.nn.functional.pad(as_torch(x), (1, 2, 2, 3), mode=mode.value)
    weight = torch.from_numpy(node.weights["weight"].transpose(3, 2, 0, 1).copy())
    wanted = torch.nn.functional.conv2d(padded, weight, torch.from_numpy(node.weights["bias"]))
    assert np.allclose(run(node, x), as_numpy(wanted), atol=1e-5)


def test_negative_padding_is_a_crop():
    x = picture(9, 8)
    node = conv(RNG, "n", "x", 4, 5, attrs=ConvAttrs((-1, 1, -2, -1)))
    plain = conv(RNG, "n", "x", 4, 5, attrs=ConvAttrs())
    inner = np.concatenate([np.broadcast_to(node.weights["pad"], (6, 1, 4)), x[1:7, :7]], axis=1)
    wanted = run(Node("n", "conv", ("x",), plain.attrs, node.weights), inner)
    assert np.array_equal(run(node, x), wanted)
    kind = operation_of(node).shape((TensorType.scaled(4, 1),), node)
    assert (kind.rows(9), kind.columns(8)) == wanted.shape[:2]


@pytest.mark.parametrize("kind", list(Statistic))
@pytest.mark.parametrize("unbiased", [False, True])
def test_statistics(kind: Statistic, unbiased: bool):
    x = picture(6, 9)
    out = run(Node("n", "statistic", ("x",), StatisticAttrs(kind, 0.25, unbiased)), x)
    flat = torch.from_numpy(x.reshape(-1, 4))
    variance = flat.var(dim=0, unbiased=unbiased)
    wanted = {
        Statistic.MEAN: flat.mean(dim=0),
        Statistic.MAX: flat.max(dim=0).values,
        Statistic.VARIANCE: variance + 0.25,
        Statistic.DEVIATION: (variance + 0.25).sqrt(),
    }[kind]
    assert out.shape == (1, 1, 4) and np.allclose(out[0, 0], wanted.numpy(), atol=1e-6)


def test_layer_norm():
    x, gamma, beta = picture(5, 6), RNG.normal(size=4).astype(np.float32), RNG.normal(size=4).astype(np.float32)
    node = Node("n", "layer_norm", ("x",), LayerNormAttrs(1e-5), {"gamma": gamma, "beta": beta})
    wanted = torch.nn.functional.layer_norm(torch.from_numpy(x), (4,), *map(torch.from_numpy, (gamma, beta)), 1e-5)
    assert np.allclose(run(node, x), wanted.numpy(), atol=1e-5)


_TORCH = {Resampling.LINEAR: "bilinear", Resampling.CUBIC: "bicubic"}


@given(
    method=st.sampled_from([Resampling.LINEAR, Resampling.CUBIC]),
    corners=st.booleans(),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    to=st.tuples(st.integers(1, 19), st.integers(1, 19)),
)
@settings(deadline=None, max_examples=60)
def test_resize_to_a_size(method: Resampling, corners: bool, size: tuple[int, int], to: tuple[int, int]):
    x = picture(*size, 2)
    grid = Grid.ALIGN_CORNERS if corners else Grid.HALF_PIXEL
    out = run(Node("n", "resize", ("x", "y"), ResizeAttrs(method, grid)), x, picture(*to, 1))
    wanted = torch.nn.functional.interpolate(as_torch(x), to, mode=_TORCH[method], align_corners=corners)
    assert np.allclose(out, as_numpy(wanted), atol=1e-4)


@pytest.mark.parametrize(("grid", "mode"), [(Grid.ASYMMETRIC, "nearest"), (Grid.HALF_PIXEL, "nearest-exact")])
@pytest.mark.parametrize("factor", [Fraction(2), Fraction(3), Fraction(1, 2), Fraction(5, 2)])
def test_nearest_by_a_factor(grid: Grid, mode: str, factor: Fraction):
    x = picture(6, 10)
    node = Node("n", "resize", ("x",), ResizeAttrs(Resampling.NEAREST, grid, factor))
    wanted = torch.nn.functional.interpolate(as_torch(x), scale_factor=float(factor), mode=mode)
    assert np.array_equal(run(node, x), as_numpy(wanted))
    kind = operation_of(node).shape((TensorType.scaled(4, 1),), node)
    assert (kind.rows(6), kind.columns(10)) == tuple(wanted.shape[2:])


def test_maps_of_one_pixel_are_broadcast():
    x, gate = picture(4, 5), picture(1, 1)
    whole, one = TensorType.scaled(4, 1), TensorType(4, *(e.then(0, 1) for e in TensorType.scaled(4, 1).size))
    mul, add = (
        Node("n", "mul", ("x", "g")),
        Node("n", "add", ("g", "x"), weights={"factor0": np.full(4, -2, np.float32)}),
    )
    assert np.array_equal(run(mul, x, gate), x * gate) and operation_of(mul).shape((whole, one), mul) == whole
    assert np.array_equal(run(add, gate, x), x + gate * -2) and operation_of(add).shape((one, whole), add) == whole
    with pytest.raises(ShapeError, match="differ"):
        operation_of(mul).shape((one, whole), mul)
