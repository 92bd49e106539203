from __future__ import annotations

import numpy as np
import pytest

from tests.graph.networks import activate, add, conv, gather, graph, leaky, shuffle
from tvmsr.graph.analysis import (
    SizeRule,
    macs_by_node,
    macs_per_pixel,
    parameter_count,
    receptive_radius,
    scale_of,
    size_rule,
    tensor_types,
    tile_rule,
)
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import (
    Activation,
    ConvAttrs,
    GatherAttrs,
    Graph,
    Node,
    PadMode,
    PoolAttrs,
    ResizeAttrs,
    Statistic,
    StatisticAttrs,
    TensorType,
)
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
    assert types["s"] == TensorType.scaled(3, 2) and types["d"] == TensorType.scaled(3, 4)
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


def unshuffled(name: str, source: str, block: int) -> Node:
    """Space to depth, as a convolution."""
    weight = np.eye(block * block * 3, dtype=np.float32).reshape(block, block, 3, -1)
    weights = {"weight": weight, "bias": np.zeros(weight.shape[3], np.float32), "pad": np.zeros(3, np.float32)}
    return Node(name, "conv", (source,), ConvAttrs(stride=block), weights)


def test_sides_are_multiples_where_the_network_halves_them():
    g = graph(
        Node("x4", "gather", ("input",), GatherAttrs((0, 1, 2) * 4)),
        shuffle("x2", "x4"),
        unshuffled("u", "input", 4),
        conv(RNG, "c", "u", 48, 48 * 4),
        shuffle("s", "c", 8),
        add("y", "s", "x2"),
    )
    assert scale_of(g) == 2 and size_rule(g) == SizeRule(4, 4)
    assert tile_rule(g).grid == 4 and not tile_rule(g).whole_because


def esa() -> Graph:
    """The spatial attention of RFDN, without its gate."""
    return graph(
        conv(RNG, "a", "input", 3, 4),
        conv(RNG, "b", "a", 4, 4, attrs=ConvAttrs(stride=2)),
        Node("p", "max_pool", ("b",), PoolAttrs((7, 7), 3)),
        conv(RNG, "c", "p", 4, 4),
        Node("r", "resize", ("c", "a"), ResizeAttrs()),
        Node("m", "mul", ("a", "r")),
        conv(RNG, "d", "m", 4, 3),
    )


def test_attention_over_windows():
    assert scale_of(esa()) == 1 and size_rule(esa()) == SizeRule(15, 1)
    assert "'r' resizes" in tile_rule(esa()).whole_because[0]


def test_attention_over_the_picture():
    g = graph(
        conv(RNG, "a", "input", 3, 4),
        Node("d", "statistic", ("a",), StatisticAttrs(Statistic.DEVIATION)),
        conv(RNG, "w", "d", 4, 4, (1, 1)),
        Node("m", "mul", ("a", "w")),
        conv(RNG, "e", "m", 4, 3),
    )
    assert tile_rule(g).whole_because == ("'d' is the deviation of the whole picture",)
    assert size_rule(g).minimum == 1 and receptive_radius(g) == 2


def test_a_picture_that_shrinks_has_no_scale():
    with pytest.raises(ShapeError, match=r"become \(n-2\) pixels"):
        scale_of(graph(conv(RNG, "a", "input", 3, 3, attrs=ConvAttrs())))
    reflecting = graph(conv(RNG, "a", "input", 3, 3, (7, 7), attrs=ConvAttrs((3, 3, 3, 3), mode=PadMode.REFLECT)))
    assert size_rule(reflecting).minimum == 4
