"""From the graph that a frontend imported to the canonical one: a phased list of passes, read from top to bottom."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum

import numpy as np

from tvmsr.graph.analysis import tensor_types
from tvmsr.graph.model import Graph
from tvmsr.graph.passes import activation, affine, branches, gather, pointwise, simplify, upsample
from tvmsr.graph.passes.clip import remove_final_clip
from tvmsr.graph.workspace import Rule, apply_rules

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """Rules that are applied together until none of them finds anything to do."""

    title: str
    rules: Sequence[Rule]


#: Repeated from the top until nothing changes: what one phase folds may be what another waited for.
PHASES = (
    Phase("1 neutral nodes go, chains become one node", simplify.RULES),
    Phase("2 mean shifts and colour transforms written as 1x1 convolutions", pointwise.RULES),
    Phase("3 one shuffle after a sum instead of several before it", upsample.RULES),
    Phase("4 batch norm, mean shift, ranges and scalings into convolutions", affine.RULES),
    Phase("5 activations into convolutions", activation.RULES),
    Phase("6 orders and copies of channels into convolutions", gather.RULES),
    Phase("7 re-parameterised branches into one convolution", branches.RULES),
)

#: Once, at the end: what nothing could take in.
LAST = Phase("8 remaining scalings as 1x1 convolutions", (affine.affine_to_conv,))


def canonicalise(graph: Graph) -> tuple[Graph, bool]:
    """The canonical form of a graph that computes RGB or Y 0..1 from RGB 0..1, and whether it ended in a clip.

    FP32 results are the same up to rounding, except for a final clip to the pixel range, which is removed.
    """
    clipped = False
    for _ in range(len(graph.nodes) + 10):
        before = graph
        for phase in PHASES:
            graph = apply_rules(graph, phase.rules)
            log.debug("%s: %d nodes", phase.title, len(graph.nodes))
        graph, removed = remove_final_clip(graph)
        clipped |= removed
        if graph is before:
            break
    graph = apply_rules(graph, LAST.rules)
    tensor_types(graph)  # every shape rule holds
    return graph, clipped


def checksum(graph: Graph) -> str:
    """SHA-256 over structure and weights, in execution order."""
    digest = hashlib.sha256(graph.output.encode())
    for node in graph:
        attrs = asdict(node.attrs) if is_dataclass(node.attrs) else {}
        plain = {key: value.value if isinstance(value, Enum) else value for key, value in attrs.items()}
        digest.update(json.dumps([node.name, node.op, node.inputs, plain], sort_keys=True).encode())
        for key in sorted(node.weights):
            value = np.ascontiguousarray(node.weights[key], "<f4")
            digest.update(json.dumps([key, value.shape]).encode())
            digest.update(value.tobytes())
    return digest.hexdigest()
