"""How large every tensor of an IntegerGraph is: height and width as functions of the picture's."""

from __future__ import annotations

from tvmsr.graph.extent import Extent
from tvmsr.graph.model import INPUT
from tvmsr.quant.integer import IntegerGraph

#: Height and width.
Size = tuple[Extent, Extent]


def sizes_of(graph: IntegerGraph) -> dict[str, Size]:
    """The size of every tensor, `input` among them."""
    side = Extent(multiple=graph.sizes.multiple)
    return {INPUT: (side, side)} | {node.name: (node.rows, node.columns) for node in graph}


def is_one_pixel(size: Size) -> bool:
    """True for a 1x1 map, whatever the picture's size."""
    return size[0].is_one and size[1].is_one


def area_ratio(size: Size) -> float:
    """Pixels for each one of the picture, for large ones."""
    return float(size[0].ratio * size[1].ratio)
