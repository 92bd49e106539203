"""Small random networks in canonical form."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tvmsr.graph.model import (
    ActivateAttrs,
    Activation,
    AddAttrs,
    Colour,
    ConvAttrs,
    GatherAttrs,
    Graph,
    LayerNormAttrs,
    Model,
    Node,
    PoolAttrs,
    ResizeAttrs,
    ShuffleAttrs,
    StatisticAttrs,
)


class Builder:
    """Appends nodes with random weights; every method returns the name of the tensor that it made."""

    def __init__(self, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.channels = {"input": 3}

    def put(self, node: Node, channels: int) -> str:
        self.nodes.append(node)
        self.channels[node.name] = channels
        return node.name

    def conv(self, name, x, outs, k=3, activation=Activation.NONE, *, gain=1.0, pad=0.0, groups=1, bias=0.05, **attrs):
        ins = self.channels[x] // groups
        weights = {
            "weight": (self.rng.normal(size=(k, k, ins, outs)) * gain / np.sqrt(k * k * ins)).astype(np.float32),
            "bias": (self.rng.normal(size=outs) * bias).astype(np.float32),
            "pad": np.full(self.channels[x], pad, np.float32),
        }
        if activation is Activation.LEAKY:
            weights["slope"] = self.rng.uniform(-0.1, 0.3, outs).astype(np.float32)
        padding = attrs.pop("padding", (k // 2,) * 4)
        conv = ConvAttrs(padding=padding, activation=activation, groups=groups, **attrs)
        return self.put(Node(name, "conv", (x,), conv, weights), outs)

    def chosen(self, name, x, channels, k=1, **attrs):
        """A convolution that only moves: output channel i is channels[i] of the pixel in the middle of its window."""
        ins = self.channels[x]
        weight = np.zeros((k, k, ins, len(channels)), np.float32)
        weight[k // 2, k // 2, list(channels), range(len(channels))] = 1
        weights = {"weight": weight, "bias": np.zeros(len(channels), np.float32), "pad": np.zeros(ins, np.float32)}
        return self.put(Node(name, "conv", (x,), ConvAttrs(**attrs), weights), len(channels))

    def add(self, name, *inputs, activation=Activation.NONE, factors=None):
        """factors: {index of an operand: its factor, or one a channel}."""
        c = self.channels[inputs[0]]
        weights = {f"factor{i}": np.full(c, f, np.float32) for i, f in (factors or {}).items()}
        return self.put(Node(name, "add", inputs, AddAttrs(activation), weights), c)

    def statistic(self, name, x, kind, epsilon=0.0, unbiased=False):
        return self.put(Node(name, "statistic", (x,), StatisticAttrs(kind, epsilon, unbiased)), self.channels[x])

    def max_pool(self, name, x, k, stride, padding=(0, 0, 0, 0)):
        return self.put(Node(name, "max_pool", (x,), PoolAttrs((k, k), stride, padding)), self.channels[x])

    def resize(self, name, x, method, *, like=None, factor=0, **attrs):
        inputs = (x,) if like is None else (x, like)
        node = Node(name, "resize", inputs, ResizeAttrs(method, factor=Fraction(factor), **attrs))
        return self.put(node, self.channels[x])

    def layer_norm(self, name, x, epsilon=1e-6):
        c = self.channels[x]
        weights = {
            "gamma": self.rng.uniform(0.5, 1.5, c).astype(np.float32),
            "beta": (self.rng.normal(size=c) * 0.2).astype(np.float32),
        }
        return self.put(Node(name, "layer_norm", (x,), LayerNormAttrs(epsilon), weights), c)

    def mul(self, name, a, b):
        return self.put(Node(name, "mul", (a, b)), self.channels[a])

    def concat(self, name, *inputs):
        return self.put(Node(name, "concat", inputs), sum(self.channels[i] for i in inputs))

    def gather(self, name, x, channels):
        return self.put(Node(name, "gather", (x,), GatherAttrs(tuple(channels))), len(channels))

    def shuffle(self, name, x, block):
        node = Node(name, "depth_to_space", (x,), ShuffleAttrs(block))
        return self.put(node, self.channels[x] // block**2)

    def activate(self, name, x, activation, low=0.0, high=1.0, **attrs):
        c = self.channels[x]
        weights = {"slope": self.rng.uniform(0, 0.3, c).astype(np.float32)} if activation is Activation.LEAKY else {}
        return self.put(Node(name, "activate", (x,), ActivateAttrs(activation, low, high, **attrs), weights), c)

    def put_unshuffle(self, name, x, block):
        """Pixel (dy, dx) of each block and channel c become channel (dy*block + dx)*C + c, by a convolution."""
        c = self.channels[x]
        weight = np.zeros((block, block, c, block * block * c), np.float32)
        for dy, dx, i in np.ndindex(block, block, c):
            weight[dy, dx, i, (dy * block + dx) * c + i] = 1
        weights = {"weight": weight, "bias": np.zeros(weight.shape[3], np.float32), "pad": np.zeros(c, np.float32)}
        return self.put(Node(name, "conv", (x,), ConvAttrs(stride=block), weights), weight.shape[3])

    def put_average(self, name, x, block):
        c = self.channels[x]
        weight = np.full((block, block, 1, c), 1 / block**2, np.float32)
        weights = {"weight": weight, "bias": np.zeros(c, np.float32), "pad": np.zeros(c, np.float32)}
        return self.put(Node(name, "conv", (x,), ConvAttrs(stride=block, groups=c), weights), c)

    def model(self, output: str, scale: int = 2) -> Model:
        graph = Graph(tuple(self.nodes), output)
        return Model(graph, "test", "test", scale, Colour.RGB, True, "none", (), "0" * 64)


def plain(seed=0, activation=Activation.RELU, width=8) -> Model:
    """ABPN in small: convolutions, a repeated anchor, pixel shuffle."""
    b = Builder(seed)
    x = b.conv("c0", "input", width, activation=activation, pad=0.4)
    x = b.conv("c1", x, width, activation=activation)
    x = b.conv("c2", x, 12, gain=0.2)
    anchor = b.gather("anchor", "input", list(range(3)) * 4)
    return b.model(b.shuffle("out", b.add("sum", x, anchor), 2))


def residual(seed=0, blocks=3, width=8, activation=Activation.RELU) -> Model:
    """EDSR in small: a trunk that convolutions add to, upsampling, a last convolution."""
    b = Builder(seed)
    head = trunk = b.conv("head", "input", width)
    for i in range(blocks):
        y = b.conv(f"b{i}a", trunk, width, activation=activation)
        trunk = b.add(f"b{i}", trunk, b.conv(f"b{i}b", y, width, gain=0.4))
    trunk = b.add("long", b.conv("close", trunk, width, gain=0.4), head)
    up = b.shuffle("up_shuffle", b.conv("up", trunk, 4 * width), 2)
    last = b.conv("last", up, 3, gain=0.2, bias=0.0)
    return b.model(last)


def split_concat(seed=0, width=8) -> Model:
    """IMDN in small: slices, a concat, a gate."""
    b = Builder(seed)
    x = b.conv("c0", "input", width, activation=Activation.LEAKY)
    kept = b.gather("kept", x, range(2))
    rest = b.gather("rest", x, range(2, width))
    y = b.conv("c1", rest, width, activation=Activation.LEAKY)
    merged = b.concat("merged", kept, y)
    z = b.conv("c2", merged, width, k=1)
    gate = b.conv("gate", merged, width, k=1, activation=Activation.SIGMOID)
    x = b.mul("gated", z, gate)
    return b.model(b.shuffle("out", b.conv("c3", x, 12, gain=0.3, bias=0.3), 2))


def tables(seed=0, activation=Activation.TANH, width=8) -> Model:
    """ESPCN in small: table activations, in a convolution and on their own."""
    b = Builder(seed)
    x = b.conv("c0", "input", width, k=5, activation=activation)
    x = b.conv("c1", x, width)
    x = b.activate("t1", x, activation)
    x = b.activate("leaky", b.conv("c2", x, width), Activation.LEAKY)
    return b.model(b.shuffle("out", b.conv("c3", x, 12, gain=0.3, bias=0.3), 2))


ALL = {"plain": plain, "residual": residual, "split_concat": split_concat, "tables": tables}


def picture(seed=0, height=24, width=20):
    """Smooth, with edges: uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = [128 + 100 * np.sin(rng.uniform(2, 12) * x + rng.uniform(2, 12) * y + rng.uniform(0, 6)) for _ in range(3)]
    image = (
        np.stack(planes, axis=2)
        + 40 * (x + y > rng.uniform(0.5, 1.5))[:, :, None]
        + rng.normal(0, 6, (height, width, 1))
    )
    return np.clip(image, 0, 255).astype(np.uint8)
