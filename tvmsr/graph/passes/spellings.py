"""Activations that exporters and networks spell out: products of a tensor with a function of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from tvmsr.graph.model import ActivateAttrs, Activation, Node
from tvmsr.graph.passes.simplify import affine_weights, clip_bounds
from tvmsr.graph.workspace import Workspace

#: x * f(x), by f: the functions from the outermost to the innermost.
_GATES = {
    (Activation.SIGMOID,): Activation.SILU,
    (Activation.HARD_SIGMOID,): Activation.HARD_SWISH,
    (Activation.TANH, Activation.SOFTPLUS): Activation.MISH,
}
_DEPTH = max(len(chain) for chain in _GATES)
#: Of GELU's approximation: x + CUBE * x^3, times ROOT.
_CUBE, _ROOT = 0.044715, float(np.sqrt(2 / np.pi))


def recognise_gates(net: Workspace, node: Node) -> bool:
    """X * sigmoid(x) is SiLU, and so on."""
    if node.op != "mul":
        return False
    for gate, value in (node.inputs, node.inputs[::-1]):
        chain, name = list[Activation](), gate
        while len(chain) < _DEPTH and (kind := _plain(net, name)) is not None and name != value:
            chain.append(kind)
            name = net.nodes[name].inputs[0]
            if name == value and tuple(chain) in _GATES:
                net.put(Node(node.name, "activate", (value,), ActivateAttrs(_GATES[tuple(chain)])))
                return True
    return False


def _plain(net: Workspace, name: str) -> Activation | None:
    """The function of an activate node without gain and offset."""
    node = net.get(name)
    attrs = node.attrs if node is not None else None
    if not isinstance(attrs, ActivateAttrs) or (attrs.gain, attrs.offset) != (1.0, 0.0):
        return None
    return attrs.activation


def recognise_hard_swish(net: Workspace, node: Node) -> bool:
    """X * clip(x + 3, 0, 6), or x * clip(x / 6 + 1/2, 0, 1): six times hard swish, or once."""
    if node.op != "mul":
        return False
    for gate, value in (node.inputs, node.inputs[::-1]):
        found = _clipped_line(net, gate, value)
        if found is None:
            continue
        (scale, shift), (low, high) = found
        if low == 0 and high > 0 and np.allclose([scale, shift], [high / 6, high / 2], rtol=1e-5):
            count = net.channels(value)
            swish = net.fresh(f"{node.name}.hard_swish")
            net.put(Node(swish, "activate", (value,), ActivateAttrs(Activation.HARD_SWISH)))
            net.put(Node(node.name, "affine", (swish,), weights=affine_weights(np.full(count, high), np.zeros(count))))
            return True
    return False


def _clipped_line(net: Workspace, name: str, value: str) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Scale and shift, and bounds, of a clipped line of `value`, however it was scaled before and after the clip."""
    outer, name = _line(net, name)
    node = net.get(name)
    if node is None or node.op != "activate" or (bounds := clip_bounds(node)) is None:
        return None
    inner, source = _line(net, node.inputs[0])
    if source != value or outer[0] <= 0 or not np.all(np.isfinite(bounds)):
        return None
    low, high = (round(bound * outer[0] + outer[1], 6) for bound in bounds)
    return (inner[0] * outer[0], inner[1] * outer[0] + outer[1]), (low, high)


def _line(net: Workspace, name: str) -> tuple[tuple[float, float], str]:
    """Scale and shift of the affine nodes at the end of a tensor, where all channels have the same, and their input."""
    scale, shift = 1.0, 0.0
    while (node := net.get(name)) is not None and node.op == "affine":
        a, b = node.weights["scale"], node.weights["shift"]
        if np.any(a != a[0]) or np.any(b != b[0]):
            break
        scale, shift, name = scale * float(a[0]), shift + scale * float(b[0]), node.inputs[0]
    return (scale, shift), name


def recognise_gelu_tanh(net: Workspace, node: Node) -> bool:
    """X * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), times anything constant, is twice GELU's approximation."""
    if node.op != "mul":
        return False
    for gate, value in (node.inputs, node.inputs[::-1]):
        outer, tanh = _line(net, gate)
        (scale, _), name = _line(net, value)
        if _plain(net, tanh) is not Activation.TANH or not np.isclose(outer[0], outer[1], rtol=1e-6):
            continue
        if _is_cubic(net, net.nodes[tanh].inputs[0], name):
            count = net.channels(name)
            gelu = net.fresh(f"{node.name}.gelu")
            net.put(Node(gelu, "activate", (name,), ActivateAttrs(Activation.GELU_TANH)))
            scales = np.full(count, 2 * outer[0] * scale)
            net.put(Node(node.name, "affine", (gelu,), weights=affine_weights(scales, np.zeros(count))))
            return True
    return False


def _is_cubic(net: Workspace, name: str, value: str) -> bool:
    """True for sqrt(2 / pi) * (value + 0.044715 * value^3)."""
    (root, none), total = _line(net, name)
    node = net.get(total)
    if node is None or node.op != "add" or none or not np.isclose(root, _ROOT, rtol=1e-5):
        return False
    for linear, cubic in (node.inputs, node.inputs[::-1]):
        (factor, more), cube = _line(net, cubic)
        if linear == value and not more and np.isclose(factor, _CUBE, rtol=1e-5) and _is_cube(net, cube, value):
            return True
    return False


def _is_cube(net: Workspace, name: str, value: str) -> bool:
    node = net.get(name)
    if node is None or node.op != "mul" or value not in node.inputs:
        return False
    other = net.get(next((i for i in node.inputs if i != value), ""))
    squared = other is not None and other.inputs == (value,) and _plain(net, other.name) is Activation.SQUARE
    return squared and cast(Node, other).op == "activate"


Rule = Callable[[Workspace, Node], bool]
RULES: tuple[Rule, ...] = (recognise_gates, recognise_hard_swish, recognise_gelu_tanh)
