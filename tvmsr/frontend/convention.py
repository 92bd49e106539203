"""From a network's own convention (value range, colours) to the canonical one: RGB 0..1 in, RGB or Y 0..1 out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.frontend.relax_import import RawGraph
from tvmsr.graph.analysis import tensor_types
from tvmsr.graph.canonical import canonicalise
from tvmsr.graph.model import INPUT, Colour, ConvAttrs, Graph, Node, ShuffleAttrs
from tvmsr.graph.workspace import Workspace


class Colours(str, Enum):
    """What a network takes and gives. `computes` is what its Model gives, which knows RGB and studio-range Y alone."""

    RGB = "rgb"
    Y = "y"  # BT.601 studio range
    Y_FULL = "y-full"  # BT.601, 0..1 for black and white
    YCBCR = "ycbcr"  # BT.601 full range as in JPEG, 1/2 for no colour

    @property
    def channels(self) -> int:
        return 1 if self in (Colours.Y, Colours.Y_FULL) else 3

    @property
    def computes(self) -> Colour:
        return Colour.Y if self.channels == 1 else Colour.RGB


@dataclass(frozen=True, eq=False)
class Mix:
    """channels @ matrix + offset."""

    matrix: NDArray[Any]
    offset: NDArray[Any]

    def inverse(self) -> Mix:
        matrix = np.linalg.inv(self.matrix)
        return Mix(matrix, -self.offset @ matrix)


_LUMA = np.asarray([0.299, 0.587, 0.114])
_BLUE, _RED = (np.asarray([0.0, 0.0, 1.0]) - _LUMA) / 1.772, (np.asarray([1.0, 0.0, 0.0]) - _LUMA) / 1.402
#: Y = (16 + 65.481 R + 128.553 G + 24.966 B) / 255 for R, G, B, Y in 0..1.
_TO_Y = Mix(np.asarray([[65.481], [128.553], [24.966]]) / 255, np.asarray([16 / 255]))
_TO_YCBCR = Mix(np.stack([_LUMA, _BLUE, _RED], axis=1), np.asarray([0.0, 0.5, 0.5]))

#: What stands before a network on these colours.
FROM_RGB = {Colours.Y: _TO_Y, Colours.Y_FULL: Mix(_LUMA[:, None], np.zeros(1)), Colours.YCBCR: _TO_YCBCR}


def to_canonical_ends(raw: RawGraph, value_range: float, colours: Colours, source: str = "the model") -> Graph:
    """The graph with the nodes before and after it that its convention wants. Passes fold them away later.

    A clip of Y, Cb and Cr at the very end stays, because the clip of R, G and B is another one.
    """
    channels = tensor_types(raw.graph, raw.input_channels)[raw.graph.output].channels
    wanted = colours.channels
    if raw.input_channels != wanted or channels != wanted:
        raise InputFileError(
            f"{source}: has {raw.input_channels} channels in and {channels} out; a network on {colours.value} has "
            f"{wanted} and {wanted}"
        )
    net = Workspace(raw.graph, raw.input_channels)
    first = INPUT
    if colours in FROM_RGB:
        first = net.fresh(f"rgb_to_{colours.value}".replace("-", "_"))
        net.redirect(INPUT, first)
        net.put(_pointwise(first, INPUT, FROM_RGB[colours]))
    if value_range != 1.0:
        name = net.fresh("to_range")
        net.redirect(first, name)
        net.put(_affine(name, first, value_range, 0.0, wanted))
        net.output = _last(net, "from_range", 1.0 / value_range, 0.0, wanted)
    if colours is Colours.Y_FULL:
        net.output = _last(net, "to_studio", 219 / 255, 16 / 255, wanted)
    return _mixed(net.graph(), _TO_YCBCR.inverse()) if colours is Colours.YCBCR else net.graph()


def sized_by_picture(graph: Graph) -> Graph:
    """Resizes to the size of the picture name the picture, not what its ends made of it: that may then go."""
    net = Workspace(graph)
    for node in graph:
        like = net.get(node.inputs[1]) if node.op == "resize" and len(node.inputs) > 1 else None
        if like is not None and like.inputs == (INPUT,) and isinstance(like.attrs, ConvAttrs):
            attrs, kernel = like.attrs, like.weights["weight"].shape[:2]
            if attrs.stride == 1 and kernel == (1, 1) and not any(attrs.padding):
                net.put(replace(node, inputs=(node.inputs[0], INPUT)))
    return net.graph()


def _last(net: Workspace, base: str, scale: float, shift: float, channels: int) -> str:
    name = net.fresh(base)
    net.put(_affine(name, net.output, scale, shift, channels))
    return name


def _affine(name: str, source: str, scale: float, shift: float, channels: int) -> Node:
    weights = {"scale": np.full(channels, scale, np.float32), "shift": np.full(channels, shift, np.float32)}
    return Node(name, "affine", (source,), weights=weights)


def _pointwise(name: str, source: str, mix: Mix) -> Node:
    weights = {
        "weight": mix.matrix[None, None].astype(np.float32),
        "bias": mix.offset.astype(np.float32),
        "pad": np.zeros(mix.matrix.shape[0], np.float32),
    }
    return Node(name, "conv", (source,), ConvAttrs(), weights)


def _mixed(graph: Graph, mix: Mix) -> Graph:
    """The graph with its output's channels mixed, before the last shuffle: there a linear convolution takes it in."""
    net = Workspace(graph, 3)
    last = net.fresh("to_canonical")
    net.put(_pointwise(last, net.output, mix))
    net.output = last
    net = Workspace(canonicalise(net.graph())[0], 3)
    node = net.get(net.output)
    shuffle = net.get(node.inputs[0]) if node is not None and node.name == last else None
    if node is not None and shuffle is not None and shuffle.op == "depth_to_space" and net.sole(shuffle.name):
        phases = cast(ShuffleAttrs, shuffle.attrs).block ** 2
        every = Mix(np.kron(np.eye(phases), mix.matrix), np.tile(mix.offset, phases))
        net.exchange(_pointwise(last, shuffle.name, every), shuffle)
    return net.graph()
