"""Relax operators that are activations, and the spellings that frameworks have for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tvmsr.frontend.importer import Importer, Mask, Part, UnsupportedError, Value, as_array, single
from tvmsr.frontend.relax_arithmetic import affine, vector
from tvmsr.frontend.views import View
from tvmsr.graph.model import F32, ActivateAttrs, Activation

Handler = Callable[[Importer, list[Any], Any], Value]


def activate(kind: Activation) -> Handler:
    def handler(net: Importer, args: list[Any], attrs: Any) -> Value:
        return net.pointwise(args[0], "activate", ActivateAttrs(kind))

    return handler


def clip_to(net: Importer, value: View, low: float, high: float) -> View:
    return net.pointwise(value, "activate", ActivateAttrs(Activation.CLIP, single(low), single(high)))


def clip(net: Importer, args: list[Any], attrs: Any) -> Value:
    low, high = (float(np.asarray(v)) for v in args[1:3])
    return clip_to(net, args[0], low, high)


@dataclass(frozen=True)
class Stack(Part):
    """Tensors stacked along a new first dimension: how ONNX Max and Min arrive. Only their reduction may read it."""

    parts: tuple[Any, ...]
    words: ClassVar[str] = "stacked tensors"


def stack(net: Importer, args: list[Any], attrs: Any) -> Value:
    if int(attrs.axis if attrs.axis is not None else 0) != 0:
        raise UnsupportedError("along an inner dimension", "concat along channels")
    return Stack(tuple(args[0]))


def reduced(pairwise: Handler, otherwise: Handler) -> Handler:
    """A reduction of stacked tensors, and what it is of a picture."""

    def handler(net: Importer, args: list[Any], attrs: Any) -> Value:
        if not isinstance(args[0], Stack):
            return otherwise(net, args, attrs)
        if [int(v) for v in attrs.axis or []] != [0]:
            raise UnsupportedError("of stacked tensors, along an inner dimension", "concat along channels")
        result = args[0].parts[0]
        for part in args[0].parts[1:]:
            result = pairwise(net, [result, part], attrs)
        return result

    return handler


def _bound(net: Importer, args: list[Any], *, lower: bool) -> Value:
    a, b = as_array(args[0]), as_array(args[1])
    constant, value = (b, args[0]) if a is None else (a, args[1])
    if constant is None or not isinstance(value, View) or np.ptp(constant) != 0:
        raise UnsupportedError("of two tensors", "a clip with constant bounds")
    bound = float(constant.reshape(-1)[0])
    return clip_to(net, value, bound if lower else -np.inf, np.inf if lower else bound)


def maximum(net: Importer, args: list[Any], attrs: Any) -> Value:
    leaky = _leaky_slope(net, args)
    return _bound(net, args, lower=True) if leaky is None else _leaky_as(net, *leaky)


def minimum(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _bound(net, args, lower=False)


def _leaky(net: Importer, value: View, slope: Any) -> View:
    slopes = vector(net, np.asarray(slope, np.float32), value)
    return net.pointwise(value, "activate", ActivateAttrs(Activation.LEAKY), {"slope": slopes})


def _leaky_slope(net: Importer, args: list[Any]) -> tuple[View, F32] | None:
    """The x and s of a pair x, s * x (s a constant per channel); None where it is no such pair."""
    for value, scaled in (args, args[::-1]):
        if isinstance(value, View) and isinstance(scaled, View):
            node = net.nodes.get(scaled.source)
            if node is None or node.op != "affine" or node.inputs != (net.place(value).tensor,):
                continue
            if not np.any(node.weights["shift"]) and np.all(node.weights["scale"] <= 1):
                return value, node.weights["scale"]
    return None


def _leaky_as(net: Importer, value: View, slope: F32) -> View:
    """LeakyReLU with one slope per channel of the tensor at the value's place."""
    return net.pointwise(value, "activate", ActivateAttrs(Activation.LEAKY), {"slope": slope})


def leakyrelu(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _leaky(net, args[0], attrs.alpha)


def prelu(net: Importer, args: list[Any], attrs: Any) -> Value:
    value, slope = args[:2]
    if not isinstance(slope, np.ndarray) or slope.size not in (1, value.shape[int(attrs.axis)]):
        raise UnsupportedError("slopes that are not one per channel", "PReLU with one slope, or one per channel")
    shape = [1] * len(value.shape)
    shape[int(attrs.axis)] = slope.size
    return _leaky(net, value, slope.reshape(shape))


def greater(net: Importer, args: list[Any], attrs: Any) -> Value:
    bound = as_array(args[1])
    if not isinstance(args[0], View) or bound is None or bound.size != 1:
        raise UnsupportedError("comparison with anything but a number", "ReLU, PReLU or clip")
    return Mask(args[0], float(bound.reshape(-1)[0]))


#: Beyond that, softplus is its argument to float32's precision, and some exporters say so.
_SOFTPLUS_IS_LINEAR = 15.0


def where(net: Importer, args: list[Any], attrs: Any) -> Value:
    mask, kept, other = args
    if not isinstance(mask, Mask) or not isinstance(other, View):
        raise UnsupportedError("a choice between two tensors", "ReLU, PReLU or LeakyReLU")
    if mask.bound >= _SOFTPLUS_IS_LINEAR and _is_softplus(net, other, mask.tensor):
        return other
    pair = _leaky_slope(net, [kept, other]) if mask.tensor == kept and mask.bound == 0 else None
    if pair is None or pair[0] != kept:
        raise UnsupportedError("a choice between two tensors", "ReLU, PReLU or LeakyReLU")
    return _leaky_as(net, *pair)


def _is_softplus(net: Importer, value: View, of: View) -> bool:
    node = net.nodes.get(value.source)
    if node is not None and node.op == "affine":
        node = net.nodes.get(node.inputs[0])
    found = node.attrs if node is not None else None
    fits = isinstance(found, ActivateAttrs) and found.activation is Activation.SOFTPLUS
    return node is not None and fits and node.inputs[0] == of.source


def hard_sigmoid(net: Importer, args: list[Any], attrs: Any) -> Value:
    if abs(attrs.alpha - 1 / 6) < 1e-6 and attrs.beta == 0.5:
        return activate(Activation.HARD_SIGMOID)(net, args, attrs)
    return clip_to(net, affine(net, args[0], attrs.alpha, attrs.beta), 0.0, 1.0)


def elu(net: Importer, args: list[Any], attrs: Any) -> Value:
    if attrs.alpha != 1:
        raise UnsupportedError(f"with alpha {attrs.alpha:g}", "ELU with alpha 1")
    return activate(Activation.ELU)(net, args, attrs)


def softplus(net: Importer, args: list[Any], attrs: Any) -> Value:
    beta = float(attrs.beta)
    value = args[0] if beta == 1 else affine(net, args[0], beta, 0.0)
    made = net.pointwise(value, "activate", ActivateAttrs(Activation.SOFTPLUS))
    return made if beta == 1 else affine(net, made, 1 / beta, 0.0)


def absolute(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _leaky(net, args[0], -1.0)
