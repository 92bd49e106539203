"""Scalings and shifts move to the nearest convolutions and are folded into them.

A batch norm, a mean shift, a value range and a residual scaling are all `affine` nodes here: y = scale * x + shift.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import INPUT, ActivateAttrs, Activation, ConvAttrs, GatherAttrs, Node, ShuffleAttrs
from tvmsr.graph.passes.padding import reads_pad
from tvmsr.graph.passes.simplify import affine_weights
from tvmsr.graph.workspace import Workspace

F64 = NDArray[np.float64]

#: Operations that make weighted means of the values of a channel.
_AVERAGES = ("resize",)


def conv_then_affine(net: Workspace, node: Node) -> bool:
    """affine(conv(x)): scale the outputs. s*act(v) = act(s*v) for s > 0 and piecewise linear activations through 0."""
    conv = net.get(node.inputs[0])
    if node.op != "affine" or conv is None or conv.op != "conv" or not net.sole(conv.name):
        return False
    moved = _through_activation(conv, node)
    if moved is None:
        return False
    scale, shift = node.weights["scale"].astype(np.float64), node.weights["shift"].astype(np.float64)
    weights = dict(conv.weights)
    weights["weight"] = (conv.weights["weight"] * scale).astype(np.float32)
    weights["bias"] = (conv.weights["bias"] * scale + shift).astype(np.float32)
    net.put(replace(conv, weights=weights, attrs=moved.attrs))
    net.redirect(node.name, conv.name)
    return True


def affine_then_conv(net: Workspace, node: Node) -> bool:
    """conv(affine(x)): scale the inputs; the padding value moves back through the affine, so the border stays exact."""
    affine = net.get(node.inputs[0])
    if node.op != "conv" or affine is None or affine.op != "affine":
        return False
    if net.op(affine.inputs[0]) == "conv" and net.sole(affine.inputs[0]) and _absorbs_all(net, affine):
        return False  # it goes into its producer, for all readers at once
    attrs = cast(ConvAttrs, node.attrs)
    scale, shift = affine.weights["scale"].astype(np.float64), affine.weights["shift"].astype(np.float64)
    if np.any(scale == 0) and reads_pad(attrs):
        return False
    net.put(_fold_input_affine(node, scale, shift, affine.inputs[0]))
    return True


def _fold_input_affine(node: Node, scale: F64, shift: F64, source: str) -> Node:
    attrs, weight = cast(ConvAttrs, node.attrs), node.weights["weight"].astype(np.float64)
    # Input channel of row i of the weight, for every output channel: groups are neighbours.
    per_group = weight.shape[3] // attrs.groups
    group = np.arange(weight.shape[3]) // per_group
    channel = np.arange(weight.shape[2])[:, None] + group[None, :] * weight.shape[2]
    weights = dict(node.weights)
    weights["weight"] = (weight * scale[channel]).astype(np.float32)
    weights["bias"] = (node.weights["bias"] + (weight * shift[channel]).sum(axis=(0, 1, 2))).astype(np.float32)
    if reads_pad(attrs):
        weights["pad"] = ((node.weights["pad"] - shift) / scale).astype(np.float32)
    return replace(node, inputs=(source,), weights=weights)


def norm_then_affine(net: Workspace, node: Node) -> bool:
    """affine(layer_norm(x)) is a layer norm with other gamma and beta."""
    norm = net.get(node.inputs[0])
    if node.op != "affine" or norm is None or norm.op != "layer_norm" or not net.sole(norm.name):
        return False
    scale, shift = node.weights["scale"].astype(np.float64), node.weights["shift"].astype(np.float64)
    gamma, beta = norm.weights["gamma"] * scale, norm.weights["beta"] * scale + shift
    net.put(replace(norm, weights={"gamma": gamma.astype(np.float32), "beta": beta.astype(np.float32)}))
    net.redirect(node.name, norm.name)
    return True


def activate_then_affine(net: Workspace, node: Node) -> bool:
    """affine(activate(x)) is activate(affine(x)) where scaling commutes with the activation."""
    inner = net.get(node.inputs[0])
    if node.op != "affine" or inner is None or inner.op != "activate" or not net.sole(inner.name):
        return False
    moved = _through_activation(inner, node)
    if moved is None:
        return False
    net.exchange(replace(node, inputs=inner.inputs), moved)
    return True


def sigmoid_from_tanh(net: Workspace, node: Node) -> bool:
    """(tanh(x) + 1) / 2 is sigmoid(2 x)."""
    inner = net.get(node.inputs[0])
    if node.op != "affine" or inner is None or inner.op != "activate" or not net.sole(inner.name):
        return False
    if cast(ActivateAttrs, inner.attrs).activation is not Activation.TANH:
        return False
    if not (np.all(node.weights["scale"] == 0.5) and np.all(node.weights["shift"] == 0.5)):
        return False
    count = len(node.weights["scale"])
    doubled = replace(node, weights=affine_weights(np.full(count, 2.0), np.zeros(count)))
    net.exchange(doubled, replace(inner, attrs=ActivateAttrs(Activation.SIGMOID)))
    return True


def _through_activation(node: Node, affine: Node) -> Node | None:
    """The conv or activate node whose activation stands after the affine instead of before it; None where none does."""
    attrs = cast(ActivateAttrs, node.attrs)
    scale, shift = affine.weights["scale"], affine.weights["shift"]
    if attrs.activation is Activation.NONE:
        return node
    if attrs.activation in (Activation.RELU, Activation.LEAKY):
        return node if np.all(scale > 0) and not np.any(shift) else None
    if attrs.activation is Activation.CLIP and np.all(scale == scale[0]) and scale[0] > 0 and np.all(shift == shift[0]):
        low, high = (float(bound * np.float64(scale[0]) + shift[0]) for bound in (attrs.low, attrs.high))
        # 255 * (1/255) in float32 is not 1 to the last bit; bounds on pixels are meant exactly.
        low, high = (round(bound) if abs(bound - round(bound)) < 1e-5 else bound for bound in (low, high))
        return replace(node, attrs=replace(attrs, low=float(low), high=float(high)))
    return None


def shuffle_then_affine(net: Workspace, node: Node) -> bool:
    """affine(depth_to_space(x)) is depth_to_space(affine(x)), the vectors repeated for each phase."""
    inner = net.get(node.inputs[0])
    if node.op != "affine" or inner is None or inner.op != "depth_to_space" or not net.sole(inner.name):
        return False
    phases = cast(ShuffleAttrs, inner.attrs).block ** 2
    vectors = {key: np.tile(value, phases) for key, value in node.weights.items()}
    net.exchange(replace(node, weights=vectors), inner)
    return True


def add_then_affine(net: Workspace, node: Node) -> bool:
    """affine(add(a, b)) is add(affine(a), affine(b)), the shift in one of them, where all operands take theirs in."""
    inner = net.get(node.inputs[0])
    if node.op != "affine" or inner is None or inner.op != "add" or not net.sole(inner.name):
        return False
    if not all(absorbs(net, name, node, shift=False) for name in inner.inputs):
        return False
    shift = node.weights["shift"]
    taker = next((i for i, name in enumerate(inner.inputs) if absorbs(net, name, node, shift=True)), None)
    if np.any(shift) and taker is None:
        return False
    operands = []
    for i, name in enumerate(inner.inputs):
        part = shift if i == taker else np.zeros_like(shift)
        scaled = Node(
            net.fresh(f"{name}.scaled"), "affine", (name,), node.attrs, affine_weights(node.weights["scale"], part)
        )
        net.put(scaled)
        operands.append(scaled.name)
    net.put(replace(inner, inputs=tuple(operands)))
    net.redirect(node.name, inner.name)
    return True


def mul_then_affine(net: Workspace, node: Node) -> bool:
    """affine(mul(a, b)) without a shift is mul(affine(a), b) where a, or else b, takes it in."""
    inner = net.get(node.inputs[0])
    if node.op != "affine" or inner is None or inner.op != "mul" or not absorbs(net, inner.name, node, shift=True):
        return False
    taker = next(i for i, name in enumerate(inner.inputs) if absorbs(net, name, node, shift=False))
    name = inner.inputs[taker]
    scaled = net.fresh(f"{name}.scaled")
    net.put(replace(node, name=scaled, inputs=(name,)))
    net.put(replace(inner, inputs=tuple(scaled if i == taker else other for i, other in enumerate(inner.inputs))))
    net.redirect(node.name, inner.name)
    return True


def resize_then_affine(net: Workspace, node: Node) -> bool:
    """affine(resize(x)) is resize(affine(x)) where x takes it in: the weights of a resize have sum 1."""
    inner = net.get(node.inputs[0])
    if (
        node.op != "affine"
        or inner is None
        or inner.op not in _AVERAGES
        or not absorbs(net, inner.name, node, shift=True)
    ):
        return False
    rest = inner.inputs[1:]
    net.exchange(node, inner)
    net.put(replace(inner, inputs=(node.name, *rest)))
    return True


def gather_then_affine(net: Workspace, node: Node) -> bool:
    """affine(gather(x)) is gather(affine(x)) where x can take it in and copies of a channel are scaled alike."""
    inner = net.get(node.inputs[0])
    if node.op != "affine" or inner is None or inner.op != "gather" or not absorbs(net, inner.name, node, shift=True):
        return False
    channels, count = cast(GatherAttrs, inner.attrs).channels, net.channels(inner.inputs[0])
    vectors = {"scale": np.ones(count, np.float32), "shift": np.zeros(count, np.float32)}
    for key, vector in vectors.items():
        vector[list(channels)] = node.weights[key]
    net.exchange(replace(node, weights=vectors), inner)
    return True


def input_affine_then_gather(net: Workspace, node: Node) -> bool:
    """gather(affine(input)) is affine(gather(input)): the ends' conventions meet and cancel in a global skip."""
    affine = net.get(node.inputs[0])
    if node.op != "gather" or affine is None or affine.op != "affine" or affine.inputs[0] != INPUT:
        return False
    channels = list(cast(GatherAttrs, node.attrs).channels)
    moved = {key: value[channels] for key, value in affine.weights.items()}
    name = net.fresh(f"{node.name}.scaled")
    net.redirect(node.name, name)
    net.put(replace(node, inputs=(INPUT,)))
    net.put(Node(name, "affine", (node.name,), affine.attrs, moved))
    return True


def absorbs(net: Workspace, name: str, affine: Node, *, shift: bool) -> bool:  # noqa: PLR0911 - one a kind of node
    """True where an affine (its scale, its shift where asked) that reads `name` can be folded away upstream."""
    node = net.get(name)
    if node is None:
        return False
    if node.op == "affine":
        return True
    if not net.sole(name):
        return False
    positive, shifted = bool(np.all(affine.weights["scale"] > 0)), shift and bool(np.any(affine.weights["shift"]))
    if node.op in ("conv", "activate"):
        kind = cast(ActivateAttrs, node.attrs).activation
        commutes = kind is Activation.NONE or (kind in (Activation.RELU, Activation.LEAKY) and positive and not shifted)
        return commutes and (node.op == "conv" or absorbs(net, node.inputs[0], affine, shift=shift))
    if node.op == "gather":
        channels = cast(GatherAttrs, node.attrs).channels
        uniform = all(np.all(v == v[0]) for v in affine.weights.values())
        return (uniform or len(set(channels)) == len(channels)) and absorbs(net, node.inputs[0], affine, shift=shift)
    if node.op == "depth_to_space" or node.op in _AVERAGES:
        return absorbs(net, node.inputs[0], affine, shift=shift)
    if node.op == "mul":
        return not shifted and any(absorbs(net, i, affine, shift=False) for i in node.inputs)
    if node.op == "add":
        return all(absorbs(net, i, affine, shift=False) for i in node.inputs) and (
            not shifted or any(absorbs(net, i, affine, shift=True) for i in node.inputs)
        )
    return False


def _absorbs_all(net: Workspace, affine: Node) -> bool:
    return absorbs(net, affine.inputs[0], affine, shift=True)


RULES = (
    sigmoid_from_tanh,
    conv_then_affine,
    norm_then_affine,
    activate_then_affine,
    shuffle_then_affine,
    gather_then_affine,
    add_then_affine,
    mul_then_affine,
    resize_then_affine,
    input_affine_then_gather,
    affine_then_conv,
)
