"""What becomes of a network's end: the picture's own code, whose saturating store is the clip; or a code of its own.

PINNED is what artifacts have. The others are what tools do that know nothing of pictures: the output's range is
measured, and its codes become bytes behind it. They are there to be compared with.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from tvmsr.graph.model import ActivateAttrs, Activation, Graph, Model, Node


class Ending(str, Enum):
    """What `ended` appends."""

    PINNED = "pinned"
    FREE = "free"  # each code of 8 bits becomes a byte: one rounding, saturating, as an app does with INT8 outputs
    # The same behind a clip to 0..1: the network's end has a code that ends at 1, as one that shares its scale with
    # a minimum does.
    CLIPPED = "clipped"


_APPENDED = {Ending.FREE: Activation.NONE, Ending.CLIPPED: Activation.CLIP}


def ended(model: Model, ending: Ending) -> Model:
    """The model with this ending: itself where it is PINNED, or was given one before. The checksum stays."""
    graph = model.graph
    if ending is Ending.PINNED or graph.measured:
        return model
    taken, name = {node.name for node in graph}, "to_bytes"
    while name in taken:
        name += "_"
    last = Node(name, "activate", (graph.output,), ActivateAttrs(_APPENDED[ending]))
    return replace(model, graph=replace(graph, nodes=(*graph.nodes, last), output=name, measured=graph.output))


def ends_at_white(graph: Graph) -> bool:
    """Whether the network's own end has no code above 1."""
    last = graph.nodes[-1].attrs if graph.measured else None
    return isinstance(last, ActivateAttrs) and last.activation is Activation.CLIP
