"""SPAN: swift parameter-free attention network (Wan et al., 2023), as trained and with its convolutions folded.

Each convolution is trained as 1x1-3x3-1x1 beside a 1x1 one, and deployed as one 3x3.
"""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.fold import chained, folded_conv, linear
from tvmsr.frontend.families.tails import DIV2K_MEAN
from tvmsr.frontend.state import State, counted, numbered, whole_root

_BLOCK = "block_{}.c1_r.eval_conv.weight"


def _parts(state: State, pattern: str) -> list[int]:
    """Numbers of blocks, whichever of their two forms they have."""
    return counted(state, pattern) or counted(state, pattern.replace("eval_conv", "sk"))


def _has(state: State, key: str) -> bool:
    return f"{key}.eval_conv.weight" in state or f"{key}.sk.weight" in state


def _recognise(state: State) -> bool:
    tail = state.get("upsampler.0.weight")
    if tail is None or "conv_cat.weight" not in state or len(_parts(state, _BLOCK)) < 2:
        return False
    whole = all(_has(state, key) for key in ("conv_1", "conv_2", "block_1.c2_r", "block_1.c3_r"))
    return whole and whole_root(tail.shape[0], 3) is not None


def conv3xc(net: NetBuilder, x: Any, key: str) -> Any:
    """The 3x3 convolution that a block of SPAN is; the branches it was trained with say more than a stale copy."""
    state = net.state
    if f"{key}.conv.0.weight" not in state:
        return net.conv(x, f"{key}.eval_conv")
    net.pass_over(f"{key}.eval_conv.weight", f"{key}.eval_conv.bias")
    grown = chained(linear(state, f"{key}.conv.{n}") for n in range(3))
    return folded_conv(net, x, f"{key}.folded", grown + linear(state, f"{key}.sk"))


def attention_block(net: NetBuilder, x: Any, key: str, activation: str = "silu") -> tuple[Any, Any]:
    """SPAB: what comes out, and the first activated convolution. The gate is sigmoid of the last, less 1/2."""
    first = net.activate(conv3xc(net, x, f"{key}.c1_r"), activation)
    second = net.activate(conv3xc(net, first, f"{key}.c2_r"), activation)
    third = conv3xc(net, second, f"{key}.c3_r")
    gate = net.affine(net.activate(third, "sigmoid"), 1.0, -0.5)
    return net.mul(net.add(third, x, f"{key}.add"), gate, f"{key}.mul"), first


def _recipe(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["upsampler.0.weight"].shape[0], 3)
    assert scale is not None
    blocks = _parts(state, _BLOCK)
    level = None
    if "no_norm" not in state:
        level = choose.take("value_range", 255.0, "it reads the picture less its mean times this, as published")

    def write(net: NetBuilder, x: Any) -> Any:
        x = net.affine(x, level, -level * DIV2K_MEAN) if level is not None else x
        first = y = conv3xc(net, x, "conv_1")
        kept = []
        for n in blocks:
            y, inner = attention_block(net, y, f"block_{n}")
            kept.append((y, inner))
        last = conv3xc(net, y, "conv_2")
        joined = net.concat([first, last, kept[0][0], kept[-1][1]], "concat")
        return net.pixel_shuffle(net.conv(net.conv(joined, "conv_cat"), "upsampler.0"), scale)

    return Recipe(write, scale)


#: A mark, not a weight: checkpoints that have it were trained without the mean taken off.
_MARKS = ("no_norm",)

FAMILY = Family(
    "span", "SPAN: swift parameter-free attention network (training and deployed form)", _recognise, _recipe, _MARKS
)


def _recognise_plus(state: State) -> bool:
    tail = state.get("upsampler.0.weight")
    whole = all(_has(state, key) for key in ("feats.0", "feats.1.block_1.c1_r", "feats.1.block_end.c1_r"))
    return whole and tail is not None and whole_root(tail.shape[0], 3) is not None


def _recipe_plus(state: State, choose: Choices) -> Recipe:
    scale = whole_root(state["upsampler.0.weight"].shape[0], 3)
    assert scale is not None

    def group(net: NetBuilder, x: Any, key: str) -> Any:
        start, _ = attention_block(net, x, f"{key}.block_1", "mish")
        y, inner = start, numbered(state, key + ".block_n.{}.c1_r.eval_conv.weight")
        for n in inner or numbered(state, key + ".block_n.{}.c1_r.sk.weight"):
            y, _ = attention_block(net, y, f"{key}.block_n.{n}", "mish")
        y, second = attention_block(net, y, f"{key}.block_end", "mish")
        joined = net.concat([x, conv3xc(net, y, f"{key}.conv_2"), start, second], f"{key}.concat")
        return net.conv(joined, f"{key}.conv_cat")

    def write(net: NetBuilder, x: Any) -> Any:
        y = conv3xc(net, x, "feats.0")
        for n in counted(state, "feats.{}.conv_cat.weight"):
            y = group(net, y, f"feats.{n}")
        return net.pixel_shuffle(net.conv(y, "upsampler.0"), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


PLUS = Family("spanplus", "SPANPlus of neosr, with pixel shuffle", _recognise_plus, _recipe_plus, _MARKS)
