"""Activations move up to the convolution that makes their values, and become part of it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from tvmsr.graph.model import ActivateAttrs, Activation, ConvAttrs, Node, ShuffleAttrs
from tvmsr.graph.workspace import Workspace


def conv_then_activate(net: Workspace, node: Node) -> bool:
    """activate(conv(x)) is one convolution."""
    conv = net.get(node.inputs[0])
    if node.op != "activate" or conv is None or conv.op != "conv" or not net.sole(conv.name):
        return False
    attrs, wanted = cast(ConvAttrs, conv.attrs), cast(ActivateAttrs, node.attrs)
    if attrs.activation is not Activation.NONE:
        return False
    fused = replace(
        attrs,
        activation=wanted.activation,
        low=wanted.low,
        high=wanted.high,
        gain=wanted.gain,
        offset=wanted.offset,
    )
    net.put(replace(conv, attrs=fused, weights={**conv.weights, **node.weights}))
    net.redirect(node.name, conv.name)
    return True


def shuffle_then_activate(net: Workspace, node: Node) -> bool:
    """activate(depth_to_space(x)) is depth_to_space(activate(x)), slopes repeated for each phase."""
    inner = net.get(node.inputs[0])
    if node.op != "activate" or inner is None or inner.op != "depth_to_space" or not net.sole(inner.name):
        return False
    phases = cast(ShuffleAttrs, inner.attrs).block ** 2
    repeated = {key: np.tile(value, phases) for key, value in node.weights.items()}
    net.exchange(replace(node, weights=repeated), inner)
    return True


RULES = (conv_then_activate, shuffle_then_activate)
