"""1x1 convolutions that are mere conventions: diagonal ones (mean shifts) and colour transforms of the input."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import INPUT, Activation, ConvAttrs, Node
from tvmsr.graph.passes.padding import reads_pad
from tvmsr.graph.passes.simplify import affine_weights
from tvmsr.graph.workspace import Workspace

F64 = NDArray[np.float64]

#: How far outside of 0..1 a padding value may lie: beyond that a plan for the picture's codes could not hold it.
_PAD_SLACK = 0.1


def diagonal_to_affine(net: Workspace, node: Node) -> bool:
    """A 1x1 convolution that mixes no channels is an affine (and may then be folded)."""
    if not _is_pointwise(node):
        return False
    matrix = node.weights["weight"][0, 0]
    if matrix.shape[0] != matrix.shape[1] or np.any(matrix != np.diag(np.diag(matrix))):
        return False
    net.put(replace(node, op="affine", attrs=_NO_ATTRS, weights=affine_weights(np.diag(matrix), node.weights["bias"])))
    return True


def colour_then_conv(net: Workspace, node: Node) -> bool:
    """conv(M x + m) for a colour transform M of the input is one convolution of the input.

    The padding value p' is solved from M p' + m = p, so that the border stays exact; equal values for R, G and B
    are preferred, because they survive rounding to a pixel best. Where it is no colour, the two stay as they are.
    """
    first = net.get(node.inputs[0])
    if node.op != "conv" or first is None or not _is_pointwise(first) or first.inputs[0] != INPUT:
        return False
    attrs = cast(ConvAttrs, node.attrs)
    if attrs.groups != 1:
        return False
    matrix, offset = first.weights["weight"][0, 0].astype(np.float64), first.weights["bias"].astype(np.float64)
    pad = np.zeros(matrix.shape[0])
    if reads_pad(attrs):
        solved = _solve_pad(matrix, node.weights["pad"] - offset)
        if solved is None or np.any(np.abs(solved - 0.5) > 0.5 + _PAD_SLACK):
            return False
        pad = solved
    weight = node.weights["weight"].astype(np.float64)
    weights = dict(node.weights)
    weights["weight"] = np.einsum("im,hwmo->hwio", matrix, weight).astype(np.float32)
    weights["bias"] = (node.weights["bias"] + np.einsum("m,hwmo->o", offset, weight)).astype(np.float32)
    weights["pad"] = pad.astype(np.float32)
    net.put(replace(node, inputs=(INPUT,), weights=weights))
    return True


def _solve_pad(matrix: F64, wanted: F64) -> F64 | None:
    """The x with x @ matrix = wanted, all values of x equal where that is possible; None where there is none."""
    total = matrix.sum(axis=0)
    if np.all(np.abs(total) > 1e-9):
        level = wanted / total
        if np.ptp(level) < 1e-7:
            return np.full(matrix.shape[0], level.mean())
    solution = np.linalg.lstsq(matrix.T, wanted, rcond=None)[0]
    return solution if np.allclose(solution @ matrix, wanted, atol=1e-6) else None


def _is_pointwise(node: Node) -> bool:
    if node.op != "conv" or node.weights["weight"].shape[:2] != (1, 1):
        return False
    attrs = cast(ConvAttrs, node.attrs)
    plain = attrs.stride == 1 and attrs.groups == 1 and not any(attrs.padding)
    return plain and attrs.activation is Activation.NONE


_NO_ATTRS = Node("", "affine", ()).attrs

RULES = (diagonal_to_affine, colour_then_conv)
