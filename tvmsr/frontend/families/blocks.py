"""Blocks that several families share: keys as in the published networks, widths and groups as the shapes have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from tvmsr.frontend.builder import NetBuilder

#: A block of a body: the builder, its input, the key of the block.
Block = Callable[[NetBuilder, Any, str], Any]


def any_conv(net: NetBuilder, x: Any, key: str, stride: int = 1, padding: int | None = None) -> Any:
    """A convolution, or a blueprint separable one (BSConvU): 1x1, then depthwise."""
    if f"{key}.pw.weight" in net.state:
        x, key = net.conv(x, f"{key}.pw"), f"{key}.dw"
    return net.conv(x, key, stride=stride, padding=padding)


def channel_attention(net: NetBuilder, x: Any, key: str) -> Any:
    """CCA (IMDN): every channel times a gate made of its contrast: mean plus standard deviation over the picture."""
    contrast = net.add(net.deviation(x, f"{key}.deviation"), net.mean(x, f"{key}.mean"), f"{key}.contrast")
    inner = net.activate(net.conv(contrast, f"{key}.conv_du.0"), "relu")
    gate = net.activate(net.conv(inner, f"{key}.conv_du.2"), "sigmoid")
    return net.mul(x, gate, f"{key}.mul")


def spatial_attention(net: NetBuilder, x: Any, key: str, activation: str = "relu") -> Any:
    """ESA (RFDN; RLFN has one convolution in the middle): a gate for every value, made at a sixth of the size."""
    inner = net.conv(x, f"{key}.conv1")
    y = net.max_pool(any_conv(net, inner, f"{key}.conv2", 2, 0), 7, 3)
    middle = [stage for stage in ("conv_max", "conv3", "conv3_") if _has(net, f"{key}.{stage}")]
    for stage in middle:
        y = any_conv(net, y, f"{key}.{stage}")
        y = net.activate(y, activation if stage != middle[-1] else "none")
    y = net.resize_like(y, x, name=f"{key}.resize")
    y = net.add(y, net.conv(inner, f"{key}.conv_f"), f"{key}.add")
    return net.mul(x, net.activate(net.conv(y, f"{key}.conv4"), "sigmoid"), f"{key}.mul")


def _has(net: NetBuilder, key: str) -> bool:
    return f"{key}.weight" in net.state or f"{key}.pw.weight" in net.state


def distilled(
    net: NetBuilder, x: Any, key: str, stages: Sequence[str], activation: str, slope: float = 0.0, *, last: bool = False
) -> Any:
    """Information multi-distillation (IMDB): each stage keeps what the next one does not read; all that is joined.

    last: whether the last stage is activated as well.
    """
    kept, rest = [], x
    for stage, following in pairwise(stages):
        made = net.activate(net.conv(rest, f"{key}.{stage}"), activation, slope)
        read = net.state[f"{key}.{following}.weight"].shape[1]
        part, rest = net.split(made, net.channels(made) - read)
        kept.append(part)
    closing = net.conv(rest, f"{key}.{stages[-1]}")
    return net.concat([*kept, net.activate(closing, activation if last else "none", slope)], f"{key}.concat")


def feature_distilled(net: NetBuilder, x: Any, key: str, activation: str, slope: float = 0.0) -> Any:
    """Residual feature distillation (RFDB, ESDB): 1x1 convolutions keep a part, residual stages go on; all joined."""
    kept, y = [], x
    for n in (1, 2, 3):
        kept.append(net.activate(net.conv(y, f"{key}.c{n}_d"), activation, slope))
        made = any_conv(net, y, f"{key}.c{n}_r")
        y = net.activate(net.add(made, y, f"{key}.add{n}"), activation, slope)
    kept.append(net.activate(any_conv(net, y, f"{key}.c4"), activation, slope))
    return net.conv(net.concat(kept, f"{key}.concat"), f"{key}.c5")


def long_skip(net: NetBuilder, x: Any, head: str, body: str, blocks: Sequence[int], block: Block) -> Any:
    """head(x) + closing(blocks(head(x))), the closing convolution numbered as one block more."""
    first = y = net.conv(x, head)
    for n in blocks:
        y = block(net, y, f"{body}.{n}")
    return net.add(net.conv(y, f"{body}.{len(blocks)}"), first, f"{body.rpartition('.')[0]}.add")


def joined_blocks(net: NetBuilder, x: Any, keys: Sequence[str], block: Block) -> Any:
    """Blocks in a row, the outputs of all of them joined: what IMDN, RFDN and BSRN fuse with a 1x1 convolution."""
    made, y = [], x
    for key in keys:
        y = block(net, y, key)
        made.append(y)
    return net.concat(made, "concat")


def shuffled(net: NetBuilder, x: Any, key: str, scale: int) -> Any:
    """A convolution and a pixel shuffle."""
    return net.pixel_shuffle(net.conv(x, key), scale)
