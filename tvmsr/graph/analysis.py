"""What can be computed from a graph alone: tensor types, sizes it takes, receptive radius, work and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm
from typing import cast

from tvmsr.graph.extent import Extent
from tvmsr.graph.model import (
    INPUT,
    INPUT_CHANNELS,
    ConvAttrs,
    Graph,
    Grid,
    Node,
    PadMode,
    PoolAttrs,
    ResizeAttrs,
    TensorType,
)
from tvmsr.operations.operation import ShapeError
from tvmsr.operations.resize import TAPS
from tvmsr.operations.table import operation_of

#: What a picture's sides may have to be multiples of: networks halve them a few times, or cut them into windows.
_MULTIPLES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64, 96, 128)
#: A network that cannot run on this side has no smallest side.
_LARGEST_MINIMUM = 4096


def tensor_types(
    graph: Graph, input_channels: int = INPUT_CHANNELS, multiple: int | None = None
) -> dict[str, TensorType]:
    """The type of every tensor, `input` among them; raises ShapeError where a node does not fit its inputs.

    multiple: what the picture's sides are multiples of; None: the least for which everything fits, and the output is a
    constant multiple of the picture where one of those makes it so.
    """
    if multiple is not None:
        return _types(graph, input_channels, multiple)
    first: ShapeError | None = None
    fitting: dict[str, TensorType] | None = None
    for candidate in _MULTIPLES:
        try:
            types = _types(graph, input_channels, candidate)
        except ShapeError as error:
            first = first or error
            continue
        if all(extent.times(extent.ratio) or not extent.divides for extent in types[graph.output].size):
            return types
        fitting = fitting or types
    if fitting is not None:
        return fitting
    assert first is not None
    raise first


def _types(graph: Graph, input_channels: int, multiple: int) -> dict[str, TensorType]:
    side = Extent(multiple=multiple)
    types = {INPUT: TensorType(input_channels, side, side)}
    for node in graph:
        missing = [name for name in node.inputs if name not in types]
        if missing:
            raise ShapeError(f"{node.op} {node.name!r} reads {missing[0]!r} before it is made")
        if node.name in types:
            raise ShapeError(f"two nodes are called {node.name!r}")
        types[node.name] = operation_of(node).shape(tuple(types[name] for name in node.inputs), node)
    if graph.output not in types:
        raise ShapeError(f"the output {graph.output!r} is not made by any node")
    return types


def scale_of(graph: Graph) -> Fraction:
    """Height and width of the output relative to the input's; ShapeError where they are no constant multiple."""
    output = tensor_types(graph)[graph.output]
    for extent in output.size:
        if not extent.times(output.ratio):
            raise ShapeError(f"pictures of side n become {extent} pixels, which is no multiple of n")
    return output.ratio


@dataclass(frozen=True)
class SizeRule:
    """The pictures that a network runs on: sides of at least `minimum` pixels, multiples of `multiple`."""

    minimum: int
    multiple: int


def size_rule(graph: Graph) -> SizeRule:
    """What the network asks of a picture; smaller and other ones are continued with their outermost pixels."""
    types = tensor_types(graph)
    multiple = types[INPUT].rows.multiple
    for side in range(multiple, _LARGEST_MINIMUM + 1, multiple):
        if all(_fits(node, types, side) for node in graph):
            return SizeRule(side, multiple)
    raise ShapeError(f"no picture up to {_LARGEST_MINIMUM} pixels is large enough for it")


def _fits(node: Node, types: Mapping[str, TensorType], side: int) -> bool:
    if min(extent(side) for extent in types[node.name].size) < 1:
        return False
    if not isinstance(node.attrs, ConvAttrs) or node.attrs.mode is not PadMode.REFLECT:
        return True
    return max(node.attrs.padding) < min(extent(side) for extent in types[node.inputs[0]].size)


@dataclass(frozen=True)
class TileRule:
    """How a picture may be cut: each tile with `radius` pixels more on every side, at multiples of `grid` pixels.

    whole_because: the operations for which that is not enough, in words; without any, tiles give the whole's bytes.
    """

    radius: int
    grid: int
    whole_because: tuple[str, ...]


def tile_rule(graph: Graph) -> TileRule:
    types = tensor_types(graph)
    reasons = [why for node in graph if (why := _whole_because(node, types))]
    steps = [extent.ratio.denominator for kind in types.values() for extent in kind.size if extent.ratio]
    return TileRule(receptive_radius(graph), lcm(types[INPUT].rows.multiple, *steps), tuple(reasons))


def _whole_because(node: Node, types: Mapping[str, TensorType]) -> str:
    if node.op == "statistic":
        return f"{node.name!r} is the {node.attrs.kind.value} of the whole picture"  # type: ignore[attr-defined]
    if node.op != "resize":
        return ""
    attrs, source, made = cast(ResizeAttrs, node.attrs), types[node.inputs[0]], types[node.name]
    if source.is_one_pixel:
        return ""
    fixed = attrs.grid is not Grid.ALIGN_CORNERS and all(
        after == before.then(factor.numerator, 0, factor.denominator) and before.times(before.ratio)
        for before, after in zip(source.size, made.size, strict=True)
        for factor in [after.ratio / before.ratio]
    )
    return "" if fixed else f"{node.name!r} resizes by a factor that depends on the picture's size"


def receptive_radius(graph: Graph) -> int:
    """How many input pixels beside its own, to any side, an output pixel depends on at most.

    Every radius is a multiple of the input's pixel divided by the tensor's ratio; it is rounded up at the end. What
    depends on the whole picture is left out (TileRule names it).
    """
    types = tensor_types(graph)
    radius: dict[str, Fraction] = {INPUT: Fraction(0)}
    for node in graph:
        reach = max(radius[name] for name in node.reads)
        source = types[node.inputs[0]]
        if source.ratio and node.op != "statistic":
            reach += max(Fraction(_taps(node)) / ratio for ratio in (source.rows.ratio, source.columns.ratio))
        radius[node.name] = Fraction(0) if node.op == "statistic" else reach
    return ceil(radius[graph.output])


def _taps(node: Node) -> int:
    """How far a node reads beside the pixel at its own place, in pixels of its first input."""
    attrs = node.attrs
    if isinstance(attrs, ResizeAttrs):
        return TAPS[attrs.method]
    if isinstance(attrs, ConvAttrs):
        (height, width), dilation = node.weights["weight"].shape[:2], attrs.dilation
    elif isinstance(attrs, PoolAttrs):
        (height, width), dilation = attrs.kernel, 1
    else:
        return 0
    top, left = attrs.padding[:2]
    return max(abs(top), abs(left), abs((height - 1) * dilation - top), abs((width - 1) * dilation - left))


def macs_per_pixel(graph: Graph) -> Fraction:
    """Multiply-accumulates of all convolutions per pixel of the input."""
    types = tensor_types(graph)
    return sum((_macs(node) * types[node.name].ratio ** 2 for node in graph if node.op == "conv"), Fraction(0))


def macs_by_node(graph: Graph) -> Mapping[str, Fraction]:
    """Multiply-accumulates of each convolution per pixel of the input."""
    types = tensor_types(graph)
    return {node.name: _macs(node) * types[node.name].ratio ** 2 for node in graph if node.op == "conv"}


def _macs(node: Node) -> int:
    return int(node.weights["weight"].size)


def parameter_count(graph: Graph) -> int:
    """Weights, biases and slopes; padding values are not parameters."""
    return sum(int(value.size) for node in graph for key, value in node.weights.items() if key != "pad")
