"""LatticeNet: lattice blocks, whose branches mix with coefficients made of mean and deviation (Luo et al., 2020)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.tails import range_of_mean, shifted
from tvmsr.frontend.state import State, counted, whole_root

_BLOCK = "body_unit{}.conv_block0.0.weight"
_SLOPE = 0.05


def _recognise(state: State) -> bool:
    needed = ("conv1.weight", "conv2.weight", "T_tdm1.0.weight", "L_tdm1.0.weight", "tail.0.weight", "tail.1.weight")
    blocks = counted(state, _BLOCK)
    if len(blocks) < 2 or not all(key in state for key in needed):
        return False
    whole = all(f"body_unit1.{key}.conv_std.2.weight" in state for key in ("fea_ca1", "x_ca1", "fea_ca2", "x_ca2"))
    return whole and whole_root(state["tail.1.weight"].shape[0], 3) is not None


def _coefficients(net: NetBuilder, x: Any, key: str) -> Any:
    """CC: half the sum of two gates, one made of the channels' means, one of their (unbiased) deviations."""
    gates = []
    for branch, of in (("conv_mean", net.mean(x)), ("conv_std", net.deviation(x, unbiased=True))):
        inner = net.activate(net.conv(of, f"{key}.{branch}.0"), "relu")
        gates.append(net.activate(net.conv(inner, f"{key}.{branch}.2"), "sigmoid"))
    return net.affine(net.add(*gates), 0.5, 0.0)


def _branch(net: NetBuilder, x: Any, key: str) -> Any:
    for n in (0, 2, 4):
        x = net.activate(net.conv(x, f"{key}.{n}"), "leaky", _SLOPE)
    return x


def _block(net: NetBuilder, x: Any, key: str) -> Any:
    def mixed(base: Any, other: Any, coefficients: str, of: Any) -> Any:
        return net.add(base, net.mul(other, _coefficients(net, of, f"{key}.{coefficients}")))

    made = _branch(net, x, f"{key}.conv_block0")
    upper, lower = mixed(x, made, "fea_ca1", made), mixed(made, x, "x_ca1", x)
    long = _branch(net, upper, f"{key}.conv_block1")
    top, bottom = mixed(long, lower, "fea_ca2", lower), mixed(lower, long, "x_ca2", long)
    return net.conv(net.concat([top, bottom], f"{key}.concat"), f"{key}.compress")


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["tail.1.weight"].shape[0], 3)
    assert scale is not None
    blocks = counted(state, _BLOCK)

    def write(net: NetBuilder, x: Any) -> Any:
        first = y = net.conv(net.conv(shifted(net, x, "sub_mean"), "conv1"), "conv2")
        made = []
        for n in blocks:
            y = _block(net, y, f"body_unit{n}")
            made.append(y)
        joined = made.pop()
        for n, earlier in enumerate(reversed(made), 1):
            sides = (net.conv(joined, f"T_tdm{n}.0"), net.conv(earlier, f"L_tdm{n}.0"))
            joined = net.concat([net.activate(side, "relu") for side in sides], f"tdm{n}.concat")
        y = net.conv(net.conv(net.add(joined, first, "body.add"), "tail.0"), "tail.1")
        return shifted(net, net.pixel_shuffle(y, scale), "add_mean")

    return Recipe(write, scale, value_range=range_of_mean(state, choose))


FAMILY = Family("latticenet", "LatticeNet: lattice blocks", _recognise, _recipe)
