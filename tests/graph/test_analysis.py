from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.graph.networks import activate, add, conv, gather, graph, leaky, shuffle
from tvmsr.graph.analysis import macs_by_node, macs_per_pixel, parameter_count, receptive_radius, scale_of, tensor_types
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Activation, ConvAttrs, Graph, TensorType
from tvmsr.operations.operation import ShapeError

RNG = np.random.default_rng(0)
NET = graph(
    conv(RNG, "a", "input", 3, 8, (5, 5)),
    leaky("l", "a", [0.1] * 8),
    conv(RNG, "b", "l", 8, 12),
    shuffle("s", "b"),
    conv(RNG, "c", "s", 3, 12, (9, 9)),
    shuffle("t", "c"),
    conv(RNG, "d", "t", 3, 3, (3, 3)),
)


def test_types_and_scale():
    types = tensor_types(NET)
    assert types["s"] == TensorType(3, Fraction(2)) and types["d"] == TensorType(3, Fraction(4))
    assert scale_of(NET) == 4


def test_work_and_size():
    assert macs_by_node(NET) == {"a": 600, "b": 864, "c": 4 * 2916, "d": 16 * 81}
    assert macs_per_pixel(NET) == 600 + 864 + 4 * 2916 + 16 * 81
    assert parameter_count(NET) == 600 + 8 + 8 + 864 + 12 + 2916 + 12 + 81 + 3


def reach(g: Graph, size: int = 41) -> int:
    """The radius, measured: which output pixels change with the middle one of the input."""
    x = np.zeros((size, size, 3), np.float32)
    y = x.copy()
    y[size // 2, size // 2] = 1
    a, b = run_fp32(g, x), run_fp32(g, y)
    assert isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    rows = np.flatnonzero(np.any(a != b, axis=(1, 2))) // (a.shape[0] // size)
    return int(max(size // 2 - rows.min(), rows.max() - size // 2))


def test_receptive_radius_is_what_is_measured():
    assert receptive_radius(NET) == reach(NET) == 6


@pytest.mark.parametrize(
    "attrs", [ConvAttrs((4, 4, 4, 4), dilation=4), ConvAttrs((0, 0, 2, 2)), ConvAttrs((2, 2, 0, 0))]
)
def test_receptive_radius_of_one_conv(attrs: ConvAttrs):
    g = graph(conv(RNG, "a", "input", 3, 3, attrs=attrs))
    assert receptive_radius(g) == reach(g)


def test_longest_way_counts():
    g = graph(conv(RNG, "a", "input", 3, 3), conv(RNG, "b", "a", 3, 3, (7, 7)), add("s", "b", "input"))
    assert receptive_radius(g) == reach(g) == 4


@pytest.mark.parametrize(
    ("g", "says"),
    [
        (graph(activate("r", "x", Activation.RELU)), "before it is made"),
        (graph(gather("g", "input", [0]), gather("g", "input", [1])), "two nodes are called"),
        (graph(gather("g", "input", [0]), output="h"), "'h' is not made"),
    ],
)
def test_broken_graphs(g: Graph, says: str):
    with pytest.raises(ShapeError, match=says):
        tensor_types(g)
