"""Convolutions in a row become one: exactly, also at the border, and only where that saves work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.graph.networks import add, assert_same, conv, graph, ops, rewritten
from tvmsr.graph.canonical import canonicalise
from tvmsr.graph.model import Activation, ConvAttrs, Node, PadMode
from tvmsr.graph.passes.chains import RULES

RNG = np.random.default_rng(3)
SAME = ConvAttrs((1, 1, 1, 1))


def pair(first: Node, second: Node, *, border: bool = False):
    """Both, the second padded with what the first makes of zeros where asked."""
    if border:
        second = replace(second, weights={**second.weights, "pad": first.weights["bias"]})
    return graph(first, second)


def chain(ins: int, mid: int, outs: int, a: ConvAttrs, b: ConvAttrs, sizes: tuple[int, int], **kwargs):
    first = conv(RNG, "a", "input", ins, mid, (sizes[0], sizes[0]), a)
    return pair(first, conv(RNG, "b", "a", mid, outs, (sizes[1], sizes[1]), b), **kwargs)


@pytest.mark.parametrize(
    ("network", "kernel"),
    [
        (chain(3, 32, 4, SAME, ConvAttrs(), (3, 1)), 3),
        (chain(3, 32, 4, replace(SAME, stride=2), ConvAttrs(), (3, 1)), 3),
        (chain(3, 32, 4, replace(SAME, mode=PadMode.REFLECT), ConvAttrs(), (3, 1)), 3),
        (chain(3, 32, 4, ConvAttrs(), ConvAttrs(), (1, 3)), 3),
        (chain(3, 32, 4, ConvAttrs(), SAME, (1, 3), border=True), 3),
        (chain(3, 32, 4, ConvAttrs(), replace(SAME, mode=PadMode.REPLICATE), (1, 3)), 3),
        (chain(3, 32, 4, ConvAttrs(), replace(SAME, stride=2), (1, 3), border=True), 3),
        (chain(3, 64, 3, ConvAttrs((2, 2, 2, 2)), ConvAttrs(), (3, 3)), 5),
        (chain(3, 32, 4, SAME, ConvAttrs(activation=Activation.RELU), (3, 1)), 3),
    ],
)
def test_merges(network, kernel):
    after = rewritten(network, RULES)
    assert ops(after) == ["conv"] and after.nodes[0].weights["weight"].shape[:2] == (kernel, kernel)
    assert_same(network, after)


def test_groups():
    first = conv(RNG, "a", "input", 3, 24, (3, 3), replace(SAME, groups=3))
    network = graph(first, conv(RNG, "b", "a", 24, 6, (1, 1), ConvAttrs(groups=3)))
    after = rewritten(network, RULES)
    assert ops(after) == ["conv"]
    assert_same(network, after)


@pytest.mark.parametrize(
    "network",
    [
        chain(3, 32, 4, ConvAttrs(), SAME, (1, 3)),  # the border would be another
        chain(3, 8, 8, SAME, SAME, (3, 3)),
        chain(3, 4, 32, SAME, ConvAttrs(), (3, 1)),  # two cost less than one
        chain(3, 32, 4, replace(SAME, activation=Activation.RELU), ConvAttrs(), (3, 1)),
        graph(conv(RNG, "a", "input", 3, 8, (1, 1)), conv(RNG, "b", "a", 8, 8, (3, 3), ConvAttrs(groups=8))),
    ],
)
def test_leaves(network):
    assert ops(rewritten(network, RULES)) == ["conv", "conv"]


def test_two_readers():
    first = conv(RNG, "a", "input", 3, 8, (3, 3))
    network = graph(first, conv(RNG, "b", "a", 8, 8, (1, 1)), add("c", "a", "b"))
    assert ops(rewritten(network, RULES)) == ["conv", "conv", "add"]


def test_a_block_of_chains_is_one_convolution():
    """1x1-3x3-1x1 beside 1x1, as SPAN trains it."""
    grown = conv(RNG, "a", "input", 3, 6, (1, 1))
    middle = conv(RNG, "b", "a", 6, 6, (3, 3))
    middle = replace(middle, weights={**middle.weights, "pad": grown.weights["bias"]})
    last, side = conv(RNG, "c", "b", 6, 3, (1, 1)), conv(RNG, "d", "input", 3, 3, (1, 1))
    network = graph(grown, middle, last, side, add("e", "c", "d"))
    after, _ = canonicalise(network)
    assert ops(after) == ["conv"]
    assert_same(network, after)
