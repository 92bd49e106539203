"""IntegerGraphs made by hand, of every operation, with random numbers that reach both ends of every code.

No plan, no calibration: what lowering and the driver do with a graph is tested here, not where its numbers come from.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tvmsr.graph.analysis import SizeRule, TileRule
from tvmsr.graph.extent import Extent
from tvmsr.graph.model import (
    INPUT,
    Activation,
    Attrs,
    Colour,
    ConvAttrs,
    GatherAttrs,
    Grid,
    LayerNormAttrs,
    PadMode,
    PoolAttrs,
    Resampling,
    ResizeAttrs,
    ShuffleAttrs,
    Statistic,
    StatisticAttrs,
)
from tvmsr.quant.bind import picture_code
from tvmsr.quant.integer import TERM_LIMIT, Code, IntegerGraph, IntegerNode, Term
from tvmsr.quant.reference_spatial import cubic_fraction


class Net:
    """Appends nodes; every method returns the name of the tensor that it made. bits: of codes where none are given."""

    def __init__(self, seed: int = 0, bits: int = 8, multiple: int = 1):
        self.rng = np.random.default_rng(seed)
        self.bits, self.multiple = bits, multiple
        self.nodes: list[IntegerNode] = []
        side = Extent(multiple=multiple)
        self.sizes = {INPUT: (side, side)}
        self.held: dict[str, Code | Term] = {INPUT: picture_code()}
        self.channels = {INPUT: 3}
        self.fits: list = []  # of a side of the picture: whether everything has a pixel

    # numbers -----------------------------------------------------------------------------------------------------

    def code(self, channels: int, bits: int | None = None, zero: int | None = None) -> Code:
        bits = bits or self.bits
        zero = int(self.rng.integers(0, 1 << bits)) if zero is None else zero
        return Code(bits, np.float32(1), zero, np.ones(channels, np.float32))

    def bounds(self, code: Code, channels: int, kind=np.float32) -> dict:
        lo = np.full(channels, -code.zero, kind)
        return {"lo": lo, "hi": np.full(channels, (1 << code.bits) - 1 - code.zero, kind)}

    def gain(self, channels: int, span: float, code: Code | Term) -> np.ndarray:
        """Multipliers that send values of about +-span over the range of a code and past it."""
        reach = 1 << code.bits if isinstance(code, Code) else 1 << 12
        m = self.rng.uniform(0.2, 2, channels) * reach / max(span, 1)
        return m.astype(np.float32)

    def put(self, name, op, inputs, attrs, params, held, channels, size, **more) -> str:
        rows, columns = size
        self.nodes.append(
            IntegerNode(name, op, inputs, attrs, params, held, channels, rows=rows, columns=columns, **more)
        )
        self.held[name], self.channels[name], self.sizes[name] = held, channels, size
        self.fits.append(lambda side: rows(side) >= 1 and columns(side) >= 1)
        return name

    def span(self, x: str) -> int:
        held = self.held[x]
        return 1 << held.bits if isinstance(held, Code) else 1 << 12

    # operations --------------------------------------------------------------------------------------------------

    def conv(
        self, name, x, outs, k=(3, 3), *, padding=None, bits=None, term=False, activation=Activation.NONE, groups=1,
        stride=1, dilation=1, mode=PadMode.CONSTANT, weight_bits=8, zero=None,
    ):  # fmt: skip
        ins, limit = self.channels[x] // groups, 2 ** (weight_bits - 1) - 1
        weight = self.rng.integers(-limit, limit + 1, (*k, ins, outs)).astype(np.int8)
        held = Term(4) if term else self.code(outs, bits, zero)
        span = self.span(x) * limit * np.sqrt(weight[..., 0].size) / 4
        params = {
            "weight": weight,
            "bias": self.rng.integers(-int(span) // 4, int(span) // 4 + 1, outs).astype(np.int32),
            "pad": self.rng.integers(0, self.span(x), self.channels[x]).astype(np.uint16),
            "m": self.gain(outs, span * 2, held),
        }
        if activation is Activation.LEAKY:
            params["m_neg"] = (params["m"] * self.rng.uniform(-0.2, 0.5, outs)).astype(np.float32)
        if term:
            params |= {"lo": np.full(outs, -TERM_LIMIT, np.float32), "hi": np.full(outs, TERM_LIMIT, np.float32)}
        else:
            params |= self.bounds(held, outs)
        rows, columns = ((taps - 1) * dilation + 1 for taps in k)
        if padding is None:
            padding = ((rows - 1) // 2, (columns - 1) // 2, rows // 2, columns // 2)
        attrs = ConvAttrs(padding, stride, dilation, groups, activation, mode=mode)
        source = self.sizes[x]
        size = (
            source[0].windows(rows, stride, padding[0] + padding[2]),
            source[1].windows(columns, stride, padding[1] + padding[3]),
        )
        if mode is PadMode.REFLECT:
            self.fits.append(lambda side: min(source[0](side), source[1](side)) > max(padding))
        return self.put(name, "conv", (x,), attrs, params, held, outs, size, weight_bits=weight_bits)

    def whole(self, *inputs):
        """The size of a sum: 1x1 maps stand for all pixels."""
        sizes = [self.sizes[x] for x in inputs]
        return next((s for s in sizes if not (s[0].is_one and s[1].is_one)), sizes[0])

    def add(self, name, *inputs, bits=None, fraction=4):
        channels = self.channels[inputs[0]]
        held, params = self.code(channels, bits), {}
        for index, x in enumerate(inputs):
            if isinstance(self.held[x], Code):
                reach = (1 << held.bits << fraction) / self.span(x)
                params[f"m{index}"] = (self.rng.uniform(0.3, 1.2, channels) * reach).astype(np.float32)
        params |= self.bounds(held, channels)
        return self.put(name, "add", inputs, Attrs(), params, held, channels, self.whole(*inputs), fraction=fraction)

    def mul(self, name, a, b, bits=None):
        channels = self.channels[a]
        held = self.code(channels, bits)
        params = {"m": self.gain(channels, self.span(a) * self.span(b), held)} | self.bounds(held, channels)
        return self.put(name, "mul", (a, b), Attrs(), params, held, channels, self.sizes[a])

    def requantize(self, name, x, bits=None, leaky=False):
        channels = self.channels[x]
        held = self.code(channels, bits)
        params = {"m0": self.gain(channels, self.span(x), held)} | self.bounds(held, channels)
        if leaky:
            params["m_neg0"] = (params["m0"] * np.float32(0.3)).astype(np.float32)
        return self.put(name, "requantize", (x,), Attrs(), params, held, channels, self.sizes[x])

    def concat(self, name, *inputs, keep=()):
        """Operands in `keep` have the result's code: they keep their codes."""
        channels = sum(self.channels[x] for x in inputs)
        held = self.held[keep[0]] if keep else self.code(channels)
        held = Code(held.bits, held.scale, held.zero, np.ones(channels, np.float32))
        params = self.bounds(held, channels)
        for index, x in enumerate(inputs):
            same = x in keep
            ones = np.ones(self.channels[x], np.float32)
            params[f"m{index}"] = ones if same else self.gain(self.channels[x], self.span(x), held)
        return self.put(name, "concat", inputs, Attrs(), params, held, channels, self.sizes[inputs[0]])

    def gather(self, name, x, channels):
        attrs = GatherAttrs(tuple(channels))
        held = self._like(x, len(attrs.channels))
        return self.put(name, "gather", (x,), attrs, {}, held, len(attrs.channels), self.sizes[x])

    def shuffle(self, name, x, block):
        size = tuple(extent.then(block, 0) for extent in self.sizes[x])
        channels = self.channels[x] // block**2
        return self.put(name, "depth_to_space", (x,), ShuffleAttrs(block), {}, self._like(x, channels), channels, size)

    def _like(self, x, channels):
        held = self.held[x]
        return Code(held.bits, held.scale, held.zero, np.ones(channels, np.float32))

    def max_pool(self, name, x, kernel=(2, 2), stride=2, padding=(0, 0, 0, 0)):
        rows, columns = self.sizes[x]
        size = (
            rows.windows(kernel[0], stride, padding[0] + padding[2]),
            columns.windows(kernel[1], stride, padding[1] + padding[3]),
        )
        attrs, channels = PoolAttrs(kernel, stride, padding), self.channels[x]
        return self.put(name, "max_pool", (x,), attrs, {}, self.held[x], channels, size)

    def resize(
        self, name, x, *, factor=Fraction(0), like=None, method=Resampling.LINEAR, grid=Grid.HALF_PIXEL, cubic=-0.75
    ):
        channels, held = self.channels[x], self.held[x]
        attrs = ResizeAttrs(method, grid, Fraction(factor), cubic)
        size = self.sizes[like] if like else tuple(
            extent.then(attrs.factor.numerator, 0, attrs.factor.denominator) for extent in self.sizes[x]
        )  # fmt: skip
        params, fraction = {}, 0
        if method is Resampling.CUBIC:
            fraction, held = cubic_fraction(self.held[x].bits), self.code(channels)
            params = {"m": self.gain(channels, self.span(x) << fraction, held)} | self.bounds(held, channels)
        inputs = (x, like) if like else (x,)
        return self.put(name, "resize", inputs, attrs, params, held, channels, size, fraction=fraction)

    def statistic(self, name, x, kind=Statistic.MEAN, bits=None, unbiased=False):
        channels, one = self.channels[x], tuple(extent.then(0, 1) for extent in self.sizes[x])
        held = self.code(channels, bits)
        of = self.span(x)
        span = {Statistic.MEAN: of << 8, Statistic.MAX: of, Statistic.DEVIATION: of << 8, Statistic.VARIANCE: 2**31 / 4}
        params = {"m": self.gain(channels, span[kind] / 2, held)} | self.bounds(held, channels)
        params["eps"] = self.rng.integers(0, 1 << 20, channels)
        attrs = StatisticAttrs(kind, 0.0, unbiased)
        return self.put(name, "statistic", (x,), attrs, params, held, channels, one)

    def layer_norm(self, name, x, bits=None, eps=12345):
        channels = self.channels[x]
        held = self.code(channels, bits)
        fraction = min(8, 21 - held.bits)
        params = {
            "m": self.gain(channels, 1 << 13, held) * np.float32(1 << fraction),
            "beta": self.rng.integers(-(1 << 10), 1 << 10, channels).astype(np.int32),
            "eps": np.int64(eps),
        } | self.bounds(held, channels)
        attrs = LayerNormAttrs()
        return self.put(name, "layer_norm", (x,), attrs, params, held, channels, self.sizes[x], fraction=fraction)

    def graph(self, output: str, scale: int, colour: Colour = Colour.RGB) -> IntegerGraph:
        sides = range(self.multiple, 4096, self.multiple)
        minimum = next(side for side in sides if all(fit(side) for fit in self.fits))
        return IntegerGraph(
            tuple(self.nodes), picture_code(), output, scale, colour,
            sizes=SizeRule(minimum, self.multiple), tiles=TileRule(99, self.multiple, ()),
        )  # fmt: skip

    def end(self, x: str, scale: int = 2) -> IntegerGraph:
        """A convolution and a shuffle to the output."""
        return self.graph(self.shuffle("out", self.conv("last", x, 3 * scale**2, (1, 1), bits=8), scale), scale)


def extremes(seed: int, height: int, width: int) -> np.ndarray:
    """Noise, with regions of 0 and of 255: uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    image[: height // 3] = np.where(rng.random((height // 3, width, 3)) < 0.5, 0, 255)
    return image
