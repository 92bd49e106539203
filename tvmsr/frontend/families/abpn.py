"""ABPN (anchor-based plain net): 3x3 convolutions, the input repeated beside them, depth to space. TensorFlow keys."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered, whole_root

_KERNEL = "layer_with_weights-{}/kernel"


def _recognise(state: State) -> bool:
    layers = numbered(state, _KERNEL)
    shapes = [state[_KERNEL.format(n)].shape for n in layers]
    plain = len(layers) >= 2 and all(len(s) == 4 and s[:2] == (3, 3) for s in shapes)
    chained = all(a[3] == b[2] for a, b in pairwise(shapes))
    return plain and chained and shapes[0][2] == 3 and whole_root(shapes[-1][3], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    layers = numbered(state, _KERNEL)
    scale = whole_root(state[_KERNEL.format(layers[-1])].shape[3], 3)
    assert scale is not None
    level = choose.take("value_range", 255.0, "ABPN is trained on 0..255")

    def write(net: NetBuilder, x: Any) -> Any:
        y = x
        for n in layers:
            key = f"layer_with_weights-{n}"
            # TensorFlow keeps kernels as (KH, KW, IC, OC).
            net.weight(f"{key}/kernel", state[f"{key}/kernel"].transpose(3, 2, 0, 1))
            y = net.conv(y, key, weight="kernel", sep="/")
            y = net.activate(y, "relu") if n != layers[-1] else y
        y = net.add(y, net.concat([x] * scale**2), "anchor")
        return net.clip(net.depth_to_space(y, scale), 0.0, level)

    return Recipe(write, scale, value_range=level)


FAMILY = Family(
    "abpn",
    "ABPN: anchor-based plain net (mobile, INT8-friendly)",
    _recognise,
    _recipe,
    ignored=(r"optimizer/.*", r".*/\.OPTIMIZER_SLOT/.*"),  # what TensorFlow's training keeps beside the layers
)
