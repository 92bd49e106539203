"""Random networks, of every operation in every order, lowered and run on bytes."""

from random import Random

import numpy as np
import pytest

from tests.lower.simulate import simulate
from tests.lower.test_programs import LEVELS, integer_graph
from tests.quant.networks import Builder, picture
from tvmsr.graph.model import Activation, Model
from tvmsr.lower.pipeline import lower
from tvmsr.quant import reference

ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.LEAKY, Activation.CLIP, Activation.TANH)
BITS = ("8", "a6w4", "a4w4", "a10w8")


def random_model(seed: int) -> Model:
    """A few operations on tensors of the picture's size, finer ones coming back at once; all are used."""
    b, rng = Builder(seed), Random(seed)
    live = ["input", b.conv("first", "input", rng.randrange(4, 13), activation=rng.choice(ACTIVATIONS[:3]))]
    for i in range(rng.randrange(3, 9)):
        live.append(_random_op(b, rng, f"n{i}", live))
    used = {name for node in b.nodes for name in node.inputs}
    loose = [name for name in live if name not in used and name != "input"]
    x = loose[0] if len(loose) == 1 else b.concat("all", *loose)
    last = b.conv("last", x, 12, gain=0.3, bias=0.3)
    if rng.random() < 0.3:
        last = b.add("anchored", last, b.gather("anchor", "input", [0, 1, 2] * 4))
    return b.model(b.shuffle("out", last, 2))


def _random_op(b: Builder, rng: Random, name: str, live: list[str]) -> str:
    x = rng.choice(live)
    c = b.channels[x]
    kind = rng.choice(["conv", "add", "stream", "concat", "slice", "permute", "activate", "finer", "depthwise", "mul"])
    pad = rng.choice([0.0, 0.3])
    if kind == "add":
        other = [t for t in live if b.channels[t] == c]
        return b.add(name, x, rng.choice(other), b.conv(f"{name}c", x, c, k=1))
    if kind == "stream":
        return b.add(name, b.conv(f"{name}c", x, c, gain=0.4, pad=pad, activation=rng.choice(ACTIVATIONS[:3])), x)
    if kind == "mul":
        gate = x if rng.random() < 0.3 else b.conv(f"{name}g", x, c, k=1, activation=rng.choice(ACTIVATIONS))
        return b.mul(name, rng.choice([t for t in live if b.channels[t] == c]), gate)
    if kind == "concat":
        return b.concat(name, *(rng.choice(live) for _ in range(rng.randrange(2, 4))))
    if kind == "slice" and c > 1:
        first = rng.randrange(c - 1)
        return b.gather(name, x, range(first, rng.randrange(first + 1, c + 1)))
    if kind == "permute":
        return b.gather(name, x, [rng.randrange(c) for _ in range(rng.randrange(2, 9))])
    if kind == "activate":
        return b.activate(name, x, rng.choice(ACTIVATIONS[1:]))
    if kind == "finer":
        fine = b.shuffle(f"{name}s", b.conv(f"{name}w", x, 8, activation=rng.choice(ACTIVATIONS)), 2)
        return b.conv(name, fine, 6, stride=2, pad=pad)
    groups = c if kind == "depthwise" else 1
    outs = c if groups > 1 else rng.randrange(2, 17)
    k = rng.choice([1, 3, 5])
    return b.conv(name, x, outs, k=k, pad=pad, groups=groups, activation=rng.choice(ACTIVATIONS))


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_reference(seed):
    graph = integer_graph(random_model(seed), BITS[seed % len(BITS)])
    image = picture(seed, 6, 8)
    expected = reference.run(graph, image)
    for level in LEVELS[:: 1 if seed < 10 else 3]:
        np.testing.assert_array_equal(simulate(lower(graph, level), image, graph), expected)
