from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.networks import activate, add, affine, concat, conv, gather, graph, leaky, ops, random_affine, shuffle
from tvmsr.graph.analysis import tensor_types
from tvmsr.graph.canonical import canonicalise, checksum
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Activation, ConvAttrs, Graph, Node


def random_network(seed: int, steps: int) -> Graph:
    """Anything that a frontend may produce, tensors of one size at a time."""
    rng = np.random.default_rng(seed)
    nodes: list[Node] = []
    tensors: list[tuple[str, int]] = [("input", 3)]

    def put(node: Node, channels: int) -> None:
        nodes.append(node)
        tensors.append((node.name, channels))

    for step in range(steps):
        name = f"n{step}"
        source, channels = tensors[-1] if rng.random() < 0.7 else tensors[int(rng.integers(len(tensors)))]
        kind = rng.choice(
            ["conv", "one", "affine", "act", "leaky", "gather", "add", "concat", "branch", "clip", "shuffle"]
        )
        if kind in ("conv", "one"):
            outs = int(rng.choice([channels, 4, 8]))
            put(conv(rng, name, source, channels, outs, (3, 3) if kind == "conv" else (1, 1)), outs)
        elif kind == "affine":
            put(random_affine(rng, name, source, channels, shift=bool(rng.integers(2))), channels)
        elif kind == "act":
            put(activate(name, source, Activation(rng.choice(["relu", "tanh", "silu"]))), channels)
        elif kind == "clip":
            put(activate(name, source, Activation.CLIP, 0.0, float(rng.choice([1.0, 255.0]))), channels)
        elif kind == "leaky":
            put(leaky(name, source, rng.random(channels)), channels)
        elif kind == "gather":
            order = rng.permutation(channels) if rng.integers(2) else rng.integers(0, channels, int(rng.integers(1, 9)))
            put(gather(name, source, [int(c) for c in order]), len(order))
        elif kind == "shuffle" and channels % 4 == 0:
            tensors.clear()
            put(shuffle(name, source), channels // 4)
        elif kind in ("add", "branch"):
            same = [t for t in tensors if t[1] == channels]
            other = same[int(rng.integers(len(same)))][0]
            put(add(name, source, other), channels)
        elif kind == "concat":
            other, more = tensors[int(rng.integers(len(tensors)))]
            if channels + more <= 24:
                put(concat(name, source, other), channels + more)
    if not nodes:
        nodes.append(gather("n0", "input", [2, 1, 0]))
    return graph(*nodes)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 16))
def test_computes_the_same(seed: int, steps: int):
    raw = random_network(seed, steps)
    canonical, clipped = canonicalise(raw)
    x = np.random.default_rng(1).random((6, 5, 3), np.float32)
    a, b = run_fp32(raw, x), run_fp32(canonical, x)
    assert isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    if clipped:
        a, b = np.clip(a, 0, 1), np.clip(b, 0, 1)
    assert np.abs(a - b).max() <= 1e-3 * max(1.0, float(np.abs(a).max()))
    assert "affine" not in ops(canonical)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 16))
def test_is_a_fixed_point(seed: int, steps: int):
    canonical, _ = canonicalise(random_network(seed, steps))
    again, _ = canonicalise(canonical)
    assert len(again.nodes) <= len(canonical.nodes)


def test_torch_style_anchor_network():
    """Mean shift, range 0..255, torch's shuffle order, nearest skip, clip: all of it vanishes into one convolution."""
    rng = np.random.default_rng(3)
    torch_order = [c * 4 + phase for phase in range(4) for c in range(3)]
    first = conv(rng, "head", "shift", 3, 12)
    first = replace(first, weights={**first.weights, "pad": np.zeros(3, np.float32)})
    raw = graph(
        affine("range", "input", [255] * 3, [0] * 3),
        affine("shift", "range", [1] * 3, [-114, -111, -103]),
        first,
        random_affine(rng, "norm", "head", 12),
        activate("relu", "norm", Activation.RELU),
        conv(rng, "tail", "relu", 12, 12),
        gather("order", "tail", torch_order),
        shuffle("up", "order"),
        gather("nearest", "range", [0, 1, 2] * 4),
        shuffle("up_skip", "nearest"),
        add("sum", "up", "up_skip"),
        activate("clip", "sum", Activation.CLIP, 0.0, 255.0),
        affine("back", "clip", [1 / 255] * 3, [0] * 3),
    )
    canonical, clipped = canonicalise(raw)
    assert clipped
    assert sorted(ops(canonical)) == ["add", "conv", "conv", "depth_to_space", "gather"]
    assert np.allclose(canonical.node("head").weights["pad"], np.asarray([114, 111, 103]) / 255)
    assert canonical.node("head").attrs.activation is Activation.RELU
    x = rng.random((8, 9, 3), np.float32)
    a, b = run_fp32(raw, x), run_fp32(canonical, x)
    assert np.abs(a - np.clip(b, 0, 1)).max() < 1e-5
    tensor_types(canonical)


def test_checksum_sees_structure_and_weights():
    rng = np.random.default_rng(0)
    g = graph(conv(rng, "c", "input", 3, 4), activate("r", "c", Activation.RELU))
    same = graph(*g.nodes)
    assert checksum(g) == checksum(same)
    node = g.nodes[0]
    weight = node.weights["weight"].copy()
    weight[0, 0, 0, 0] = np.nextafter(weight[0, 0, 0, 0], np.float32(9))
    others = [
        graph(replace(node, weights={**node.weights, "weight": weight}), g.nodes[1]),
        graph(replace(node, attrs=ConvAttrs((1, 1, 1, 1), dilation=2)), g.nodes[1]),
        graph(node, activate("r", "c", Activation.TANH)),
        graph(*g.nodes, output="c"),
    ]
    assert len({checksum(g), *(checksum(o) for o in others)}) == 5
