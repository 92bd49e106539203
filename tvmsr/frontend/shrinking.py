"""Networks of convolutions without padding, whose pictures come out smaller: the picture is continued first."""

from __future__ import annotations

from dataclasses import replace

from tvmsr.frontend.linear import padded
from tvmsr.frontend.sizes import RawGraph
from tvmsr.graph.analysis import tensor_types
from tvmsr.graph.extent import Extent
from tvmsr.graph.model import INPUT, Node, PadMode
from tvmsr.graph.workspace import Workspace

#: A side that is large enough to be measured at.
_SIDE = 960


def lost_pixels(extent: Extent) -> int | None:
    """How many of the picture's pixels a whole multiple of its side lacks on each end; None where it is none."""
    scale = extent.ratio
    if scale.denominator != 1 or scale == 0:
        return None
    lost, rest = divmod(_SIDE * int(scale) - extent(_SIDE), 2 * int(scale))
    whole = rest == 0 and all(extent(n + 2 * lost) == n * scale for n in range(_SIDE, _SIDE + 8))
    return lost if whole else None


def with_lost_pixels(raw: RawGraph) -> tuple[RawGraph, int]:
    """The graph on a picture continued with its outermost pixels by as many as it loses on each side, and their number.

    0, and the graph as it is, where it loses none, or nothing that is the same for all sizes.
    """
    output = tensor_types(raw.graph, raw.input_channels)[raw.graph.output]
    lost = {lost_pixels(extent) for extent in output.size}
    pixels = lost.pop() if len(lost) == 1 else None
    if pixels is None or pixels <= 0:
        return raw, 0
    net = Workspace(raw.graph, raw.input_channels)
    name = net.fresh("continued")
    net.redirect(INPUT, name)
    net.put(Node(name, "conv", (INPUT,), *padded(raw.input_channels, (pixels,) * 4, PadMode.REPLICATE)))
    return replace(raw, graph=net.graph()), pixels
