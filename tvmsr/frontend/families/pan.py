"""PAN: pixel attention network (Zhao et al., 2020), and A2N, whose blocks weigh two branches (Chen et al., 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.blocks import Block
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered

_SLOPE = 0.2
_TAIL = ("conv_first", "trunk_conv", "upconv1", "att1.conv", "HRconv1", "conv_last")
#: A2N divides by it before its softmax of two branches.
_TEMPERATURE = 30.0


def _is(state: State, block: str) -> bool:
    return block in state and all(f"{key}.weight" in state for key in _TAIL) and state["conv_last.weight"].shape[0] == 3


def _leaky(net: NetBuilder, x: Any) -> Any:
    return net.activate(x, "leaky", _SLOPE)


def _gated(net: NetBuilder, x: Any, gate: Any) -> Any:
    return net.mul(x, net.activate(gate, "sigmoid"))


def _self_calibrated(net: NetBuilder, x: Any, key: str) -> Any:
    """SCPA: two branches of half the channels, one of them with pixel attention."""
    upper = net.conv(_leaky(net, net.conv(x, f"{key}.conv1_a")), f"{key}.k1.0")
    lower = _leaky(net, net.conv(x, f"{key}.conv1_b"))
    lower = _gated(net, net.conv(lower, f"{key}.PAConv.k3"), net.conv(lower, f"{key}.PAConv.k2"))
    lower = net.conv(lower, f"{key}.PAConv.k4")
    joined = net.concat([_leaky(net, upper), _leaky(net, lower)], f"{key}.concat")
    return net.add(net.conv(joined, f"{key}.conv3"), x, f"{key}.add")


def _weighed(net: NetBuilder, x: Any, key: str) -> Any:
    """AAB: a branch with attention and one without, weighed by a softmax of two numbers, which is a sigmoid."""
    y = _leaky(net, net.conv(x, f"{key}.conv_first"))
    hidden = net.activate(net.conv(net.mean(y), f"{key}.ADM.0"), "relu")
    rows = net.state[f"{key}.ADM.2.weight"].astype(np.float64)
    difference = np.repeat((rows[:1] - rows[1:]) / _TEMPERATURE, net.channels(y), axis=0).astype(np.float32)
    net.put({f"{key}.ADM.difference.weight": difference})
    first = net.conv(hidden, f"{key}.ADM.difference")
    inner = _leaky(net, net.conv(y, f"{key}.attention.k1"))
    attended = _gated(net, net.conv(y, f"{key}.attention.k3"), net.conv(inner, f"{key}.attention.k2"))
    attended = _gated(net, net.conv(attended, f"{key}.attention.k4"), first)
    other = _gated(net, net.conv(y, f"{key}.non_attention"), net.affine(first, -1.0, 0.0))
    mixed = _leaky(net, net.add(attended, other, f"{key}.mixed"))
    return net.add(net.conv(mixed, f"{key}.conv_last"), x, f"{key}.add")


def _tail(net: NetBuilder, y: Any, factors: list[int]) -> Any:
    for n, by in enumerate(factors, 1):
        y = net.conv(net.nearest(y, by), f"upconv{n}")
        y = _leaky(net, _gated(net, y, net.conv(y, f"att{n}.conv")))
        y = _leaky(net, net.conv(y, f"HRconv{n}"))
    return net.conv(y, "conv_last")


def _family(name: str, title: str, trunk: str, mark: str, block: Block) -> Family:
    """Both networks differ in their blocks only."""

    def recognise(state: State) -> bool:
        return _is(state, f"{trunk}.0.{mark}.weight")

    def recipe(state: State, choose: Choices) -> Recipe:
        factors = [2, 2]
        if "upconv2.weight" not in state:
            factors = [
                choose.ask("scale", "2 or 3", f"{title.partition(':')[0]} with one enlargement is for 2 or for 3")
            ]

        def write(net: NetBuilder, x: Any) -> Any:
            first = y = net.conv(x, "conv_first")
            for n in numbered(state, f"{trunk}.{{}}.{mark}.weight"):
                y = block(net, y, f"{trunk}.{n}")
            y = _tail(net, net.add(net.conv(y, "trunk_conv"), first, "trunk.add"), factors)
            return net.add(y, net.bilinear(x, int(np.prod(factors))), "skip")

        return Recipe(write, int(np.prod(factors)), value_range=choose.take("value_range", 1.0, "as published"))

    return Family(name, title, recognise, recipe)


PAN = _family("pan", "PAN: pixel attention network", "SCPA_trunk", "conv1_a", _self_calibrated)
A2N = _family("a2n", "A2N: attention in attention network", "AAB_trunk", "attention.k1", _weighed)
