"""RRDBNet: residual in residual dense blocks (ESRGAN, Wang et al., 2018; ESRGAN+; Real-ESRGAN, 2021).

Three styles of keys: numbered modules, those of the ESRGAN repository, those of BasicSR. Where the first convolution
reads 4 or 16 times the colours, a pixel unshuffle stands before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.fold import unshuffled
from tvmsr.frontend.state import State, counted, numbered

_SLOPE, _RESIDUAL = 0.2, 0.2


@dataclass(frozen=True)
class _Style:
    """Keys; {} counts blocks from 0, dense blocks and convolutions from 1."""

    first: str
    block: str
    dense: str
    conv: str
    closing: str
    #: Convolutions after the body: each after an enlargement, the one at full size, the last.
    tail: Sequence[str]


def _old(state: State) -> _Style:
    """Modules of one sequence: numbers tell what stands where."""
    numbers = sorted({int(key.split(".")[1]) for key in state if key.startswith("model.") and ".sub." not in key})
    blocks = len(numbered(state, "model.1.sub.{}.RDB1.conv1.0.weight"))
    tail = [f"model.{n}" for n in numbers if n > 1]
    return _Style("model.0", "model.1.sub.{}", "RDB{}", "conv{}.0", f"model.1.sub.{blocks}", tail)


def _style(state: State) -> _Style | None:
    if "model.1.sub.0.RDB1.conv1.0.weight" in state:
        return _old(state)
    if "RRDB_trunk.0.RDB1.conv1.weight" in state:
        ups = [f"upconv{n}" for n in counted(state, "upconv{}.weight")]
        return _Style("conv_first", "RRDB_trunk.{}", "RDB{}", "conv{}", "trunk_conv", [*ups, "HRconv", "conv_last"])
    if "body.0.rdb1.conv1.weight" in state:
        ups = [f"conv_up{n}" for n in counted(state, "conv_up{}.weight")]
        return _Style("conv_first", "body.{}", "rdb{}", "conv{}", "conv_body", [*ups, "conv_hr", "conv_last"])
    return None


def _recognise(state: State) -> bool:
    style = _style(state)
    if style is None or len(style.tail) < 2:
        return False
    if not all(f"{key}.weight" in state for key in (style.first, style.closing, *style.tail)):
        return False
    return state[f"{style.tail[-1]}.weight"].shape[0] == 3 and _unshuffle(state, style) is not None


def _unshuffle(state: State, style: _Style) -> int | None:
    """The block of the pixel unshuffle before the network: 1, 2 or 4; None where channels fit none."""
    ins, colours = state[f"{style.first}.weight"].shape[1], state[f"{style.tail[-1]}.weight"].shape[0]
    return {1: 1, 4: 2, 16: 4}.get(ins // colours) if ins % colours == 0 else None


def _enlargements(count: int, unshuffle: int, choose: Choices) -> list[int]:
    """By how much each of the enlargements enlarges: 2, but one alone may do so by 3."""
    if count == 1 and unshuffle == 1 and choose.given("scale") == 3:
        return [3]
    return [2] * count


def _dense(net: NetBuilder, x: Any, key: str, style: _Style) -> Any:
    """Five convolutions, each of all that was made before; ESRGAN+ adds a 1x1 one and a shortcut."""
    made = [x]
    plus = f"{key}.conv1x1.weight" in net.state
    for n in range(1, 5):
        y = net.conv(net.concat(made) if len(made) > 1 else x, f"{key}.{style.conv.format(n)}")
        y = net.activate(y, "leaky", _SLOPE)
        if plus and n == 2:
            y = net.add(y, net.conv(x, f"{key}.conv1x1"))
        if plus and n == 4:
            y = net.add(y, made[2])
        made.append(y)
    y = net.conv(net.concat(made), f"{key}.{style.conv.format(5)}")
    return net.add(net.affine(y, _RESIDUAL, 0.0), x, f"{key}.add")


def _first(net: NetBuilder, x: Any, key: str, unshuffle: int) -> Any:
    if unshuffle == 1:
        return net.conv(x, key)
    kernel = unshuffled(np.asarray(net.state[f"{key}.weight"]), unshuffle)
    net.put({f"{key}.weight": kernel})
    return net.conv(x, key, stride=unshuffle, padding=unshuffle)


def _recipe(state: State, choose: Choices) -> Recipe:
    style = _style(state)
    assert style is not None
    unshuffle = _unshuffle(state, style) or 1
    factors = _enlargements(len(style.tail) - 2, unshuffle, choose)
    blocks = len(numbered(state, f"{style.block}.{style.dense.format(1)}.{style.conv.format(1)}.weight"))

    def write(net: NetBuilder, x: Any) -> Any:
        first = y = _first(net, x, style.first, unshuffle)
        for n in range(blocks):
            key, inner = style.block.format(n), y
            for d in (1, 2, 3):
                inner = _dense(net, inner, f"{key}.{style.dense.format(d)}", style)
            y = net.add(net.affine(inner, _RESIDUAL, 0.0), y, f"{key}.add")
        y = net.add(net.conv(y, style.closing), first, "body.add")
        for key, by in zip(style.tail, factors, strict=False):
            y = net.activate(net.conv(net.nearest(y, by), key), "leaky", _SLOPE)
        y = net.activate(net.conv(y, style.tail[-2]), "leaky", _SLOPE)
        return net.conv(y, style.tail[-1])

    scale = int(np.prod(factors)) // unshuffle
    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("rrdb", "RRDBNet (ESRGAN, ESRGAN+, Real-ESRGAN; old and new keys)", _recognise, _recipe)
