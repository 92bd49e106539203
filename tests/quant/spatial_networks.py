"""Small random networks with what published ones have beside convolutions: attention, skips, norms, paddings."""

from __future__ import annotations

import numpy as np

from tests.quant.networks import Builder
from tvmsr.graph.model import Activation, Grid, Model, PadMode, Resampling, Statistic


def _end(b: Builder, x: str) -> Model:
    return b.model(b.shuffle("out", b.conv("last", x, 12, gain=0.25, bias=0.4), 2))


def esa(seed=0, width=8) -> Model:
    """RFDN's spatial attention: a strided convolution, a pool, a resize to the size of another tensor, a mask."""
    b = Builder(seed)
    x = b.conv("c0", "input", width, activation=Activation.LEAKY)
    x = b.conv("c1", x, width)
    low = b.conv("low", x, 4, k=1)
    small = b.conv("small", low, 4, stride=2, padding=(0, 0, 0, 0))
    pooled = b.max_pool("pooled", small, 7, 3)
    y = b.conv("e0", pooled, 4, activation=Activation.RELU)
    wide = b.resize("wide", b.conv("e1", y, 4), Resampling.LINEAR, like=x)
    mask = b.conv("mask", b.add("both", wide, b.conv("skip", low, 4, k=1)), width, k=1, activation=Activation.SIGMOID)
    return _end(b, b.mul("masked", x, mask))


def cca(seed=0, width=8) -> Model:
    """IMDN's contrast-aware channel attention: deviation + mean, two convolutions on 1x1 maps, a gate; residuals."""
    b = Builder(seed)
    head = x = b.conv("head", "input", width)
    for i in range(2):
        y = b.conv(f"b{i}a", x, width, activation=Activation.LEAKY)
        deviation = b.statistic(f"b{i}d", y, Statistic.DEVIATION)
        total = b.add(f"b{i}s", deviation, b.statistic(f"b{i}m", y, Statistic.MEAN))
        z = b.conv(f"b{i}g0", total, 4, k=1, activation=Activation.RELU, bias=0.3)
        gate = b.conv(f"b{i}g1", z, width, k=1, activation=Activation.SIGMOID)
        x = b.add(f"b{i}", x, b.conv(f"b{i}c", b.mul(f"b{i}y", y, gate), width, k=1, gain=0.5))
    return _end(b, b.add("long", x, head))


def squeeze(seed=0, width=8) -> Model:
    """Squeeze and excitation on a maximum, and a map of one pixel added to all."""
    b = Builder(seed)
    x = b.conv("c0", "input", width, activation=Activation.RELU)
    most = b.statistic("most", x, Statistic.MAX)
    gate = b.conv("gate", b.conv("g0", most, 4, k=1, activation=Activation.RELU), width, k=1)
    gate = b.activate("hard", gate, Activation.HARD_SIGMOID)
    y = b.mul("gated", x, gate)
    return _end(b, b.add("shifted", y, b.statistic("spread", x, Statistic.VARIANCE, 1e-3), factors={1: -0.5}))


def bicubic_skip(seed=0, width=8) -> Model:
    """The enlarged picture, to which the network adds details."""
    b = Builder(seed)
    x = b.conv("c0", "input", width, activation=Activation.RELU)
    details = b.shuffle("details", b.conv("c1", x, 12, gain=0.15), 2)
    skip = b.resize("skip", "input", Resampling.CUBIC, factor=2)
    return b.model(b.add("out", skip, details))


def normed(seed=0, width=8) -> Model:
    """NAFNet's block: a norm, a gate of two halves, scaled residuals."""
    b = Builder(seed)
    x = b.conv("head", "input", width)
    for i in range(2):
        y = b.conv(f"b{i}a", b.layer_norm(f"b{i}n", x), 2 * width)
        first, second = (b.gather(f"b{i}h{h}", y, range(h * width, (h + 1) * width)) for h in range(2))
        z = b.conv(f"b{i}c", b.mul(f"b{i}g", first, second), width, k=1)
        x = b.add(f"b{i}", x, z, factors={1: 0.3})
    return _end(b, x)


def span(seed=0, width=8) -> Model:
    """SPAN's attention without parameters: sigmoid(x) - 1/2 times a residual."""
    b = Builder(seed)
    x = b.conv("head", "input", width)
    for i in range(2):
        y = b.conv(f"b{i}a", b.conv(f"b{i}p", x, width, activation=Activation.SILU), width)
        mask = b.activate(f"b{i}t", y, Activation.SIGMOID, gain=2.0, offset=-1.0)
        x = b.mul(f"b{i}", b.add(f"b{i}s", y, x), mask)
    return _end(b, b.concat("all", "head", x))


def padded(seed=0, width=8) -> Model:
    """waifu2x: the picture is continued, convolutions without padding, a crop; a transposed convolution's shuffle."""
    b = Builder(seed)
    x = b.chosen("continued", "input", range(3), padding=(3, 3, 3, 3), mode=PadMode.REPLICATE)
    x = b.conv("c0", x, width, activation=Activation.LEAKY, padding=(0, 0, 0, 0))
    x = b.conv("c1", x, width, activation=Activation.LEAKY, padding=(0, 0, 0, 0))
    wide = b.shuffle("wide", b.conv("up", x, 12, gain=0.3, bias=0.4), 2)
    return b.model(b.chosen("out", wide, range(3), padding=(-2, -2, -2, -2)))


def halved(seed=0, width=8) -> Model:
    """A network on half the size: pixel unshuffle by a convolution, average pooling, nearest, reflected borders."""
    b = Builder(seed)
    x = b.put_unshuffle("packed", "input", 2)
    x = b.conv("c0", x, width, activation=Activation.LEAKY, mode=PadMode.REFLECT)
    trunk = b.conv("c1", x, width)
    mean = b.put_average("mean", trunk, 2)
    back = b.resize("back", mean, Resampling.NEAREST, like=trunk, grid=Grid.ASYMMETRIC)
    y = b.concat("both", trunk, back)
    x = b.shuffle("half", b.conv("c2", y, 4 * width, activation=Activation.RELU), 2)
    return _end(b, x)


SPATIAL = {
    "esa": esa, "cca": cca, "squeeze": squeeze, "bicubic_skip": bicubic_skip, "normed": normed, "span": span,
    "padded": padded, "halved": halved,
}  # fmt: skip


def extremes(seed: int, height: int, width: int) -> np.ndarray:
    """Bytes 0 and 255 in random order."""
    return (np.random.default_rng(seed).integers(0, 2, (height, width, 3)) * 255).astype(np.uint8)
