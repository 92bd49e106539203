"""From a network's own convention (value range, RGB or Y) to the canonical one: RGB 0..1 in, RGB or Y 0..1 out."""

from __future__ import annotations

import numpy as np

from tvmsr.errors import InputFileError
from tvmsr.frontend.relax_import import RawGraph
from tvmsr.graph.analysis import tensor_types
from tvmsr.graph.model import INPUT, Colour, ConvAttrs, Graph, Node
from tvmsr.graph.workspace import Workspace

#: BT.601 studio range: Y = (16 + 65.481 R + 128.553 G + 24.966 B) / 255 for R, G, B, Y in 0..1.
RGB_TO_Y = (65.481 / 255, 128.553 / 255, 24.966 / 255)
Y_OFFSET = 16 / 255


def to_canonical_ends(raw: RawGraph, value_range: float, colour: Colour, source: str = "the model") -> Graph:
    """The graph with the nodes before and after it that its convention wants. Passes fold them away later."""
    channels = tensor_types(raw.graph, raw.input_channels)[raw.graph.output].channels
    wanted = 1 if colour is Colour.Y else 3
    if raw.input_channels != wanted or channels != wanted:
        raise InputFileError(
            f"{source}: has {raw.input_channels} channels in and {channels} out; a network on {colour.value} has "
            f"{wanted} and {wanted}"
        )
    net = Workspace(raw.graph, raw.input_channels)
    first = INPUT
    if colour is Colour.Y:
        matrix = np.asarray(RGB_TO_Y, np.float32).reshape(1, 1, 3, 1)
        weights = {"weight": matrix, "bias": np.full(1, Y_OFFSET, np.float32), "pad": np.zeros(3, np.float32)}
        first = net.fresh("rgb_to_y")
        net.redirect(INPUT, first)
        net.put(Node(first, "conv", (INPUT,), ConvAttrs(), weights))
    if value_range != 1.0:
        name = net.fresh("to_range")
        net.redirect(first, name)
        net.put(_scale(name, first, value_range, wanted))
        last = net.fresh("from_range")
        net.put(_scale(last, net.output, 1.0 / value_range, wanted))
        net.output = last
    return net.graph()


def _scale(name: str, source: str, scale: float, channels: int) -> Node:
    weights = {"scale": np.full(channels, scale, np.float32), "shift": np.zeros(channels, np.float32)}
    return Node(name, "affine", (source,), weights=weights)
