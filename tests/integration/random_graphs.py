"""Random IntegerGraphs around one operation each: any shape, attribute and width of codes that lowering takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np

from tests.lower.integer_nets import Net
from tvmsr.graph.model import INPUT, ActivateAttrs, Activation, Grid, PadMode, Resampling, Statistic
from tvmsr.quant.integer import Code, IntegerGraph

PIECEWISE = (Activation.NONE, Activation.RELU, Activation.LEAKY)
FACTORS = tuple(Fraction(text) for text in ("1", "2", "3", "4", "5/2", "3/2", "2/3", "1/2", "1/3", "7/5"))
MODES = (PadMode.CONSTANT, PadMode.CONSTANT, PadMode.REFLECT, PadMode.REPLICATE)


class RandomNet(Net):
    """Every method appends one operation with random attributes, and what its kind asks for around it.

    `x` and what is returned are as large as the picture and have codes.
    """

    def __init__(self, seed: int):
        super().__init__(seed)
        self.random = Random(seed)
        self.count = 0
        self.whole_size = self.sizes[INPUT]

    # helpers -----------------------------------------------------------------------------------------------------

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def width(self) -> int:
        return self.random.choice((1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 20, 33))

    def some_bits(self, most: int = 16) -> int:
        return self.random.choice([bits for bits in (4, 5, 6, 7, 8, 8, 8, 9, 11, 12, 15, 16) if bits <= most])

    def weight_bits(self, x: str, taps: int) -> int:
        """The widest, of those drawn, whose sums fit int32 in every stored form."""
        room = (1 << 29) // (self.span(x) * taps)
        return max((b for b in range(2, self.random.choice((4, 6, 8)) + 1) if (1 << b - 1) <= room), default=2)

    def fixed(self, x: str) -> str:
        """As large as the picture again."""
        if self.sizes[x] == self.whole_size:
            return x
        method = self.random.choice((Resampling.NEAREST, Resampling.LINEAR))
        return self.resize(self.name("fit"), x, like=INPUT, method=method, grid=self.random.choice(list(Grid)))

    def plain(self, x: str, outs: int, bits: int | None = None, **attrs: object) -> str:
        """A small convolution, of 1x1 maps too."""
        width = self.weight_bits(x, self.channels[x])
        return self.conv(self.name("c"), x, outs, (1, 1), bits=bits or self.some_bits(), weight_bits=width, **attrs)

    # one method an operation -------------------------------------------------------------------------------------

    def any_conv(self, x: str, *, mode: PadMode | None = None) -> str:
        rng, ins = self.random, self.channels[x]
        kernel = (rng.randint(1, 9), rng.randint(1, 9))
        dilation = rng.choice((1, 1, 2, 3)) if max(kernel) < 6 else 1
        groups = rng.choice([g for g in range(1, ins + 1) if ins % g == 0])
        outs = groups * rng.randint(1, max(1, 24 // groups))
        taps = kernel[0] * kernel[1] * ins // groups
        if self.span(x) * taps >= 1 << 27:
            return self.any_conv(self.plain(x, ins, 8), mode=mode)
        extents = [(taps - 1) * dilation + 1 for taps in kernel]
        padding = tuple(rng.choice((0, extents[i % 2] // 2, rng.randint(-3, extents[i % 2]))) for i in range(4))
        made = self.conv(
            self.name("conv"), x, outs, kernel, padding=padding, bits=self.some_bits(), groups=groups,
            stride=rng.choice((1, 1, 2, 3)), dilation=dilation, mode=mode or rng.choice(MODES),
            activation=rng.choice(PIECEWISE), weight_bits=self.weight_bits(x, taps),
        )  # fmt: skip
        return self.fixed(made)

    def depthwise(self, x: str) -> str:
        rng, ins = self.random, self.channels[x]
        kernel = (rng.randint(1, 7), rng.randint(1, 7))
        width = self.weight_bits(x, kernel[0] * kernel[1])
        made = self.conv(
            self.name("depth"), x, ins * rng.choice((1, 1, 2)), kernel, bits=self.some_bits(), groups=ins,
            stride=rng.choice((1, 2)), mode=rng.choice(MODES), activation=rng.choice(PIECEWISE), weight_bits=width,
        )  # fmt: skip
        return self.fixed(made)

    def table_of_conv(self, x: str) -> str:
        """The activation is a table of the convolution's own index; of any bits."""
        made = self.plain(x, self.width(), activation=Activation.TANH)
        node, bits = self.nodes[-1], self.random.choice((4, 8, 10, 12))
        zero, code = self.random.randrange(1 << bits), node.output
        assert isinstance(code, Code)
        ends = {"lo": np.full(node.channels, -zero, np.float32)}
        ends["hi"] = np.full(node.channels, (1 << bits) - 1 - zero, np.float32)
        table = self.rng.integers(0, 1 << code.bits, 1 << bits).astype(np.uint16)
        gain = self.gain(node.channels, self.span(x) * 16, self.code(1, bits))
        params = {**node.params, **ends, "table": table, "m": gain}
        self.nodes[-1] = replace(node, params=params, table_bits=bits, table_zero=zero)
        return made

    def table(self, x: str) -> str:
        held = self.held[x]
        assert isinstance(held, Code)
        if held.bits > 12:
            return self.table(self.requantize(self.name("read"), x, bits=self.some_bits(12)))
        code, channels = self.code(self.channels[x], self.some_bits()), self.channels[x]
        table = self.rng.integers(0, 1 << code.bits, 1 << held.bits).astype(np.uint16)
        attrs = ActivateAttrs(Activation.SIGMOID)
        return self.put(self.name("table"), "table", (x,), attrs, {"table": table}, code, channels, self.sizes[x])

    def requantized(self, x: str) -> str:
        return self.requantize(self.name("read"), x, bits=self.some_bits(), leaky=self.random.random() < 0.5)

    def sum(self, x: str) -> str:
        """Codes, a term, a 1x1 map, with factors that may be negative and bounds that are an activation's."""
        channels = self.channels[x]
        parts = [x, self.plain(x, channels, term=True)]
        if self.random.random() < 0.7:
            parts.append(self.plain(x, channels))
        if self.random.random() < 0.5:
            parts.append(self.statistic(self.name("mean"), x, bits=self.some_bits()))
        self.random.shuffle(parts)
        made = self.add(self.name("sum"), *parts, bits=self.some_bits())
        params = self.nodes[-1].params
        for key in [key for key in params if key.startswith("m")]:
            params[key][self.rng.random(channels) < 0.3] *= -1
        if self.random.random() < 0.4:
            params["lo"] = np.maximum(params["lo"], 0)
        return made

    def product(self, x: str) -> str:
        """Of codes of 31 bits together, the second one a 1x1 map half of the time."""
        channels, first = self.channels[x], self.some_bits(15)
        left, second = self.plain(x, channels, first), self.some_bits(min(16, 31 - first))
        of = x if self.random.random() < 0.5 else self.statistic(self.name("most"), x, Statistic.MAX, bits=8)
        return self.mul(self.name("mul"), left, self.plain(of, channels, second), bits=self.some_bits())

    def square(self, x: str) -> str:
        y = self.plain(x, self.channels[x], self.some_bits(15))
        return self.mul(self.name("square"), y, y, bits=self.some_bits())

    def joined(self, x: str) -> str:
        """Operands with other codes, one with the result's own, the picture."""
        parts = [x, self.plain(x, self.width()), INPUT, self.plain(x, self.width())]
        self.random.shuffle(parts)
        return self.concat(self.name("cat"), *parts, keep=(self.random.choice([p for p in parts if p != INPUT]),))

    def gathered(self, x: str) -> str:
        """Slices, permutations, repetitions; beside them something that reads all channels."""
        channels, rng = self.channels[x], self.random
        first = rng.randrange(channels)
        chosen = rng.choice((
            list(range(first, rng.randint(first + 1, channels))),
            rng.sample(range(channels), channels),
            [rng.randrange(channels) for _ in range(rng.randint(1, 20))],
        ))  # fmt: skip
        part, all_of_it = self.gather(self.name("gather"), x, chosen), self.plain(x, 3)
        if rng.random() < 0.5:
            return self.concat(self.name("cat"), self.plain(part, self.width()), all_of_it)
        return self.concat(self.name("cat"), part, all_of_it, keep=(part,))

    def shuffled(self, x: str) -> str:
        block = self.random.choice((2, 2, 3, 4))
        up = self.shuffle(self.name("up"), self.plain(x, block**2 * self.random.choice((1, 3, 4))), block)
        if self.random.random() < 0.5:
            up = self.conv(self.name("fine"), up, 5, mode=self.random.choice(MODES), weight_bits=4)
        return self.fixed(up)

    def pooled(self, x: str) -> str:
        kernel = (self.random.randint(1, 7), self.random.randint(1, 7))
        padding = tuple(self.random.randint(0, kernel[i % 2] - 1) for i in range(4))
        return self.fixed(self.max_pool(self.name("pool"), x, kernel, self.random.randint(1, 4), padding))

    def resized(self, x: str) -> str:
        """By a factor and to the size of something else, whose values nobody reads."""
        rng = self.random
        how = {
            "method": rng.choice(list(Resampling)), "grid": rng.choice(list(Grid)),
            "cubic": rng.choice((-0.5, -0.75, -1.0, -31 / 256)),
        }  # fmt: skip
        if rng.random() < 0.6:
            return self.fixed(self.resize(self.name("by"), x, factor=rng.choice(FACTORS), **how))
        small = self.conv(self.name("small"), x, 4, stride=rng.choice((2, 3)), bits=8, weight_bits=4)
        if rng.random() < 0.5:
            return self.resize(self.name("back"), small, like=x, **how)
        return self.fixed(self.resize(self.name("to"), x, like=small, **how))

    def measured(self, x: str) -> str:
        """Two kinds of statistic, what is computed of them, and a gate."""
        kinds = self.random.sample(list(Statistic), 2)
        found = [
            self.statistic(self.name(kind.value), x, kind, self.some_bits(), unbiased=self.random.random() < 0.5)
            for kind in kinds
        ]
        gate = self.plain(self.concat(self.name("both"), *found), self.channels[x], 8)
        narrow = self.requantize(self.name("read"), x, bits=self.some_bits(15))
        return self.mul(self.name("gated"), narrow, gate, bits=self.some_bits())

    def normed(self, x: str) -> str:
        eps = self.random.choice((0, 1, 777, 1 << 40))
        return self.layer_norm(self.name("norm"), x, bits=self.some_bits(), eps=eps)

    def finished(self, *parts: str) -> IntegerGraph:
        """A convolution of all of them, and a shuffle or none to the output."""
        scale = self.random.choice((1, 2, 3))
        x = self.concat("all", *parts) if len(parts) > 1 else parts[0]
        last = self.plain(x, 3 * scale**2, 8)
        return self.graph(self.shuffle("out", last, scale) if scale > 1 else last, scale)


#: What a random graph is made around.
OPERATIONS: dict[str, Callable[[RandomNet, str], str]] = {
    "conv": RandomNet.any_conv,
    "conv that mirrors": lambda net, x: net.any_conv(x, mode=PadMode.REFLECT),
    "depthwise": RandomNet.depthwise,
    "table of conv": RandomNet.table_of_conv,
    "table": RandomNet.table,
    "requantize": RandomNet.requantized,
    "add": RandomNet.sum,
    "mul": RandomNet.product,
    "square": RandomNet.square,
    "concat": RandomNet.joined,
    "gather": RandomNet.gathered,
    "depth_to_space": RandomNet.shuffled,
    "max_pool": RandomNet.pooled,
    "resize": RandomNet.resized,
    "statistic": RandomNet.measured,
    "layer_norm": RandomNet.normed,
}


def random_graph(seed: int, operation: str, more: int = 2) -> IntegerGraph:
    """The operation three times: of the picture's first convolution, of what follows it, and of a few others."""
    net = RandomNet(seed)
    make, rng = OPERATIONS[operation], net.random
    x = net.conv("head", INPUT, net.width(), (3, 3), bits=net.some_bits(), mode=rng.choice(MODES))
    parts = [make(net, x), make(net, INPUT)]
    y = parts[0]
    for other in rng.choices(list(OPERATIONS.values()), k=more):
        y = other(net, y)
    return net.finished(*parts[1:], make(net, y), x)
