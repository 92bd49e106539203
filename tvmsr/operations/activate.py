"""`activate`: an activation of its own, and the function that conv shares with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from tvmsr.graph.model import F32, ActivateAttrs, Activation, AddAttrs, ConvAttrs, Node, TensorType
from tvmsr.operations.operation import expect, expect_vector

_SQRT_HALF = float(np.sqrt(0.5))


def shape(types: tuple[TensorType, ...], node: Node) -> TensorType:
    expect(len(types) == 1, node, "needs one input")
    check_activation(node, types[0].channels)
    return types[0]


def check_activation(node: Node, channels: int) -> None:
    """Check what the node's activation needs: slopes for LEAKY, ordered bounds for CLIP."""
    attrs = cast("ActivateAttrs | ConvAttrs", node.attrs)
    if attrs.activation is Activation.LEAKY:
        expect_vector(node, "slope", channels)
    if attrs.activation is Activation.CLIP:
        expect(attrs.low <= attrs.high, node, f"clip bounds [{attrs.low}, {attrs.high}] are not ordered")


def reference(inputs: tuple[F32, ...], node: Node) -> F32:
    return apply_activation(inputs[0].copy(), node)


def apply_activation(x: F32, node: Node) -> F32:
    """Apply the activation of a conv, add or activate node to x (..., C), which may be overwritten."""
    attrs = cast("ActivateAttrs | AddAttrs | ConvAttrs", node.attrs)
    kind = attrs.activation
    if kind is Activation.NONE:
        return x
    if kind is Activation.RELU:
        return np.maximum(x, 0, out=x)
    if kind is Activation.LEAKY:
        negative = np.minimum(x, 0) * (node.weights["slope"] - np.float32(1))
        return np.add(x, negative, out=x)
    if kind is Activation.CLIP:
        return np.clip(x, np.float32(attrs.low), np.float32(attrs.high), out=x)
    gained = cast("ActivateAttrs | ConvAttrs", attrs)
    return np.float32(gained.gain) * _UNARY[kind](x) + np.float32(gained.offset)


def _sigmoid(x: F32) -> F32:
    # tanh does not overflow where exp(-x) would.
    return np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)


def _erf(x: F32) -> F32:
    """The error function to 1.5e-7, about float32 precision: Abramowitz and Stegun 7.1.26, in float64."""
    wide = np.abs(x.astype(np.float64))
    t = 1.0 / (1.0 + 0.3275911 * wide)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return (np.sign(x) * (1.0 - poly * np.exp(-wide * wide))).astype(np.float32)


def _gelu(x: F32) -> F32:
    return np.float32(0.5) * x * (np.float32(1) + _erf(x * np.float32(_SQRT_HALF)))


def _gelu_tanh(x: F32) -> F32:
    inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (np.float32(1) + np.tanh(inner))


def _hard_sigmoid(x: F32) -> F32:
    return np.clip(x / np.float32(6) + np.float32(0.5), 0, 1)


def _softplus(x: F32) -> F32:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


#: Functions that the integer form takes from a table.
_UNARY: Mapping[Activation, Callable[[F32], F32]] = {
    Activation.TANH: np.tanh,
    Activation.SIGMOID: _sigmoid,
    Activation.GELU: _gelu,
    Activation.GELU_TANH: _gelu_tanh,
    Activation.SILU: lambda x: x * _sigmoid(x),
    Activation.HARD_SIGMOID: _hard_sigmoid,
    Activation.HARD_SWISH: lambda x: x * _hard_sigmoid(x),
    Activation.MISH: lambda x: x * np.tanh(_softplus(x)),
    Activation.SOFTPLUS: _softplus,
    Activation.ELU: lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    Activation.EXP: lambda x: np.exp(np.minimum(x, np.float32(80))),
    Activation.SQUARE: lambda x: x * x,
    Activation.SQRT: lambda x: np.sqrt(np.maximum(x, 0)),
}


def unary(kind: Activation, x: F32) -> F32:
    """The function of an activation that `is_table`."""
    return _UNARY[kind](x)
