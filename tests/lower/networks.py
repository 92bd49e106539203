"""Small networks that lowering has to get right; tests/integration compiles them too."""

from __future__ import annotations

from tests.quant.networks import Builder, plain, residual, tables
from tvmsr.graph.model import Activation, Model

RELU, LEAKY, TANH, SIGMOID = Activation.RELU, Activation.LEAKY, Activation.TANH, Activation.SIGMOID


def _end(b: Builder, x: str, scale: int = 2, anchor: bool = False) -> Model:
    last = b.conv("last", x, 3 * scale**2, gain=0.3, bias=0.0 if anchor else 0.3)
    if anchor:
        last = b.add("anchored", last, b.gather("anchor", "input", list(range(3)) * scale**2))
    return b.model(b.shuffle("out", last, scale), scale)


def imdn(seed: int = 0, width: int = 12, blocks: int = 2) -> Model:
    """Information distillation: each block keeps a quarter, refines the rest, and joins the kept parts."""
    b, kept = Builder(seed), width // 4
    trunk = head = b.conv("head", "input", width)
    for i in range(blocks):
        parts, x = [], trunk
        for j in range(3):
            y = b.conv(f"b{i}c{j}", x, width, activation=LEAKY)
            parts.append(b.gather(f"b{i}k{j}", y, range(kept)))
            x = b.gather(f"b{i}r{j}", y, range(kept, width))
        parts.append(b.conv(f"b{i}c3", x, kept, activation=LEAKY))
        joined = b.concat(f"b{i}joined", *parts)
        trunk = b.add(f"b{i}", trunk, b.conv(f"b{i}fuse", joined, width, k=1, gain=0.4))
    return _end(b, b.add("long", b.conv("close", trunk, width, gain=0.4), head))


def srresnet(seed: int = 0, width: int = 8) -> Model:
    """PReLU blocks on a trunk, then two shuffles with a PReLU, and a convolution on the fine grid."""
    b = Builder(seed)
    trunk = head = b.conv("head", "input", width, k=9, activation=LEAKY)
    for i in range(2):
        y = b.conv(f"b{i}a", trunk, width, activation=LEAKY)
        trunk = b.add(f"b{i}", b.conv(f"b{i}b", y, width, gain=0.4), trunk)
    x = b.add("long", b.conv("close", trunk, width, gain=0.4), head)
    for i in range(2):
        x = b.activate(f"act{i}", b.shuffle(f"up{i}", b.conv(f"wide{i}", x, 4 * width), 2), LEAKY)
    return b.model(b.conv("last", x, 3, gain=0.3, bias=0.3), 4)


def srvgg(seed: int = 0, width: int = 8) -> Model:
    """PReLU convolutions in a row, an anchor, one shuffle by 4."""
    b = Builder(seed)
    x = b.conv("c0", "input", width, activation=LEAKY)
    for i in range(1, 4):
        x = b.conv(f"c{i}", x, width, activation=LEAKY)
    return _end(b, x, 4, anchor=True)


def odd_channels(seed: int = 0) -> Model:
    """Channel counts that fill no group and no vector, 1x1 and 5x5 kernels, groups and depthwise."""
    b = Builder(seed)
    x = b.conv("c0", "input", 7, k=5, activation=RELU)
    x = b.conv("c1", x, 21, k=1, activation=LEAKY)
    x = b.conv("c2", x, 21, groups=21, activation=RELU)
    x = b.conv("c3", x, 9, groups=3)
    return _end(b, x, 3)


def dense(seed: int = 0) -> Model:
    """One tensor in two concats, the picture in a concat, a concat in a concat."""
    b = Builder(seed)
    x = b.conv("c0", "input", 6, activation=RELU)
    y = b.conv("c1", x, 5, activation=RELU)
    one = b.concat("one", x, y)
    z = b.conv("c2", one, 4, activation=RELU)
    two = b.concat("two", one, z, "input", x)
    return _end(b, b.conv("c3", two, 8, k=1, activation=RELU))


def pads(seed: int = 0) -> Model:
    """Readers of one tensor that pad it differently."""
    b = Builder(seed)
    x = b.conv("c0", "input", 8, activation=RELU, pad=0.4)
    y = b.conv("c1", "input", 8, activation=RELU, pad=0.0)
    left = b.conv("c2", x, 8, pad=0.3)
    right = b.conv("c3", x, 8, k=5, pad=0.0)
    return _end(b, b.add("sum", left, right, y))


def moves(seed: int = 0) -> Model:
    """A permutation, a shuffle of a shuffle, slices of a concat, an add without a convolution, a table on its own."""
    b = Builder(seed)
    x = b.conv("c0", "input", 32, activation=RELU)
    x = b.gather("turned", x, list(range(31, -1, -1)))
    x = b.shuffle("s1", b.shuffle("s0", x, 2), 2)
    y = b.conv("c1", x, 6, activation=TANH)
    joined = b.concat("joined", x, y)
    left, right = b.gather("left", joined, range(4)), b.gather("right", joined, range(4, 8))
    total = b.add("total", left, right, activation=RELU)
    z = b.activate("table", b.conv("c2", b.activate("relu", total, RELU), 8), TANH)
    return b.model(b.conv("last", z, 3, gain=0.3, bias=0.3), 4)


def strided(seed: int = 0) -> Model:
    """A branch on the coarse grid, back by a shuffle, with dilation."""
    b = Builder(seed)
    x = b.conv("c0", "input", 8, activation=RELU)
    y = b.conv("down", x, 16, stride=2, activation=RELU)
    y = b.conv("mid", y, 32, dilation=2, padding=(2, 2, 2, 2), activation=RELU)
    y = b.shuffle("up", y, 2)
    return _end(b, b.concat("both", x, y))


def leaky_sums(seed: int = 0, width: int = 9) -> Model:
    """RFDN's refinement: a leaky activation of each sum, which the next sum and slimmer convolutions read."""
    b = Builder(seed)
    trunk = b.conv("head", "input", width)
    for i in range(2):
        x, parts = trunk, []
        for j in range(2):
            parts.append(b.conv(f"b{i}d{j}", x, 4, k=1, activation=LEAKY))
            x = b.activate(f"b{i}a{j}", b.add(f"b{i}s{j}", b.conv(f"b{i}c{j}", x, width, gain=0.4), x), LEAKY)
        joined = b.concat(f"b{i}joined", *parts, b.conv(f"b{i}d2", x, 4, activation=LEAKY))
        trunk = b.add(f"b{i}", b.conv(f"b{i}fuse", joined, width, k=1, gain=0.4), trunk)
    return _end(b, b.activate("act", b.add("long", b.conv("close", trunk, width), b.conv("skip", trunk, width)), RELU))


def gated(seed: int = 0, width: int = 9) -> Model:
    """Gates: of a convolution and its sigmoid in blocks on a trunk, of the trunk by a table of its own, a square."""
    b = Builder(seed)
    trunk = b.conv("head", "input", width)
    for i in range(2):
        y = b.conv(f"b{i}a", trunk, width, activation=RELU)
        gate = b.conv(f"b{i}g", y, width, k=1, activation=SIGMOID)
        trunk = b.add(f"b{i}", trunk, b.mul(f"b{i}m", b.conv(f"b{i}b", y, width), gate))
    x = b.mul("weighted", trunk, b.activate("weight", b.conv("w", trunk, width), SIGMOID))
    return _end(b, b.concat("both", x, b.mul("square", x, x)), anchor=True)


def simple_gates(seed: int = 0) -> Model:
    """Halves of one tensor multiplied, a product that is a concat's operand, one that is shuffled to the output."""
    b = Builder(seed)
    x = b.conv("c0", "input", 14, k=5)
    half = b.mul("half", b.gather("left", x, range(7)), b.gather("right", x, range(7, 14)))
    y = b.conv("c1", b.concat("joined", half, "input"), 24, activation=LEAKY)
    z = b.mul("scaled", y, b.conv("c2", half, 24, k=1, activation=SIGMOID))
    x = b.conv("c3", b.shuffle("s0", z, 2), 12, k=1, bias=0.6)
    gate = b.conv("g3", b.shuffle("s1", y, 2), 12, activation=SIGMOID, bias=2.0)
    return b.model(b.shuffle("out", b.mul("last", x, gate), 2), 4)


ALL = {
    "plain": plain,
    "residual": residual,
    "tables": tables,
    "imdn": imdn,
    "srresnet": srresnet,
    "srvgg": srvgg,
    "odd_channels": odd_channels,
    "dense": dense,
    "pads": pads,
    "moves": moves,
    "leaky_sums": leaky_sums,
    "gated": gated,
    "simple_gates": simple_gates,
}
