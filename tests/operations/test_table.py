from __future__ import annotations

import numpy as np
import pytest

from tests.graph.networks import affine, conv, leaky
from tvmsr.graph.model import (
    ActivateAttrs,
    Activation,
    AddAttrs,
    ConvAttrs,
    GatherAttrs,
    Node,
    ShuffleAttrs,
    TensorType,
)
from tvmsr.operations.activate import unary
from tvmsr.operations.operation import ShapeError
from tvmsr.operations.table import OPERATIONS, operation_of

RNG = np.random.default_rng(1)


def picture(channels: int, height: int = 5, width: int = 4) -> np.ndarray:
    return RNG.standard_normal((height, width, channels)).astype(np.float32)


def run(node: Node, *inputs: np.ndarray) -> np.ndarray:
    types = tuple(TensorType.scaled(x.shape[2], 1) for x in inputs)
    row = operation_of(node)
    before = [x.copy() for x in inputs]
    out, kind = row.reference(inputs, node), row.shape(types, node)
    assert all(np.array_equal(a, b) for a, b in zip(inputs, before, strict=True)), "inputs are not overwritten"
    assert out.dtype == np.float32
    assert out.shape == (inputs[0].shape[0] * kind.ratio, inputs[0].shape[1] * kind.ratio, kind.channels)
    return out


def test_integer_forms_are_all_of_them():
    from tvmsr.lower.group import LOWERING
    from tvmsr.quant.reference import INTEGER_REFERENCE

    named = {name for row in OPERATIONS.values() for name in row.integer}
    assert named == set(INTEGER_REFERENCE) == set(LOWERING)
    for row in OPERATIONS.values():
        assert set(row.integer_references()) == set(row.lowerings()) == set(row.integer)


def test_add_mul_concat():
    a, b, c = picture(3), picture(3), picture(3)
    assert np.array_equal(run(Node("n", "add", ("a", "b", "c")), a, b, c), a + b + c)
    assert np.array_equal(run(Node("n", "mul", ("a", "b")), a, b), a * b)
    joined = run(Node("n", "concat", ("a", "b")), a, picture(2))
    assert np.array_equal(joined[:, :, :3], a)


def test_gather_and_affine():
    x = picture(3)
    assert np.array_equal(run(Node("n", "gather", ("x",), GatherAttrs((2, 0, 0, 1))), x), x[:, :, [2, 0, 0, 1]])
    assert np.allclose(run(affine("n", "x", [2, 3, 4], [1, 0, -1]), x), x * [2, 3, 4] + [1, 0, -1])


def test_depth_to_space_order():
    x = picture(12)
    out = run(Node("n", "depth_to_space", ("x",), ShuffleAttrs(2)), x)
    for dy in range(2):
        for dx in range(2):
            for c in range(3):
                assert np.array_equal(out[dy::2, dx::2, c], x[:, :, (dy * 2 + dx) * 3 + c])


@pytest.mark.parametrize("kind", list(Activation))
def test_activations(kind: Activation):
    x = 4 * picture(3)
    slope = np.asarray([0.1, 0.2, -0.5], np.float32)
    weights = {"slope": slope} if kind is Activation.LEAKY else {}
    out = run(Node("n", "activate", ("x",), ActivateAttrs(kind, -0.5, 0.75), weights), x)
    wide = x.astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-wide))
    wanted = {
        Activation.NONE: lambda: wide,
        Activation.RELU: lambda: np.maximum(wide, 0),
        Activation.LEAKY: lambda: np.where(wide > 0, wide, wide * slope),
        Activation.CLIP: lambda: np.clip(wide, -0.5, 0.75),
        Activation.TANH: lambda: np.tanh(wide),
        Activation.SIGMOID: lambda: sigmoid,
        Activation.SILU: lambda: wide * sigmoid,
        Activation.GELU: lambda: _gelu(wide),
        Activation.GELU_TANH: lambda: wide / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3))),
        Activation.HARD_SIGMOID: lambda: np.clip(wide / 6 + 0.5, 0, 1),
        Activation.HARD_SWISH: lambda: wide * np.clip(wide / 6 + 0.5, 0, 1),
        Activation.MISH: lambda: wide * np.tanh(np.log1p(np.exp(wide))),
        Activation.SOFTPLUS: lambda: np.log1p(np.exp(wide)),
        Activation.ELU: lambda: np.where(wide > 0, wide, np.exp(wide) - 1),
        Activation.EXP: lambda: np.exp(wide),
        Activation.SQUARE: lambda: wide**2,
        Activation.SQRT: lambda: np.sqrt(np.maximum(wide, 0)),
    }[kind]()
    assert np.allclose(out, wanted, rtol=1e-5, atol=2e-6)
    if kind.is_table:
        assert np.array_equal(unary(kind, x), out)
        gained = run(Node("n", "activate", ("x",), ActivateAttrs(kind, gain=2.0, offset=-0.5)), x)
        assert np.allclose(gained, 2 * out - 0.5)


def _gelu(x: np.ndarray) -> np.ndarray:
    from math import erf

    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def test_extreme_activations_are_finite():
    x = np.full((1, 1, 1), 1e30, np.float32)
    for kind in (Activation.TANH, Activation.SIGMOID, Activation.SILU, Activation.GELU):
        assert np.all(np.isfinite(unary(kind, x))) and np.all(np.isfinite(unary(kind, -x)))


@pytest.mark.parametrize(
    ("node", "channels", "says"),
    [
        (Node("n", "add", ("a",)), [3], "two or more"),
        (Node("n", "add", ("a", "b")), [3, 4], "differ"),
        (Node("n", "mul", ("a", "b", "c")), [3, 3, 3], "two inputs"),
        (Node("n", "gather", ("a",), GatherAttrs((3,))), [3], "beyond the 3"),
        (Node("n", "gather", ("a",), GatherAttrs(())), [3], "no channel"),
        (Node("n", "depth_to_space", ("a",), ShuffleAttrs(2)), [6], "do not divide"),
        (affine("n", "a", [1, 2], [0, 0]), [3], "scale"),
        (leaky("n", "a", [0.1, 0.1]), [3], "slope"),
        (Node("n", "activate", ("a",), ActivateAttrs(Activation.CLIP, 2.0, 1.0)), [3], "not ordered"),
        (conv(RNG, "n", "a", 4, 2), [3], "reads 4 channels, is given 3"),
        (Node("n", "conv", ("a",), ConvAttrs()), [3], "needs a weight"),
        (Node("n", "fft", ("a",)), [3], "unknown operation"),
    ],
)
def test_shape_rules_name_the_node(node: Node, channels: list[int], says: str):
    types = tuple(TensorType.scaled(c, 1) for c in channels)
    with pytest.raises(ShapeError, match=says) as caught:
        operation_of(node).shape(types, node)
    assert "'n'" in str(caught.value)


def test_needs_numpy_only():
    import subprocess
    import sys

    code = (
        "import sys, tvmsr.operations.table, tvmsr.graph.execute, tvmsr.graph.canonical, tvmsr.graph.analysis;"
        "found = {'tvm', 'torch', 'onnx', 'PIL', 'scipy'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("attrs", "want"),
    [
        (AddAttrs(), [-3.0, 0.5, 4.0]),
        (AddAttrs(Activation.RELU), [0.0, 0.5, 4.0]),
        (AddAttrs(Activation.CLIP, -1.0, 2.0), [-1.0, 0.5, 2.0]),
    ],
)
def test_add_applies_its_activation(attrs: AddAttrs, want: list[float]):
    node = Node("sum", "add", ("a", "b"), attrs)
    a, b = np.array([[[-1.0, 0.25, 1.0]]], np.float32), np.array([[[-2.0, 0.25, 3.0]]], np.float32)
    assert np.array_equal(run(node, a.reshape(1, 3, 1), b.reshape(1, 3, 1)).ravel(), np.array(want, np.float32))
