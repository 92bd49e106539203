"""Write a canonical graph as ncnn's two files: the text of its layers (.param) and their float32 weights (.bin)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.graph.model import (
    INPUT,
    ActivateAttrs,
    Activation,
    AddAttrs,
    ConvAttrs,
    GatherAttrs,
    Graph,
    Model,
    Node,
    ShuffleAttrs,
)

#: First line of every .param file.
_MAGIC = 7767517

#: Name of the output's blob; the input's is INPUT.
OUTPUT = "output"

#: Of BinaryOp, and of the activation that a convolution does itself.
_ADD, _MULTIPLY = 0, 2
_FUSED = {Activation.RELU: 1, Activation.LEAKY: 2, Activation.CLIP: 3, Activation.SIGMOID: 4}
_LAYERS = {
    Activation.RELU: "ReLU", Activation.TANH: "TanH", Activation.SIGMOID: "Sigmoid", Activation.GELU: "GELU",
    Activation.SILU: "Swish",
}  # fmt: skip

#: "As far as it goes" in a Crop, and the key of an array that is parameter 10.
_ALL, _ARRAY_10 = -233, -23310


class _Writer:
    """Layers in order. A blob has one reader in ncnn, so that one with several is split first."""

    def __init__(self, readers: dict[str, int]) -> None:
        self.lines: list[str] = []
        self.blobs = 0
        self.weights: list[bytes] = []
        self._readers = readers
        self._copies: dict[str, list[str]] = {}

    def layer(self, kind: str, inputs: Sequence[str], output: str, parameters: str = "") -> str:
        """One layer; `output` is split where it has several readers."""
        sources = [self._take(name) for name in inputs]
        self._line(kind, output, sources, [output], parameters)
        count = self._readers.get(output, 1)
        if count > 1:
            copies = [f"{output}:{i}" for i in range(count)]
            self._line("Split", f"{output}:split", [output], copies, "")
            self._copies[output] = copies
        return output

    def _take(self, name: str) -> str:
        return self._copies[name].pop(0) if name in self._copies else name

    def _line(self, kind: str, name: str, inputs: Sequence[str], outputs: Sequence[str], parameters: str) -> None:
        words = [kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs]
        self.lines.append(" ".join(filter(None, (*words, parameters))))
        self.blobs += len(outputs)

    def tagged(self, value: NDArray[Any]) -> None:
        """Weights that may be stored in several types: four bytes of zero say float32."""
        self.weights.append(bytes(4) + np.ascontiguousarray(value, "<f4").tobytes())

    def plain(self, value: NDArray[Any]) -> None:
        self.weights.append(np.ascontiguousarray(value, "<f4").tobytes())

    def param(self) -> str:
        return "\n".join([str(_MAGIC), f"{len(self.lines)} {self.blobs}", *self.lines, ""])


def ncnn_files(model: Model) -> tuple[bytes, bytes]:
    """The .param and the .bin of a model, for pictures of any size. UsageError for an operation without counterpart."""
    graph = model.graph
    writer = _Writer(_readers(graph))
    writer.layer("Input", (), INPUT)
    for node in graph:
        if node.op not in _FORMS:
            raise _unknown(node, node.op)
        _FORMS[node.op](writer, node)
    writer.layer("Noop", (graph.output,), OUTPUT)
    return writer.param().encode(), b"".join(writer.weights)


def _readers(graph: Graph) -> dict[str, int]:
    """How often each tensor is read, by layers and not by nodes."""
    counts: dict[str, int] = {graph.output: 1}
    for node in graph:
        for name in node.inputs:
            times = len(_runs(cast(GatherAttrs, node.attrs).channels)) if node.op == "gather" else 1
            counts[name] = counts.get(name, 0) + times
    return counts


def _conv(writer: _Writer, node: Node) -> None:
    attrs, weight = cast(ConvAttrs, node.attrs), node.weights["weight"]
    height, width, _, outputs = weight.shape
    top, left, bottom, right = attrs.padding
    source, pad = node.inputs[0], node.weights["pad"]
    value = float(pad.flat[0]) if pad.size else 0.0
    if any(attrs.padding) and np.any(pad != value):  # a convolution of ncnn pads all channels with one value
        inputs = f"0={top} 1={bottom} 2={left} 3={right} 4=0 6={pad.size}"
        source = writer.layer("Padding", (source,), f"{node.name}:padded", inputs)
        writer.plain(pad)
        top = left = bottom = right = 0
        value = 0.0
    fused, after = _activation(node)
    parameters = (
        f"0={outputs} 1={width} 11={height} 2={attrs.dilation} 3={attrs.stride} "
        f"4={left} 14={top} 15={right} 16={bottom} 18={value:.9e} 5=1 6={weight.size}"
    )
    if attrs.groups > 1:
        parameters += f" 7={attrs.groups}"
    kind = "ConvolutionDepthWise" if attrs.groups > 1 else "Convolution"
    name = f"{node.name}:conv" if after is not None else node.name
    made = writer.layer(kind, (source,), name, f"{parameters} {fused}".strip())
    writer.tagged(weight.transpose(3, 2, 0, 1))
    writer.plain(node.weights["bias"])
    if after is not None:
        after(writer, made)


def _activation(node: Node) -> tuple[str, Callable[[_Writer, str], None] | None]:
    """What a convolution does itself, as parameters, or a layer after it."""
    attrs = cast("ActivateAttrs | AddAttrs | ConvAttrs", node.attrs)
    kind = attrs.activation
    if kind is Activation.NONE:
        return "", None
    slopes = np.unique(node.weights["slope"]) if kind is Activation.LEAKY else np.zeros(1)
    if kind in _FUSED and len(slopes) == 1:
        numbers = {
            Activation.LEAKY: (float(slopes[0]),),
            Activation.CLIP: (attrs.low, attrs.high),
        }.get(kind, ())
        array = "".join(f",{number:.9e}" for number in numbers)
        return f"9={_FUSED[kind]}" + (f" {_ARRAY_10}={len(numbers)}{array}" if numbers else ""), None
    return "", lambda writer, source: _activate_layer(writer, node, source)


def _activate_layer(writer: _Writer, node: Node, source: str) -> None:
    attrs = cast("ActivateAttrs | AddAttrs | ConvAttrs", node.attrs)
    kind = attrs.activation
    if kind is Activation.LEAKY:
        slope = node.weights["slope"]
        writer.layer("PReLU", (source,), node.name, f"0={slope.size}")
        writer.plain(slope)
    elif kind is Activation.CLIP:
        writer.layer("Clip", (source,), node.name, f"0={attrs.low:.9e} 1={attrs.high:.9e}")
    elif kind in _LAYERS:
        writer.layer(_LAYERS[kind], (source,), node.name)
    else:
        raise _unknown(node, kind.value)


def _activate(writer: _Writer, node: Node) -> None:
    _activate_layer(writer, node, node.inputs[0])


def _add(writer: _Writer, node: Node) -> None:
    plain = not isinstance(node.attrs, AddAttrs) or node.attrs.activation is Activation.NONE
    total = node.inputs[0]
    for i, other in enumerate(node.inputs[1:]):
        last = i == len(node.inputs) - 2
        name = node.name if last and plain else f"{node.name}:sum{i}"
        total = writer.layer("BinaryOp", (total, other), name, f"0={_ADD}")
    if not plain:
        _activate_layer(writer, node, total)


def _multiply(writer: _Writer, node: Node) -> None:
    writer.layer("BinaryOp", node.inputs, node.name, f"0={_MULTIPLY}")


def _concat(writer: _Writer, node: Node) -> None:
    writer.layer("Concat", node.inputs, node.name, "0=0")


def _gather(writer: _Writer, node: Node) -> None:
    """Channels that follow each other are cut out together, and what was cut out is put together again."""
    runs = _runs(cast(GatherAttrs, node.attrs).channels)
    names = [node.name] if len(runs) == 1 else [f"{node.name}:part{i}" for i in range(len(runs))]
    for (first, count), name in zip(runs, names, strict=True):
        writer.layer("Crop", node.inputs, name, f"0=0 1=0 2={first} 3={_ALL} 4={_ALL} 5={count}")
    if len(runs) > 1:
        writer.layer("Concat", names, node.name, "0=0")


def _runs(channels: tuple[int, ...]) -> list[tuple[int, int]]:
    """(first, count) of the stretches in which each channel is the one after the last."""
    found: list[tuple[int, int]] = []
    for channel in channels:
        if found and sum(found[-1]) == channel:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((channel, 1))
    return found


def _shuffle(writer: _Writer, node: Node) -> None:
    """Mode 1: a channel's place within its block is counted before the channel."""
    writer.layer("PixelShuffle", node.inputs, node.name, f"0={cast(ShuffleAttrs, node.attrs).block} 1=1")


def _unknown(node: Node, what: str) -> UsageError:
    return UsageError(f"{node.name}: {what} has no counterpart in ncnn here, so --peer ncnn cannot run this network")


_FORMS: dict[str, Callable[[_Writer, Node], None]] = {
    "conv": _conv,
    "add": _add,
    "mul": _multiply,
    "concat": _concat,
    "gather": _gather,
    "depth_to_space": _shuffle,
    "activate": _activate,
}
