"""A Y network as its authors run it: on the plane of Y instead of RGB, from which our canonical graph computes Y."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tvmsr.errors import UsageError
from tvmsr.graph.model import INPUT, Colour, Model, Node

#: Y = 16/255 + 65.481/255 R + ..., all 0..1; tolerance: of weights that came from float32 products.
_OF_RGB, _BLACK, _TOLERANCE = np.array([65.481, 128.553, 24.966]) / 255, 16 / 255, 1e-5


def on_luma(model: Model) -> Model:
    """The same network with one input channel, Y 0..1. UsageError where it reads more of the picture."""
    if model.colour is not Colour.Y:
        raise UsageError(f"{model.name} computes RGB, so it has no form on Y")
    nodes = tuple(_of_y(model, node) if INPUT in node.inputs else node for node in model.graph)
    return replace(model, graph=model.graph.with_nodes(nodes))


def _of_y(model: Model, node: Node) -> Node:
    """Weights of R, G, B are Y's times what each has in it; the bias took in Y's offset, which the pad undoes."""
    weight = node.weights["weight"].astype(np.float64) if node.op == "conv" else None
    if weight is None or weight.shape[2] != len(_OF_RGB):
        raise UsageError(
            f"{model.name}: {node.name} reads the picture other than by a convolution of its three channels"
        )
    of_y = np.einsum("hwio,i->hwo", weight, _OF_RGB) / np.sum(_OF_RGB**2)
    again = of_y[:, :, None] * _OF_RGB[None, None, :, None]
    if np.max(np.abs(again - weight)) > _TOLERANCE * np.max(np.abs(weight)):
        raise UsageError(f"{model.name}: {node.name} reads more of the picture than its Y")
    bias = node.weights["bias"].astype(np.float64) - _BLACK * of_y.sum(axis=(0, 1))
    pad = _BLACK + float(node.weights["pad"].astype(np.float64) @ _OF_RGB)
    weights = {
        **node.weights,
        "weight": of_y[:, :, None].astype(np.float32),
        "bias": bias.astype(np.float32),
        "pad": np.array([0.0 if abs(pad) < _TOLERANCE else pad], np.float32),
    }
    return replace(node, weights=weights)
