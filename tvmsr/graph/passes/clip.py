"""The clip to the pixel range at the end of a network: the saturating store of an 8-bit output is that clip."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from tvmsr.graph.model import ActivateAttrs, Activation, Graph
from tvmsr.graph.passes.simplify import clip_bounds
from tvmsr.graph.workspace import Workspace


def remove_final_clip(graph: Graph) -> tuple[Graph, bool]:
    """The graph without a final clip that contains 0..1, and whether there was one. Looks through moves of data."""
    net, name = Workspace(graph), graph.output
    while True:
        node = net.get(name)
        if node is None or (name != graph.output and not net.sole(name)):
            return graph, False
        if node.op not in ("depth_to_space", "gather"):
            break
        name = node.inputs[0]
    if node.op not in ("conv", "activate") or cast(ActivateAttrs, node.attrs).activation is not Activation.CLIP:
        return graph, False
    bounds = clip_bounds(node)
    if bounds is None or bounds[0] > 0 or bounds[1] < 1:
        return graph, False
    if node.op == "conv":
        net.put(replace(node, attrs=replace(cast(ActivateAttrs, node.attrs), activation=Activation.NONE)))
    else:
        net.redirect(name, node.inputs[0])
    return net.graph(), True
