"""SRResNet as an MXNet model zoo keeps it: numbered convolutions, batch norms and PReLUs."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered

_CONV, _NORM, _SLOPE = "arg:convolution{}_weight", "arg:batchnorm{}_gamma", "arg:leakyrelu{}_weight"


def _recognise(state: State) -> bool:
    convs, norms, slopes = (len(numbered(state, pattern)) for pattern in (_CONV, _NORM, _SLOPE))
    # 1 head, 2n in blocks, 1 closing, u shuffled, 1 last; 2n + 1 norms; 1 + n + u slopes
    blocks = (norms - 1) // 2
    steps = slopes - 1 - blocks
    return norms % 2 == 1 and blocks >= 1 and steps >= 1 and convs == 2 * blocks + steps + 3


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks = (len(numbered(state, _NORM)) - 1) // 2
    steps = len(numbered(state, _SLOPE)) - 1 - blocks
    closing = 2 * blocks + 1

    def conv(net: NetBuilder, x: Any, n: int) -> Any:
        return net.conv(x, f"arg:convolution{n}", sep="_")

    def norm(net: NetBuilder, x: Any, n: int) -> Any:
        key = f"batchnorm{n}_"
        names = (f"arg:{key}gamma", f"arg:{key}beta", f"aux:{key}moving_mean", f"aux:{key}moving_var")
        return net.batch_norm(x, *names)

    def prelu(net: NetBuilder, x: Any, n: int) -> Any:
        return net.prelu(x, _SLOPE.format(n))

    def write(net: NetBuilder, x: Any) -> Any:
        y = first = prelu(net, conv(net, x, 0), 0)
        for b in range(blocks):
            inner = prelu(net, norm(net, conv(net, y, 2 * b + 1), 2 * b), b + 1)
            y = net.add(norm(net, conv(net, inner, 2 * b + 2), 2 * b + 1), y, f"block{b}.add")
        y = net.add(norm(net, conv(net, y, closing), 2 * blocks), first, "body.add")
        for s in range(steps):
            y = prelu(net, net.pixel_shuffle(conv(net, y, closing + 1 + s), 2), blocks + 1 + s)
        # The network was trained on -1..1 targets.
        return net.affine(conv(net, y, closing + 1 + steps), 0.5, 0.5)

    return Recipe(write, 2**steps, value_range=choose.take("value_range", 1.0, "as in training"))


FAMILY = Family("srresnet_mxnet", "SRResNet (MXNet keys)", _recognise, _recipe)
