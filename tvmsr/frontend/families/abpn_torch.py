"""ABPN (anchor-based plain net, Du et al., 2021) in the PyTorch keys of the AIMET model zoo."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.quicksrnet import convs_of
from tvmsr.frontend.state import State, whole_root


def _recognise(state: State) -> bool:
    convs = convs_of(state)
    if len(convs) < 2 or "anchor.net.weight" not in state:
        return False
    plain = all(key.startswith(("cnn.", "anchor.")) for key in state)
    return plain and whole_root(state[f"{convs[-1]}.weight"].shape[0], 3) is not None


def _recipe(state: State, choose: Choices) -> Recipe:
    convs = convs_of(state)
    scale = whole_root(state[f"{convs[-1]}.weight"].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        y = x
        for key in convs:
            y = net.activate(net.conv(y, key), "relu" if key != convs[-1] else "none")
        return net.pixel_shuffle(net.add(y, net.conv(x, "anchor.net"), "anchor.add"), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as in the AIMET model zoo"))


FAMILY = Family("abpn_torch", "ABPN: anchor-based plain net (PyTorch, AIMET keys)", _recognise, _recipe)
