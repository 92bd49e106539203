"""Operations that move codes and change none: what they make is held as their operand is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import Activation, ConvAttrs, GatherAttrs, Node, Resampling, ResizeAttrs, ShuffleAttrs

#: (ways, C): the channels of the operand whose codes each channel of the result holds.
Origins = NDArray[np.intp]


def origins(node: Node, channels: int) -> Origins | None:
    """Where the codes of a move's result come from, of an operand of so many channels; None where it is no move."""
    return _MOVES[node.op](node, channels) if node.op in _MOVES else None


def is_selection(node: Node) -> bool:
    """A convolution that only moves values: padding, a crop, a pixel unshuffle. One weight an output, 1, no bias."""
    if node.op != "conv" or cast(ConvAttrs, node.attrs).activation is not Activation.NONE:
        return False
    weight = node.weights["weight"]
    flat = weight.reshape(-1, weight.shape[3])
    ones = np.count_nonzero(flat, axis=0) == 1
    return bool(np.all(ones) and np.all(flat.max(axis=0) == 1) and not np.any(node.weights["bias"]))


def _gather(node: Node, channels: int) -> Origins:
    del channels
    return np.asarray([cast(GatherAttrs, node.attrs).channels], np.intp)


def _depth_to_space(node: Node, channels: int) -> Origins:
    """One way a phase."""
    return np.arange(channels).reshape(cast(ShuffleAttrs, node.attrs).block ** 2, -1)


def _same(node: Node, channels: int) -> Origins:
    del node
    return np.arange(channels)[None]


def _resize(node: Node, channels: int) -> Origins | None:
    """Weights that are not negative keep between the codes they read; a cubic overshoots."""
    return None if cast(ResizeAttrs, node.attrs).method is Resampling.CUBIC else _same(node, channels)


def _conv(node: Node, channels: int) -> Origins | None:
    del channels
    if not is_selection(node):
        return None
    weight, groups = node.weights["weight"], cast(ConvAttrs, node.attrs).groups
    ins, outs = weight.shape[2:]
    inside = np.abs(weight).max(axis=(0, 1)).argmax(axis=0)
    return (inside + np.arange(outs) // (outs // groups) * ins)[None]


_MOVES: Mapping[str, Callable[[Node, int], Origins | None]] = {
    "gather": _gather,
    "depth_to_space": _depth_to_space,
    "max_pool": _same,
    "resize": _resize,
    "conv": _conv,
}
