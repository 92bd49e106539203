"""PLKSR: large kernels on a part of the channels (Lee, Yun and Ro, 2024), and RealPLKSR where it has a layer norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, whole_root

_EPSILON = 1e-6


@dataclass(frozen=True)
class _Style:
    """The mixer's key (PLKSR's is misspelt in all checkpoints), its activation, and what stands after the blocks."""

    mixer: str
    activation: str
    dropout: int


_PLAIN, _REAL = _Style("channe_mixer", "gelu", 0), _Style("channel_mixer", "mish", 1)


def _style(state: State) -> _Style | None:
    for style in (_PLAIN, _REAL):
        if f"feats.1.{style.mixer}.0.weight" in state:
            return style
    return None


def _blocks(state: State) -> list[str]:
    """feats.1, feats.2 and so on."""
    count = 1
    while f"feats.{count}.lk.conv.weight" in state:
        count += 1
    return [f"feats.{n}" for n in range(1, count)]


def _recognise(state: State) -> bool:
    style, blocks = _style(state), _blocks(state)
    if style is None or not blocks or "feats.0.weight" not in state or "feats.1.refine.weight" not in state:
        return False
    last = state.get(f"feats.{len(blocks) + 1 + style.dropout}.weight")
    simple = not any(key in state for key in ("feats.1.norm.weight", "to_img.init_pos"))
    return simple and last is not None and whole_root(last.shape[0], 3) is not None


def _block(net: NetBuilder, x: Any, key: str, style: _Style) -> Any:
    y = net.layer_norm(x, f"{key}.layer_norm", _EPSILON) if f"{key}.layer_norm.weight" in net.state else x
    y = net.conv(net.activate(net.conv(y, f"{key}.{style.mixer}.0"), style.activation), f"{key}.{style.mixer}.2")
    part, rest = net.split(y, net.state[f"{key}.lk.conv.weight"].shape[0])
    y = net.concat([net.conv(part, f"{key}.lk.conv"), rest], f"{key}.lk.concat")
    if f"{key}.attn.f.0.weight" in net.state:
        y = net.mul(y, net.activate(net.conv(y, f"{key}.attn.f.0"), "sigmoid"), f"{key}.attn.mul")
    return net.add(net.conv(y, f"{key}.refine"), x, f"{key}.add")


def _recipe(state: State, choose: Choices) -> Recipe:
    style, blocks = _style(state), _blocks(state)
    assert style is not None
    last = f"feats.{len(blocks) + 1 + style.dropout}"
    scale = whole_root(state[f"{last}.weight"].shape[0], 3)
    assert scale is not None

    def write(net: NetBuilder, x: Any) -> Any:
        y = net.conv(x, "feats.0")
        for key in blocks:
            y = _block(net, y, key, style)
        return net.pixel_shuffle(net.add(net.conv(y, last), net.repeat(x, scale**2), "anchor"), scale)

    return Recipe(write, scale, value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family("plksr", "PLKSR, and RealPLKSR with layer norm: partial large kernels", _recognise, _recipe)
