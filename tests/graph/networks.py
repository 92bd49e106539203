"""Small random graphs for tests, and the comparison that every pass has to pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import (
    ActivateAttrs,
    Activation,
    ConvAttrs,
    GatherAttrs,
    Graph,
    Node,
    ShuffleAttrs,
)
from tvmsr.graph.workspace import Rule, apply_rules

Rng = np.random.Generator


def conv(
    rng: Rng,
    name: str,
    source: str,
    ins: int,
    outs: int,
    kernel: tuple[int, int] = (3, 3),
    attrs: ConvAttrs | None = None,
    slope: bool = False,
) -> Node:
    """A convolution with random weights, bias and padding values; same size unless `attrs` say otherwise."""
    if attrs is None:
        top, left = kernel[0] // 2, kernel[1] // 2
        attrs = ConvAttrs((top, left, kernel[0] - 1 - top, kernel[1] - 1 - left))
    weights = {
        "weight": rng.standard_normal((*kernel, ins // attrs.groups, outs)).astype(np.float32) / np.sqrt(9 * ins),
        "bias": rng.standard_normal(outs).astype(np.float32),
        "pad": rng.standard_normal(ins).astype(np.float32),
    }
    if slope:
        weights["slope"] = rng.random(outs, np.float32)
    return Node(name, "conv", (source,), attrs, {k: v.astype(np.float32) for k, v in weights.items()})


def affine(name: str, source: str, scale: Sequence[float], shift: Sequence[float]) -> Node:
    weights = {"scale": np.asarray(scale, np.float32), "shift": np.asarray(shift, np.float32)}
    return Node(name, "affine", (source,), weights=weights)


def random_affine(rng: Rng, name: str, source: str, channels: int, *, shift: bool = True) -> Node:
    """Positive scales, so that it commutes with ReLU where there is no shift."""
    scale = rng.random(channels) + 0.5
    return affine(name, source, scale, rng.standard_normal(channels) if shift else np.zeros(channels))


def leaky(name: str, source: str, slope: Sequence[float]) -> Node:
    return Node(name, "activate", (source,), ActivateAttrs(Activation.LEAKY), {"slope": np.asarray(slope, np.float32)})


def activate(name: str, source: str, kind: Activation, low: float = 0.0, high: float = 1.0) -> Node:
    return Node(name, "activate", (source,), ActivateAttrs(kind, low, high))


def gather(name: str, source: str, channels: Sequence[int]) -> Node:
    return Node(name, "gather", (source,), GatherAttrs(tuple(channels)))


def shuffle(name: str, source: str, block: int = 2) -> Node:
    return Node(name, "depth_to_space", (source,), ShuffleAttrs(block))


def add(name: str, *sources: str) -> Node:
    return Node(name, "add", sources)


def concat(name: str, *sources: str) -> Node:
    return Node(name, "concat", sources)


def graph(*nodes: Node, output: str | None = None) -> Graph:
    return Graph(nodes, output or nodes[-1].name)


def assert_same(before: Graph, after: Graph, *, channels: int = 3, tolerance: float = 2e-4) -> None:
    """Both graphs compute the same picture, borders included."""
    x = np.random.default_rng(5).random((9, 7, channels), np.float32)
    a, b = run_fp32(before, x), run_fp32(after, x)
    assert isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * max(1.0, float(np.abs(a).max()))


def rewritten(before: Graph, rules: Sequence[Rule]) -> Graph:
    """The graph after the rules, checked to compute the same."""
    after = apply_rules(before, rules)
    assert_same(before, after)
    return after


def ops(g: Graph) -> list[str]:
    return [node.op for node in g]
