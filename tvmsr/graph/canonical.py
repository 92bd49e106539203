"""From the graph that a frontend imported to the canonical one: a phased list of passes, read from top to bottom."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np

from tvmsr.graph.analysis import tensor_types
from tvmsr.graph.model import Attrs, Graph
from tvmsr.graph.passes import (
    activation,
    affine,
    branches,
    chains,
    gather,
    last,
    padding,
    pointwise,
    simplify,
    spellings,
    upsample,
)
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
    Phase("1 neutral nodes go, chains become one, activations get their names", (*simplify.RULES, *spellings.RULES)),
    Phase("2 padding, crops and unshuffles into convolutions", padding.RULES),
    Phase("3 mean shifts and colour transforms written as 1x1 convolutions", pointwise.RULES),
    Phase("4 one shuffle after a sum instead of several before it", upsample.RULES),
    Phase("5 batch norm, mean shift, ranges and scalings into convolutions", affine.RULES),
    Phase("6 activations into convolutions", activation.RULES),
    Phase("7 orders and copies of channels into convolutions", gather.RULES),
    Phase("8 re-parameterised chains and branches into one convolution", (*chains.RULES, *branches.RULES)),
)

#: Once, at the end: what nothing could take in.
LAST = tuple(Phase("9 remaining scalings into tables and sums, or 1x1 convolutions", rules) for rules in last.RULES)


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
    for phase in LAST:
        graph = apply_rules(graph, phase.rules)
    tensor_types(graph)  # every shape rule holds
    return graph, clipped


#: Fields that came after plans had been written: left out where they say nothing, so that those plans still fit.
_LATER = ("mode", "gain", "offset")


def _plain(attrs: Attrs) -> dict[str, Any]:
    """Attributes as what JSON can hold."""
    found: dict[str, Any] = {}
    for entry in fields(attrs):
        value = getattr(attrs, entry.name)
        if entry.name in _LATER and value == entry.default:
            continue
        found[entry.name] = value.value if isinstance(value, Enum) else value
        if isinstance(value, Fraction):
            found[entry.name] = str(value)
    return found


def checksum(graph: Graph) -> str:
    """SHA-256 over structure and weights, in execution order."""
    digest = hashlib.sha256(graph.output.encode())
    for node in graph:
        plain = _plain(node.attrs)
        digest.update(json.dumps([node.name, node.op, node.inputs, plain], sort_keys=True).encode())
        for key in sorted(node.weights):
            value = np.ascontiguousarray(node.weights[key], "<f4")
            digest.update(json.dumps([key, value.shape]).encode())
            digest.update(value.tobytes())
    return digest.hexdigest()
