"""SRResNet in plain PyTorch keys: 9x9 ends, residual blocks with batch norm and PReLU, shuffles by 2."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered


def _blocks(state: State) -> list[str]:
    count = 2
    while f"block{count}.conv1.weight" in state:
        count += 1
    return [f"block{n}" for n in range(2, count)]


def _recognise(state: State) -> bool:
    blocks = _blocks(state)
    end = f"block{len(blocks) + 3}"
    return bool(blocks) and "block1.0.weight" in state and f"{end}.0.conv.weight" in state


def _recipe(state: State, choose: Choices) -> Recipe:
    blocks = _blocks(state)
    closing, end = f"block{len(blocks) + 2}", f"block{len(blocks) + 3}"
    steps = numbered(state, end + ".{}.conv.weight")
    activation = choose.take(
        "activation", "tanh", "the output is (tanh(y) + 1) / 2, as in the SRGAN that uses these keys"
    )

    def norm(net: NetBuilder, x: Any, key: str) -> Any:
        return net.batch_norm(x, f"{key}.weight", f"{key}.bias", f"{key}.running_mean", f"{key}.running_var")

    def prelu(net: NetBuilder, x: Any, key: str, channels: int) -> Any:
        slope = state[key]
        net.weight(key, slope if slope.size > 1 else slope.repeat(channels))
        return net.prelu(x, key)

    def write(net: NetBuilder, x: Any) -> Any:
        width = state["block1.0.weight"].shape[0]
        y = first = prelu(net, net.conv(x, "block1.0"), "block1.1.weight", width)
        for key in blocks:
            inner = prelu(net, norm(net, net.conv(y, f"{key}.conv1"), f"{key}.bn1"), f"{key}.prelu.weight", width)
            y = net.add(norm(net, net.conv(inner, f"{key}.conv2"), f"{key}.bn2"), y, f"{key}.add")
        y = net.add(norm(net, net.conv(y, f"{closing}.0"), f"{closing}.1"), first, f"{closing}.add")
        for n in steps:
            made = net.pixel_shuffle(net.conv(y, f"{end}.{n}.conv"), 2)
            y = prelu(net, made, f"{end}.{n}.prelu.weight", width)
        y = net.conv(y, f"{end}.{len(steps)}")
        return net.affine(net.activate(y, activation), 0.5, 0.5)

    return Recipe(write, 2 ** len(steps), value_range=choose.take("value_range", 1.0, "as in training"))


FAMILY = Family("srresnet", "SRResNet: residual network with batch norm (PyTorch)", _recognise, _recipe)
