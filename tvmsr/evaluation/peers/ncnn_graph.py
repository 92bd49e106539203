"""Write a canonical graph as ncnn's two files: the text of its layers (.param) and their weights (.bin).

Weights are float32, or, of convolutions whose input's range is given, INT8 as ncnn's own tool stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.evaluation.peers.channels import runs_of
from tvmsr.graph.model import (
    INPUT,
    ActivateAttrs,
    Activation,
    AddAttrs,
    ConvAttrs,
    GatherAttrs,
    Graph,
    Grid,
    Model,
    Node,
    PadMode,
    PoolAttrs,
    Resampling,
    ResizeAttrs,
    ShuffleAttrs,
    Statistic,
    StatisticAttrs,
)

#: First line of every .param file.
_MAGIC = 7767517

#: Name of the output's blob; the input's is INPUT.
OUTPUT = "output"

#: Of BinaryOp, of UnaryOp, of Reduction, and of the activation that a convolution does itself.
_ADD, _SUBTRACT, _MULTIPLY = 0, 1, 2
_SQUARE, _ROOT = 4, 5
_MEAN, _MAX = 3, 4
_FUSED = {Activation.RELU: 1, Activation.LEAKY: 2, Activation.CLIP: 3, Activation.SIGMOID: 4}
_LAYERS = {
    Activation.RELU: "ReLU", Activation.TANH: "TanH", Activation.SIGMOID: "Sigmoid", Activation.GELU: "GELU",
    Activation.SILU: "Swish",
}  # fmt: skip

_METHODS = {Resampling.NEAREST: 1, Resampling.LINEAR: 2}

#: "As far as it goes" in a Crop, and the keys of arrays that are parameters 3 and 10.
_ALL, _ARRAY_3, _ARRAY_10 = -233, -23303, -23310

#: Before weights in INT8; those of 3x3 have 6 bits and a sign, because ncnn multiplies them in Winograd's form.
_INT8_TAG, _LARGEST, _LARGEST_3X3 = 0x000D4B38, 127, 31


class _Writer:
    """Layers in order. A blob has one reader in ncnn, so that one with several is split first."""

    def __init__(self, graph: Graph, ranges: Mapping[str, float]) -> None:
        self.lines: list[str] = []
        self.blobs = 0
        self.ranges = ranges
        self.weights: list[bytes] = []
        self.graph = graph
        self._readers = _readers(graph)
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

    def quantized(self, value: NDArray[Any], largest: int) -> NDArray[Any]:
        """Weights (OC, ...) as signed bytes up to `largest`, filled up to four bytes; their scales (OC,)."""
        most = np.max(np.abs(value), axis=tuple(range(1, value.ndim)))
        scales = np.where(most > 0, largest / np.maximum(most, 1e-30), 1.0).astype(np.float32)
        codes = np.rint(value * scales.reshape(-1, *[1] * (value.ndim - 1))).astype(np.int8).tobytes()
        self.weights.append(_INT8_TAG.to_bytes(4, "little") + codes + bytes(-len(codes) % 4))
        return scales

    def plain(self, value: NDArray[Any]) -> None:
        self.weights.append(np.ascontiguousarray(value, "<f4").tobytes())

    def param(self) -> str:
        return "\n".join([str(_MAGIC), f"{len(self.lines)} {self.blobs}", *self.lines, ""])


def ncnn_files(model: Model, ranges: Mapping[str, float] | None = None) -> tuple[bytes, bytes]:
    """The .param and the .bin of a model, for pictures of any size. UsageError for an operation without counterpart.

    ranges: the largest magnitude of tensors, by name; convolutions without groups that read one of them are in INT8.
    """
    graph = model.graph
    writer = _Writer(graph, ranges or {})
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
            times = len(runs_of(cast(GatherAttrs, node.attrs).channels)) if node.op == "gather" else 1
            times = 2 if getattr(node.attrs, "kind", None) is Statistic.DEVIATION else times
            counts[name] = counts.get(name, 0) + times
    return counts


def _conv(writer: _Writer, node: Node) -> None:
    attrs, weight = cast(ConvAttrs, node.attrs), node.weights["weight"]
    height, width, _, outputs = weight.shape
    if attrs.mode is not PadMode.CONSTANT or min(attrs.padding) < 0:
        raise _unknown(node, "padding other than with a constant")
    most = writer.ranges.get(node.inputs[0], 0.0) if attrs.groups == 1 else 0.0
    source, (top, left, bottom, right), value = _padding(writer, node, quantized=most > 0)
    fused, after = _activation(node)
    parameters = (
        f"0={outputs} 1={width} 11={height} 2={attrs.dilation} 3={attrs.stride} "
        f"4={left} 14={top} 15={right} 16={bottom} 18={value:.9e} 5=1 6={weight.size}"
    )
    if attrs.groups > 1:
        parameters += f" 7={attrs.groups}"
    passed_on = most > 0 and after is None and _is_read_in_int8(writer, node)
    if most > 0:
        parameters += " 8=102" if passed_on else " 8=2"
    kind = "ConvolutionDepthWise" if attrs.groups > 1 else "Convolution"
    name = f"{node.name}:conv" if after is not None else node.name
    made = writer.layer(kind, (source,), name, f"{parameters} {fused}".strip())
    by_output, scales = weight.transpose(3, 2, 0, 1), None
    if most > 0:
        winograd = (height, width, attrs.stride, attrs.dilation) == (3, 3, 1, 1)
        scales = writer.quantized(by_output, _LARGEST_3X3 if winograd else _LARGEST)
    else:
        writer.tagged(by_output)
    writer.plain(node.weights["bias"])
    if scales is not None:
        writer.plain(scales)
        writer.plain(np.array([_LARGEST / most]))
    if passed_on:
        writer.plain(np.array([_LARGEST / writer.ranges[node.name]]))
    if after is not None:
        after(writer, made)


def _is_read_in_int8(writer: _Writer, node: Node) -> bool:
    """True where its one reader is a convolution in INT8 without a layer between: codes go from one to the other."""
    readers = writer.graph.consumers(node.name)
    if len(readers) != 1 or readers[0].op != "conv" or not writer.ranges.get(node.name, 0.0) > 0:
        return False
    reader = cast(ConvAttrs, readers[0].attrs)
    return reader.groups == 1 and (not any(reader.padding) or not np.any(readers[0].weights["pad"]))


def _padding(writer: _Writer, node: Node, *, quantized: bool) -> tuple[str, tuple[int, ...], float]:
    """What the convolution reads, and what it pads itself: all channels with one value, INT8 with zeros only."""
    padding, pad = cast(ConvAttrs, node.attrs).padding, node.weights["pad"]
    value = float(pad.flat[0]) if pad.size else 0.0
    if not any(padding) or (np.all(pad == value) and (value == 0 or not quantized)):
        return node.inputs[0], padding, value
    top, left, bottom, right = padding
    inputs = f"0={top} 1={bottom} 2={left} 3={right} 4=0 6={pad.size}"
    source = writer.layer("Padding", (node.inputs[0],), f"{node.name}:padded", inputs)
    writer.plain(pad)
    return source, (0, 0, 0, 0), 0.0


def _activation(node: Node) -> tuple[str, Callable[[_Writer, str], None] | None]:
    """What a convolution does itself, as parameters, or a layer after it."""
    attrs = cast("ActivateAttrs | AddAttrs | ConvAttrs", node.attrs)
    kind = attrs.activation
    if (getattr(attrs, "gain", 1.0), getattr(attrs, "offset", 0.0)) != (1.0, 0.0):
        raise _unknown(node, "an activation with a gain")
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
    if any(np.any(node.weights[key] != 1) for key in node.weights if key.startswith("factor")):
        raise _unknown(node, "a sum with factors")
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
    runs = runs_of(cast(GatherAttrs, node.attrs).channels)
    names = [node.name] if len(runs) == 1 else [f"{node.name}:part{i}" for i in range(len(runs))]
    for (first, count), name in zip(runs, names, strict=True):
        writer.layer("Crop", node.inputs, name, f"0=0 1=0 2={first} 3={_ALL} 4={_ALL} 5={count}")
    if len(runs) > 1:
        writer.layer("Concat", names, node.name, "0=0")


def _shuffle(writer: _Writer, node: Node) -> None:
    """Mode 1: a channel's place within its block is counted before the channel."""
    writer.layer("PixelShuffle", node.inputs, node.name, f"0={cast(ShuffleAttrs, node.attrs).block} 1=1")


def _max_pool(writer: _Writer, node: Node) -> None:
    attrs = cast(PoolAttrs, node.attrs)
    top, left, bottom, right = attrs.padding
    height, width = attrs.kernel
    shape = f"0=0 1={width} 11={height} 2={attrs.stride} 3={left} 13={top} 14={right} 15={bottom} 5=1"
    writer.layer("Pooling", node.inputs, node.name, shape)


def _statistic(writer: _Writer, node: Node) -> None:
    """Reductions over height and width (axes 1 and 2 of 3) that keep their dimensions."""
    attrs, name = cast(StatisticAttrs, node.attrs), node.name
    if attrs.epsilon or attrs.unbiased or attrs.kind is Statistic.VARIANCE:
        raise _unknown(node, "a variance that is not plain")

    def reduced(source: str, output: str, kind: int = _MEAN) -> str:
        return writer.layer("Reduction", (source,), output, f"0={kind} 1=0 {_ARRAY_3}=2,1,2 4=1 5=1")

    if attrs.kind is not Statistic.DEVIATION:
        reduced(node.inputs[0], name, _MAX if attrs.kind is Statistic.MAX else _MEAN)
        return
    mean = reduced(node.inputs[0], f"{name}:mean")
    centred = writer.layer("BinaryOp", (node.inputs[0], mean), f"{name}:centred", f"0={_SUBTRACT}")
    square = writer.layer("UnaryOp", (centred,), f"{name}:square", f"0={_SQUARE}")
    writer.layer("UnaryOp", (reduced(square, f"{name}:variance"),), name, f"0={_ROOT}")


def _resize(writer: _Writer, node: Node) -> None:
    attrs = cast(ResizeAttrs, node.attrs)
    aligned = attrs.grid is Grid.ALIGN_CORNERS
    if attrs.method not in _METHODS or (not aligned and attrs.grid is not Grid.HALF_PIXEL):
        raise _unknown(node, f"a {attrs.method.value} resize on the grid {attrs.grid.value}")
    factor = f"1={float(attrs.factor):.9e} 2={float(attrs.factor):.9e}" if attrs.factor else "5=1"
    writer.layer("Interp", node.inputs, node.name, f"0={_METHODS[attrs.method]} {factor} 6={int(aligned)}")


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
    "max_pool": _max_pool,
    "statistic": _statistic,
    "resize": _resize,
}
