"""A canonical graph in torch: one small function an operation, on tensors (B, C, H, W), with gradients.

It equals tvmsr.graph.execute up to rounding. Weights are constants; who wants others for a convolution gives a `read`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import cast

import numpy as np
import torch
from torch.nn import functional

from tvmsr.graph.model import (
    INPUT,
    ActivateAttrs,
    Activation,
    AddAttrs,
    ConvAttrs,
    GatherAttrs,
    Graph,
    LayerNormAttrs,
    Node,
    PadMode,
    PoolAttrs,
    ResizeAttrs,
    ShuffleAttrs,
    Statistic,
    StatisticAttrs,
)
from tvmsr.operations.in_torch import UNARY, Tensor, continued, depth_to_space
from tvmsr.operations.resize import kernel, positions

Constants = Mapping[str, Tensor]
#: A convolution's name, operand and weight (OC, IC/groups, KH, KW) -> the operand and weight that it computes with.
Read = Callable[[str, Tensor, Tensor], tuple[Tensor, Tensor]]
_Forward = Callable[[tuple[Tensor, ...], Node, Constants], Tensor]


def constants_of(graph: Graph) -> dict[str, dict[str, Tensor]]:
    """The weights of every node, shaped for `run`."""
    return {
        node.name: {key: _shaped(key, torch.tensor(value)) for key, value in node.weights.items()} for node in graph
    }


def _shaped(key: str, value: Tensor) -> Tensor:
    return value.permute(3, 2, 0, 1).contiguous() if key == "weight" else value.reshape(1, -1, 1, 1)


def run(
    graph: Graph,
    constants: Mapping[str, Constants],
    picture: Tensor,
    *,
    keep: Collection[str] = (),
    read: Read | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """(B, 3, H, W) RGB 0..1 -> the output, and the tensors named in `keep`; others are freed when read last."""
    last = {name: node.name for node in graph for name in node.inputs}
    tensors, kept = {INPUT: picture}, {}
    for node in graph:
        operands = tuple(tensors[name] for name in node.inputs)
        own = constants[node.name]
        if node.op == "conv" and read is not None:
            operand, weight = read(node.name, operands[0], own["weight"])
            operands, own = (operand,), {**own, "weight": weight}
        value = tensors[node.name] = FORWARD[node.op](operands, node, own)
        if node.name in keep:
            kept[node.name] = value
        for name in set(node.inputs):
            if last[name] == node.name and name != graph.output:
                del tensors[name]
    return tensors[graph.output], kept


def _conv(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    attrs = cast(ConvAttrs, node.attrs)
    bias = own["bias"].flatten()
    top, left, bottom, right = attrs.padding
    plain = attrs.mode is PadMode.CONSTANT and top == bottom >= 0 and left == right >= 0 and not own["pad"].any()
    padding = (top, left) if plain else (0, 0)
    operand = x[0] if plain else _padded(x[0], attrs, own["pad"])
    out = functional.conv2d(operand, own["weight"], bias, attrs.stride, padding, attrs.dilation, attrs.groups)
    return _activated(out, attrs, own)


def _padded(x: Tensor, attrs: ConvAttrs, value: Tensor) -> Tensor:
    if not any(attrs.padding):
        return x
    if attrs.mode is not PadMode.CONSTANT:
        return continued(x, attrs)
    top, left, bottom, right = attrs.padding
    # What is added is `value`: pad the difference from it with zeros.
    return functional.pad(x - value, (left, right, top, bottom)) + value


def _activated(x: Tensor, attrs: ActivateAttrs | AddAttrs | ConvAttrs, own: Constants) -> Tensor:
    kind = attrs.activation
    if kind is Activation.NONE:
        return x
    if kind is Activation.RELU:
        return functional.relu(x)
    if kind is Activation.LEAKY:
        return x + functional.relu(-x) * (1 - own["slope"])
    if kind is Activation.CLIP:
        return x.clamp(attrs.low, attrs.high)
    gained = cast("ActivateAttrs | ConvAttrs", attrs)
    return gained.gain * UNARY[kind](x) + gained.offset


def _activate(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    return _activated(x[0], cast(ActivateAttrs, node.attrs), own)


def _add(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    parts = [one * own[f"factor{i}"] if f"factor{i}" in own else one for i, one in enumerate(x)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return _activated(total, node.attrs, own) if isinstance(node.attrs, AddAttrs) else total


def _mul(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    del node, own
    return x[0] * x[1]


def _concat(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    del node, own
    return torch.cat(x, 1)


def _gather(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    del own
    return x[0].index_select(1, torch.tensor(cast(GatherAttrs, node.attrs).channels))


def _depth_to_space(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    del own
    return depth_to_space(x[0], cast(ShuffleAttrs, node.attrs).block)


def _max_pool(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    del own
    attrs = cast(PoolAttrs, node.attrs)
    top, left, bottom, right = attrs.padding
    padded = functional.pad(x[0], (left, right, top, bottom), value=float("-inf"))
    return functional.max_pool2d(padded, attrs.kernel, attrs.stride)


def _resize(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    del own
    attrs = cast(ResizeAttrs, node.attrs)
    if attrs.factor:
        sides = [side * attrs.factor.numerator // attrs.factor.denominator for side in x[0].shape[2:]]
    else:
        sides = list(x[1].shape[2:])
    return _along(_along(x[0], 2, sides[0], attrs), 3, sides[1], attrs)


def _along(x: Tensor, axis: int, count: int, attrs: ResizeAttrs) -> Tensor:
    size = x.shape[axis]
    first, fraction = positions(count, size, attrs)
    weights = torch.tensor(kernel(np.array([float(f) for f in fraction]), attrs), dtype=x.dtype)
    shape = [1, 1, 1, 1]
    shape[axis] = count
    total = torch.zeros(())
    for tap in range(weights.shape[1]):
        place = torch.tensor(np.clip(first + tap, 0, size - 1))
        total = total + x.index_select(axis, place) * weights[:, tap].reshape(shape)
    return total


def _statistic(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    del own
    attrs = cast(StatisticAttrs, node.attrs)
    if attrs.kind is Statistic.MAX:
        return x[0].amax((2, 3), keepdim=True)
    if attrs.kind is Statistic.MEAN:
        return x[0].mean((2, 3), keepdim=True)
    less = int(attrs.unbiased and x[0].shape[2] * x[0].shape[3] > 1)
    variance = x[0].var((2, 3), correction=less, keepdim=True) + attrs.epsilon
    return variance.sqrt() if attrs.kind is Statistic.DEVIATION else variance


def _layer_norm(x: tuple[Tensor, ...], node: Node, own: Constants) -> Tensor:
    centred = x[0] - x[0].mean(1, keepdim=True)
    variance = centred.square().mean(1, keepdim=True)
    return centred / (variance + cast(LayerNormAttrs, node.attrs).epsilon).sqrt() * own["gamma"] + own["beta"]


FORWARD: Mapping[str, _Forward] = {
    "conv": _conv,
    "activate": _activate,
    "add": _add,
    "mul": _mul,
    "concat": _concat,
    "gather": _gather,
    "depth_to_space": _depth_to_space,
    "max_pool": _max_pool,
    "resize": _resize,
    "statistic": _statistic,
    "layer_norm": _layer_norm,
}
