"""SRResNet in PyTorch keys: 9x9 ends, residual blocks with batch norm and PReLU, shuffles by 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered

_MEAN, _DEVIATION = np.asarray([0.485, 0.456, 0.406]), np.asarray([0.229, 0.224, 0.225])
#: Scale and shift of what torchvision's networks want of pictures 0..1.
_IMAGENET = (1 / _DEVIATION).astype(np.float32), (-_MEAN / _DEVIATION).astype(np.float32)


@dataclass(frozen=True)
class _Keys:
    """Where one code keeps its layers: a convolution and what follows it, without `.weight`."""

    head: tuple[str, str]  # convolution, PReLU
    blocks: tuple[tuple[str, ...], ...]  # each: convolution, norm, PReLU, convolution, norm
    closing: tuple[str, str]  # convolution, norm
    steps: tuple[tuple[str, str], ...]  # convolution, PReLU
    last: str
    normalised: bool = False  # whether it takes pictures as torchvision's networks do


def _numbered_blocks(state: State) -> _Keys:
    """block1, block2, ...: head, residual blocks, closing, upsampling."""
    count = 2
    while f"block{count}.conv1.weight" in state:
        count += 1
    names = [f"block{n}" for n in range(2, count)]
    blocks = tuple((f"{b}.conv1", f"{b}.bn1", f"{b}.prelu", f"{b}.conv2", f"{b}.bn2") for b in names)
    end = f"block{count + 1}"
    steps = tuple((f"{end}.{n}.conv", f"{end}.{n}.prelu") for n in numbered(state, end + ".{}.conv.weight"))
    closing = (f"block{count}.0", f"block{count}.1")
    return _Keys(("block1.0", "block1.1"), blocks, closing, steps, f"{end}.{len(steps)}")


def _convolutional_blocks(state: State) -> _Keys:
    """conv_block1, residual_blocks.N, conv_block2, subpixel_convolutional_blocks.N, conv_block3."""
    count = len(numbered(state, "residual_blocks.{}.conv_block1.conv_block.0.weight"))
    layers = ("conv_block1.conv_block.{}", (0, 1, 2)), ("conv_block2.conv_block.{}", (0, 1))
    blocks = tuple(
        tuple(f"residual_blocks.{n}.{half.format(i)}" for half, numbers in layers for i in numbers)
        for n in range(count)
    )
    ups = [f"subpixel_convolutional_blocks.{n}" for n in range(4)]
    ups = [key for key in ups if f"{key}.conv.weight" in state]
    return _Keys(
        ("conv_block1.conv_block.0", "conv_block1.conv_block.1"),
        blocks,
        ("conv_block2.conv_block.0", "conv_block2.conv_block.1"),
        tuple((f"{key}.conv", f"{key}.prelu") for key in ups),
        "conv_block3.conv_block.0",
        normalised=True,
    )


_STYLES = (_numbered_blocks, _convolutional_blocks)


def _find(state: State) -> _Keys | None:
    for style in _STYLES:
        keys = style(state)
        needed = [*keys.head, *keys.closing, keys.last, *(key for block in keys.blocks for key in block)]
        if keys.blocks and keys.steps and all(f"{key}.weight" in state for key in needed):
            return keys
    return None


def _norm(net: NetBuilder, x: Any, key: str) -> Any:
    return net.batch_norm(x, f"{key}.weight", f"{key}.bias", f"{key}.running_mean", f"{key}.running_var")


def _prelu(net: NetBuilder, x: Any, key: str) -> Any:
    slope = net.state[f"{key}.weight"]
    net.weight(f"{key}.weight", slope if slope.size > 1 else slope.repeat(net.channels(x)))
    return net.prelu(x, f"{key}.weight")


def _recipe(state: State, choose: Choices) -> Recipe:
    keys = _find(state)
    assert keys is not None
    activation = choose.take(
        "activation", "tanh", "the output is (tanh(y) + 1) / 2, as in the SRGAN that uses these keys"
    )

    def write(net: NetBuilder, x: Any) -> Any:
        if keys.normalised:
            x = net.affine(x, *_IMAGENET)
        y = first = _prelu(net, net.conv(x, keys.head[0]), keys.head[1])
        for conv1, norm1, slope, conv2, norm2 in keys.blocks:
            inner = _prelu(net, _norm(net, net.conv(y, conv1), norm1), slope)
            name = f"{conv1.split('.conv')[0]}.add"
            y = net.add(_norm(net, net.conv(inner, conv2), norm2), y, name)
        y = _norm(net, net.conv(y, keys.closing[0]), keys.closing[1])
        y = net.add(y, first, f"{keys.closing[0].split('.')[0]}.add")
        for conv, slope in keys.steps:
            y = _prelu(net, net.pixel_shuffle(net.conv(y, conv), 2), slope)
        return net.affine(net.activate(net.conv(y, keys.last), activation), 0.5, 0.5)

    scale = 2 ** len(keys.steps)
    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as in training"))


FAMILY = Family(
    "srresnet", "SRResNet: residual network with batch norm", lambda state: _find(state) is not None, _recipe
)
