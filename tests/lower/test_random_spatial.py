"""Random networks with attention, resizes, norms and paddings, from a plan to bytes: lowering without C."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from tests.lower.simulate import simulate
from tests.lower.test_programs import LEVELS
from tests.quant.networks import Builder, picture
from tests.quant.spatial_networks import extremes
from tvmsr.graph.model import Activation, Grid, Model, PadMode, Resampling, Statistic
from tvmsr.lower.pipeline import lower
from tvmsr.quant import reference
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.picture import fitted

NONE, RELU, SIGMOID, CLIP = Activation.NONE, Activation.RELU, Activation.SIGMOID, Activation.CLIP
ACTIVATIONS = (NONE, NONE, RELU, Activation.LEAKY, CLIP, Activation.TANH, SIGMOID, Activation.GELU, Activation.SILU)
BITS = ("8", "8", "a6w4", "a4w4", "a10w8", "16")


class Drawn(Builder):
    """Appends operations with random attributes to what is there already: every tensor has the picture's size."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self.random = Random(seed)
        self.live = ["input"]

    def any(self, channels: int = 0) -> str:
        return self.random.choice([t for t in self.live if channels in (0, self.channels[t])])

    def mode(self) -> PadMode:
        return self.random.choice(list(PadMode))

    def activation(self) -> Activation:
        return self.random.choice(ACTIVATIONS)

    def back(self, name: str, x: str, like: str) -> str:
        method = self.random.choice((Resampling.NEAREST, Resampling.LINEAR))
        return self.resize(name, x, method, like=like, grid=self.random.choice(list(Grid)))

    def a_conv(self, n: str, x: str, c: int) -> str:
        k, pad, groups = self.random.choice((1, 3, 5, 7)), self.random.choice((0.0, 0.3)), self.random.choice((1, c))
        outs = c if groups > 1 else self.random.randrange(2, 14)
        return self.conv(n, x, outs, k, self.activation(), pad=pad, groups=groups, mode=self.mode())

    def a_sum(self, n: str, x: str, c: int) -> str:
        if self.random.random() < 0.5:
            return self.add(n, x, self.any(c), self.conv(f"{n}c", x, c, gain=0.5))
        factors = {self.random.choice((0, 1)): self.random.choice((-1.0, 0.2, -0.3))}
        part = self.conv(f"{n}c", self.any(), c, k=1)
        return self.add(n, x, part, activation=self.random.choice((NONE, RELU)), factors=factors)

    def a_gate(self, n: str, x: str, c: int) -> str:
        kind, unbiased = self.random.choice(list(Statistic)), self.random.random() < 0.5
        found = self.statistic(f"{n}s", x, kind, self.random.choice((0.0, 1e-5)), unbiased)
        if self.random.random() < 0.5:
            found = self.add(f"{n}t", found, self.statistic(f"{n}m", x, Statistic.MEAN))
        return self.mul(n, x, self.conv(f"{n}g", found, c, 1, self.random.choice((SIGMOID, NONE, RELU))))

    def a_shift(self, n: str, x: str, c: int) -> str:
        """Less its mean, over its deviation: a statistic of what another one shifted."""
        centred = self.add(f"{n}d", x, self.statistic(f"{n}m", x, Statistic.MEAN), factors={1: -1.0})
        return self.mul(n, centred, self.statistic(f"{n}s", centred, Statistic.DEVIATION, 1e-3))

    def a_pool(self, n: str, x: str, c: int) -> str:
        pooled = self.max_pool(f"{n}p", x, self.random.choice((2, 3, 5)), self.random.choice((1, 2, 3)))
        return self.back(n, pooled, x)

    def a_detour(self, n: str, x: str, c: int) -> str:
        """Half as large, or larger by a factor, and back."""
        factor = self.random.choice((Fraction(2), Fraction(3, 2)))
        if self.random.random() < 0.5:
            x, factor = self.conv(f"{n}d", x, c, stride=2, mode=self.mode()), Fraction(2)
        method, cubic = self.random.choice(list(Resampling)), self.random.choice((-0.5, -0.75))
        return self.back(n, self.resize(f"{n}u", x, method, factor=factor, cubic=cubic), "input")

    def a_norm(self, n: str, x: str, c: int) -> str:
        return self.layer_norm(n, x)

    def a_product(self, n: str, x: str, c: int) -> str:
        return self.mul(n, x, self.conv(f"{n}g", self.any(), c, 1, self.activation()))

    def a_concat(self, n: str, x: str, c: int) -> str:
        """Of tensors that are in few concats yet, each once: a step has eight operands at most."""
        joined = [name for node in self.nodes if node.op == "concat" for name in node.inputs]
        others = [t for t in self.live if t != x and joined.count(t) < 2]
        return self.concat(n, x, *self.random.sample(others, min(len(others), self.random.randrange(1, 3))))

    def a_slice(self, n: str, x: str, c: int) -> str:
        first = self.random.randrange(c)
        return self.gather(n, x, range(first, self.random.randrange(first + 1, c + 1)))

    def a_table(self, n: str, x: str, c: int) -> str:
        if self.random.random() < 0.4:
            return self.activate(n, x, SIGMOID, gain=self.random.choice((2.0, -1.0)), offset=-0.5)
        kinds = (RELU, Activation.LEAKY, CLIP, Activation.SQUARE, Activation.SQRT, Activation.MISH)
        return self.activate(n, x, self.random.choice(kinds))

    def a_frame(self, n: str, x: str, c: int) -> str:
        """Continued, then convolved and cropped; or cropped alone, and back."""
        if self.random.random() < 0.5:
            wide = self.chosen(f"{n}p", x, range(c), padding=(2, 1, 2, 1), mode=self.mode())
            return self.conv(n, wide, c, padding=(-1, 0, -1, 0))
        return self.back(n, self.conv(f"{n}p", x, c, 5, self.activation(), padding=(-1, 0, 0, -2)), x)

    def a_finer_grid(self, n: str, x: str, c: int) -> str:
        return self.put_average(n, self.shuffle(f"{n}s", self.conv(f"{n}w", x, 8, 3, self.activation()), 2), 2)


OPERATIONS: tuple[Callable[[Drawn, str, str, int], str], ...] = (
    Drawn.a_conv, Drawn.a_conv, Drawn.a_sum, Drawn.a_gate, Drawn.a_shift, Drawn.a_pool, Drawn.a_detour, Drawn.a_norm,
    Drawn.a_product, Drawn.a_concat, Drawn.a_slice, Drawn.a_table, Drawn.a_frame, Drawn.a_finer_grid,
)  # fmt: skip


def random_model(seed: int) -> Model:
    """A few operations, each on any tensor before it; all are used."""
    b = Drawn(seed)
    b.live.append(b.conv("first", "input", b.random.randrange(3, 9), activation=b.activation()))
    for i in range(b.random.randrange(3, 8)):
        x = b.any()
        b.live.append(b.random.choice(OPERATIONS)(b, f"n{i}", x, b.channels[x]))
    used = {name for node in b.nodes for name in node.inputs}
    loose = [name for name in b.live if name not in used and name != "input"]
    x = loose[0] if len(loose) == 1 else b.concat("all", *loose)
    return b.model(b.shuffle("out", b.conv("last", x, 12, gain=0.3, bias=0.3), 2))


@pytest.mark.parametrize("seed", range(80))
def test_equals_the_reference(seed):
    model, bits = random_model(seed), BITS[seed % len(BITS)]
    plan = calibrate(model, [picture(seed, 20, 22)], bits=bits, bias_correction=seed % 4 == 0, max_drop=None)
    graph = bind(model, plan)
    image = fitted(extremes(seed, 9, 11) if seed % 2 else picture(seed, 9, 11), graph.sizes)
    expected = reference.run(graph, image)
    for level in LEVELS[seed % 3 :: 3]:
        np.testing.assert_array_equal(simulate(lower(graph, level), image, graph), expected, level.name)
