"""What lowering and the driver have to get right beside kernels, in small: every operation that is not a window."""

from __future__ import annotations

from fractions import Fraction

from tests.lower.integer_nets import Net
from tvmsr.graph.model import Activation, Grid, PadMode, Resampling, Statistic
from tvmsr.quant.integer import IntegerGraph

RELU, LEAKY = Activation.RELU, Activation.LEAKY
KINDS = tuple(Statistic)


def cca(net: Net, name: str, x: str, kinds=(Statistic.MEAN, Statistic.DEVIATION)) -> str:
    """Contrast-aware channel attention: statistics, two convolutions on 1x1 maps, a gate."""
    width = net.channels[x]
    found = [net.statistic(f"{name}.{kind.value}", x, kind, bits=10) for kind in kinds]
    y = net.add(f"{name}.sum", *found, bits=8) if len(found) > 1 else net.requantize(f"{name}.read", *found, bits=8)
    y = net.conv(f"{name}.down", y, max(1, width // 2), (1, 1), activation=LEAKY)
    return net.mul(f"{name}.out", x, net.conv(f"{name}.up", y, width, (1, 1), bits=8))


def esa(net: Net, name: str, x: str) -> str:
    """Enhanced spatial attention: a strided crop, a pool, convolutions, back by a resize."""
    width = net.channels[x]
    small = net.conv(f"{name}.s", x, 4, padding=(0, 0, 0, 0), stride=2)
    small = net.max_pool(f"{name}.pool", small, (7, 7), 3)
    small = net.conv(f"{name}.c", small, 4, activation=LEAKY)
    wide = net.resize(f"{name}.wide", small, like=x)
    y = net.add(f"{name}.sum", net.conv(f"{name}.f", x, 4, (1, 1), term=True), wide)
    return net.mul(f"{name}.out", x, net.conv(f"{name}.gate", y, width, (1, 1)))


def cca_twice(seed: int = 0, bits: int = 8) -> IntegerGraph:
    """Two attentions in a row, a skip over both, a slice whose statistic is taken."""
    net = Net(seed, bits)
    head = x = net.conv("head", "input", 10)
    for i in range(2):
        x = net.add(f"b{i}", cca(net, f"a{i}", net.conv(f"c{i}", x, 10, activation=LEAKY)), x)
    part = net.gather("part", x, range(3, 8))
    gate = net.conv("of_part", net.statistic("mean_of_part", part), 10, (1, 1))
    x = net.add("close", net.mul("gated", x, gate), head)
    return net.end(x)


def se_chain(seed: int = 0, count: int = 5) -> IntegerGraph:
    """As many phases as blocks, and one more."""
    net = Net(seed)
    x = net.conv("head", "input", 6)
    for i in range(count):
        x = cca(net, f"se{i}", net.conv(f"c{i}", x, 6), (KINDS[i % len(KINDS)],))
    return net.end(x)


def esa_block(seed: int = 0, bits: int = 8) -> IntegerGraph:
    net = Net(seed, bits)
    x = net.conv("head", "input", 9)
    x = esa(net, "first", x)
    return net.end(esa(net, "second", net.conv("mid", x, 9, activation=RELU)))


def statistics(seed: int = 0, bits: int = 8) -> IntegerGraph:
    """Every kind, of maps of several sizes in one phase, some of the picture itself; concats of 1x1 maps."""
    net = Net(seed, bits)
    x = net.conv("head", "input", 18)
    small = net.conv("small", x, 18, stride=3)
    found = [net.statistic(f"{kind.value}{i}", y, kind, bits=8) for i, y in enumerate((x, small)) for kind in KINDS]
    found += [net.statistic(f"unbiased{i}", "input", kind, unbiased=True) for i, kind in enumerate(KINDS[1:3])]
    shift = net.conv("shift", net.concat("found", *found), 18, (1, 1), bits=9)
    y = net.add("sum", shift, x, net.conv("scale", found[0], 18, (1, 1)))
    return net.end(net.mul("product", y, shift))


def resizes(seed: int = 0, bits: int = 8) -> IntegerGraph:
    """Every method and grid, up, down, to another size, from one pixel; some live in a concat."""
    net = Net(seed, bits)
    x = net.conv("head", "input", 5)
    low = net.conv("low", x, 5, stride=2)
    parts = [net.resize("picture", "input", factor=1, method=Resampling.CUBIC)]
    for i, (method, grid) in enumerate((m, g) for m in Resampling for g in Grid):
        y = net.resize(f"down{i}", x, factor=Fraction(2, 3), method=method, grid=grid, cubic=-0.5)
        y = net.conv(f"c{i}", y, 5, bits=bits)
        parts.append(net.resize(f"back{i}", y if i % 2 else low, like=x, method=method, grid=grid))
    parts.append(net.resize("flat", net.statistic("mean", x), like=x, method=Resampling.NEAREST))
    last = net.conv("last", net.concat("all", *parts, keep=(parts[-1],)), 3, (1, 1), bits=8)
    fine = net.resize("fine", last, factor=3)
    return net.graph(net.add("out", fine, net.resize("anchor", "input", factor=3), bits=8), 3)


def pools(seed: int = 0, bits: int = 8) -> IntegerGraph:
    """Windows of several shapes with paddings, of a slice, on a form of signed bytes; layer norms of all."""
    net = Net(seed, bits)
    x = net.conv("head", "input", 20)
    parts = [
        net.max_pool("square", x, (3, 3), 1, (1, 1, 1, 1)),
        net.max_pool("tall", net.gather("part", x, range(3, 20)), (5, 2), 1, (4, 1, 0, 0)),
        net.layer_norm("norm", x),
    ]
    deep = net.max_pool("deep", net.conv("wide", parts[0], 8), (7, 3), 3, (3, 1, 3, 1))
    parts.append(net.resize("up", net.layer_norm("again", deep, eps=0), like=x))
    return net.end(net.concat("all", *parts, keep=(parts[0],)))


def crops(seed: int = 0) -> IntegerGraph:
    """Negative padding, even and oblong kernels, strides and dilations, groups and depthwise, as terms too."""
    net = Net(seed)
    x = net.conv("head", "input", 16, (4, 4))
    y = net.conv("crop", x, 16, (3, 3), padding=(-2, 1, -1, -3))
    y = net.conv("grow", y, 16, (4, 2), padding=(6, 2, 3, 3))
    z = net.conv("depth", x, 16, (4, 2), groups=16, stride=2, padding=(1, 0, 2, 1))
    z = net.conv("groups", z, 16, (1, 5), groups=4, dilation=2, activation=LEAKY)
    z = net.resize("back", z, like=x, method=Resampling.NEAREST)
    y = net.resize("fit", y, like=x, method=Resampling.NEAREST)
    w = net.conv("far", x, 16, (2, 2), groups=16, padding=(-3, -3, -3, -3), stride=3)
    w = net.resize("near", w, like=x, method=Resampling.NEAREST)
    return net.end(net.add("sum", net.conv("term", x, 16, (2, 3), term=True), y, z, w))


def modes(seed: int = 0) -> IntegerGraph:
    """Readers that mirror, repeat or pad one tensor; of the picture, of a concat's slices, of a shuffle, of a pool."""
    net = Net(seed)
    reflect, replicate = PadMode.REFLECT, PadMode.REPLICATE
    x = net.conv("head", "input", 6, (5, 5), mode=reflect)
    other = net.conv("other", "input", 6, (3, 3), mode=replicate)
    plain = net.conv("plain", "input", 6, (3, 3))
    joined = net.concat("joined", x, other, plain, keep=(x,))
    a = net.conv("a", joined, 8, (3, 3), mode=replicate, stride=2, padding=(2, 2, 1, 1))
    b = net.conv("b", joined, 8, (7, 7), mode=reflect)
    c = net.conv("c", net.gather("some", joined, range(4, 14)), 8, (3, 3))
    d = net.conv("d", net.max_pool("pool", b, (3, 3), 1, (1, 1, 1, 1)), 8, (3, 3), mode=reflect)
    up = net.shuffle("up", net.conv("wide", d, 32, (1, 1), bits=8), 2)
    fine = net.conv("fine", up, 8, (5, 5), mode=reflect)
    back = net.conv("coarse", fine, 8, (2, 2), stride=2, padding=(0, 0, 0, 0), mode=replicate)
    edge = net.conv("edge", b, 8, (3, 5), mode=replicate, padding=(3, -1, -1, 5))
    parts = [net.resize(f"{y}.same", y, like="b", method=Resampling.NEAREST) for y in (a, edge)]
    return net.end(net.add("sum", net.conv("term", joined, 8, (3, 3), mode=reflect, term=True), b, c, back, *parts))


def unshuffled(seed: int = 0) -> IntegerGraph:
    """A network that runs on a quarter of the picture: sides are multiples of 4."""
    net = Net(seed, multiple=4)
    x = net.conv("head", "input", 12, (4, 4), stride=4, padding=(0, 0, 0, 0))
    x = net.add("gated", cca(net, "a", net.conv("c", x, 12)), x)
    return net.graph(net.shuffle("out", net.conv("last", x, 3 * 16, bits=8), 4), 1)


def enlarged(seed: int = 0, method: Resampling = Resampling.CUBIC) -> IntegerGraph:
    """The output is what a step of the driver's own stores."""
    net = Net(seed)
    x = net.layer_norm("norm", net.conv("head", "input", 3))
    return net.graph(net.resize("out", x, factor=2, method=method), 2)


def cut_out(seed: int = 0) -> IntegerGraph:
    """The output is a slice of what a step of the driver's own stores; 1x1 maps are added, also to a whole map."""
    net = Net(seed)
    x = net.resize("fine", net.conv("head", "input", 7), factor=2)
    gate = net.add("gate", net.statistic("mean", x), net.statistic("max", x, Statistic.MAX))
    pooled = net.max_pool("pool", net.add("sum", gate, x), (3, 3), 1, (1, 1, 1, 1))
    return net.graph(net.gather("out", pooled, range(2, 5)), 2)


ALL = {
    "cca_twice": cca_twice,
    "se_chain": se_chain,
    "esa_block": esa_block,
    "statistics": statistics,
    "resizes": resizes,
    "pools": pools,
    "crops": crops,
    "modes": modes,
    "unshuffled": unshuffled,
    "enlarged": enlarged,
    "cut_out": cut_out,
}
