"""How often codes are at the end of their range: whether a plan's ranges cover pictures that they were not made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import mapped
from tvmsr.quant.integer import Code, IntegerGraph
from tvmsr.quant.reference import run

U8 = NDArray[np.uint8]

#: What the note begins with.
SATURATED = "saturated"

_MOVES = ("gather", "depth_to_space", "max_pool")
#: Tensors that a plan's note names, and the share of codes below which none is worth a word.
MOST_NAMED, WORTH_SAYING = 3, 1e-4


def saturation(graph: IntegerGraph, crops: Sequence[U8]) -> dict[str, float]:
    """Share of codes, 0..1, at an end of their range, by tensor; the output and what moves codes are left out.

    The lowest code where it is the zero point is none of them: it stands for 0, below which nothing was to be held.
    """
    kept = {node.name: node.output for node in graph if isinstance(node.output, Code) and node.op not in _MOVES}
    kept.pop(_made_of(graph, graph.output), None)

    def of_crop(crop: U8) -> dict[str, tuple[int, int]]:
        found = {}

        def visit(name: str, values: NDArray[Any]) -> None:
            if name in kept:
                code = kept[name]
                at_end = values == (1 << code.bits) - 1
                if code.zero > 0:
                    at_end |= values == 0
                found[name] = int(np.count_nonzero(at_end)), values.size

        run(graph, crop, visit=visit)
        return found

    found = mapped(of_crop, crops)
    sums = {name: tuple(sum(one[name][part] for one in found) for part in (0, 1)) for name in kept}
    return {name: ends / count for name, (ends, count) in sums.items() if count}


def _made_of(graph: IntegerGraph, name: str) -> str:
    """The tensor whose codes moves brought here."""
    node = next(node for node in graph if node.name == name)
    return _made_of(graph, node.inputs[0]) if node.op in _MOVES else name


def saturation_note(shares: Mapping[str, float]) -> str:
    """One line: the tensors of which most codes are at an end."""
    worst = sorted(((share, name) for name, share in shares.items() if share > WORTH_SAYING), reverse=True)[:MOST_NAMED]
    if not worst:
        return f"{SATURATED}: no tensor has more than {100 * WORTH_SAYING:.2f} % of its codes at an end"
    named = ", ".join(f"{name} {100 * share:.2f} %" for share, name in worst)
    mean = sum(shares.values()) / len(shares)
    return f"{SATURATED}, share of the codes at an end: {named}; {100 * mean:.3f} % over all tensors"
