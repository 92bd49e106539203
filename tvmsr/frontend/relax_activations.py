"""Relax operators that are activations, and the spellings that frameworks have for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmsr.frontend.relax_arithmetic import as_array
from tvmsr.frontend.relax_import import Importer, Mask, Part, UnsupportedError, Value
from tvmsr.frontend.views import View
from tvmsr.graph.model import F32, ActivateAttrs, Activation

Handler = Callable[[Importer, list[Any], Any], Value]


def activate(kind: Activation) -> Handler:
    def handler(net: Importer, args: list[Any], attrs: Any) -> Value:
        return net.emit("activate", (net.tensor(args[0]),), ActivateAttrs(kind))

    return handler


def clip_to(net: Importer, value: View, low: float, high: float) -> View:
    return net.emit("activate", (net.tensor(value),), ActivateAttrs(Activation.CLIP, float(low), float(high)))


def clip(net: Importer, args: list[Any], attrs: Any) -> Value:
    low, high = (float(np.asarray(v)) for v in args[1:3])
    return clip_to(net, args[0], low, high)


@dataclass(frozen=True)
class Stack(Part):
    """Tensors stacked along a new first dimension: how ONNX Max and Min arrive. Only their reduction may read it."""

    parts: tuple[Any, ...]


def stack(net: Importer, args: list[Any], attrs: Any) -> Value:
    if int(attrs.axis if attrs.axis is not None else 0) != 0:
        raise UnsupportedError("along an inner dimension", "concat along channels")
    return Stack(tuple(args[0]))


def reduced(pairwise: Handler) -> Handler:
    def handler(net: Importer, args: list[Any], attrs: Any) -> Value:
        if not isinstance(args[0], Stack) or [int(v) for v in attrs.axis or []] != [0]:
            raise UnsupportedError("over a picture", "a network without pooling")
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
    return _bound(net, args, lower=True) if leaky is None else _leaky(net, *leaky)


def minimum(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _bound(net, args, lower=False)


def _leaky(net: Importer, value: View, slope: Any) -> View:
    channels = net.channels(value)
    slope = np.broadcast_to(np.asarray(slope, np.float32).reshape(-1), (channels,)).copy()
    return net.emit("activate", (net.tensor(value),), ActivateAttrs(Activation.LEAKY), {"slope": slope})


def _leaky_slope(net: Importer, args: list[Any]) -> tuple[View, F32] | None:
    """The x and s of a pair x, s * x (s a constant per channel); None where it is no such pair."""
    for value, scaled in (args, args[::-1]):
        if isinstance(value, View) and isinstance(scaled, View):
            node = net.nodes.get(scaled.source)
            if node is None or node.op != "affine" or node.inputs != (net.tensor(value),):
                continue
            if not np.any(node.weights["shift"]) and np.all(node.weights["scale"] <= 1):
                return value, node.weights["scale"]
    return None


def leakyrelu(net: Importer, args: list[Any], attrs: Any) -> Value:
    return _leaky(net, args[0], attrs.alpha)


def prelu(net: Importer, args: list[Any], attrs: Any) -> Value:
    if not isinstance(args[1], np.ndarray) or args[1].size not in (1, net.channels(args[0])):
        raise UnsupportedError("slopes that are not one per channel", "PReLU with one slope, or one per channel")
    if args[1].size > 1 and int(attrs.axis) not in (1, -3):
        raise UnsupportedError(f"slopes along dimension {attrs.axis}", "slopes of shape (channels, 1, 1)")
    return _leaky(net, args[0], args[1])


def greater(net: Importer, args: list[Any], attrs: Any) -> Value:
    zero = as_array(args[1])
    if not isinstance(args[0], View) or zero is None or np.any(zero != 0):
        raise UnsupportedError("comparison with anything but zero", "ReLU, PReLU or clip")
    return Mask(args[0])


def where(net: Importer, args: list[Any], attrs: Any) -> Value:
    mask, kept, other = args
    pair = _leaky_slope(net, [kept, other]) if isinstance(mask, Mask) and mask.tensor == kept else None
    if pair is None or pair[0] != kept:
        raise UnsupportedError("a choice between two tensors", "ReLU, PReLU or LeakyReLU")
    return _leaky(net, *pair)
