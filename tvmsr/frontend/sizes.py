"""The picture's size during an import: networks compute with it, and the canonical graph must not depend on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tvmsr.errors import InputFileError
from tvmsr.frontend.importer import Sizes
from tvmsr.frontend.surprises import quiet_failures
from tvmsr.frontend.unsupported import UnsupportedFileError
from tvmsr.graph.model import Graph

#: Sizes that stand in for symbolic ones, in pairs that have to give the same graph. First primes with different
#: remainders: what fits these fits any picture. Then multiples of all that networks divide pictures by.
ANY = (Sizes(509, 523), Sizes(547, 557))
MULTIPLES = (Sizes(960, 1920, 960), Sizes(1920, 2880, 960))


_WHOLE = "sides are multiples of what the network divides them by (it computes others in a way that is not followed)"


_OWN_PADDING = "its own padding to multiples is replaced by repeating the last row and column"


class AtSizeError(InputFileError):
    """A model that cannot be had for pictures of one size; another size may do."""


@dataclass(frozen=True)
class RawGraph:
    """An imported graph and the number of channels of its input (1: gray or Y, 3: colour).

    by_size: it was decided by the picture's size, at least in part. assumed: what holds for some sizes only, in words.
    pads_nothing: it has padding by no pixels. seen: the only size, height and width, at which the model was looked at.
    """

    graph: Graph
    input_channels: int
    by_size: bool = False
    assumed: str = ""
    pads_nothing: bool = False
    seen: tuple[int, int] | None = None


def at_sizes(attempt: Callable[[Sizes], RawGraph], source: str, last: Sizes | None = None) -> RawGraph:
    """The graph that `attempt` imports, for the most general sizes for which it is the same at two of them.

    last: a size that is taken for itself where no others do.
    """
    attempt = quiet_failures()(attempt)
    failure: InputFileError | None = None
    differs = False
    for first, second in (ANY, MULTIPLES):
        try:
            raw = attempt(first)
            if not raw.by_size or same(raw.graph, attempt(second).graph):
                return _with_assumptions(raw, whole=first in MULTIPLES, differs=differs)
            differs = True
            failure = failure or InputFileError(
                f"{source}: depends on the picture's size in a way that is not followed; export it without sizes "
                "computed from the picture's, or with a fixed size"
            )
        except (UnsupportedFileError, AtSizeError) as error:
            failure = error
    if last is not None:
        try:
            return at_one_size(attempt(last), (last.height, last.width))
        except AtSizeError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _with_assumptions(raw: RawGraph, *, whole: bool, differs: bool) -> RawGraph:
    """What pads by nothing at sizes that are multiples, but not at others, would pad those."""
    if whole and raw.pads_nothing:
        return replace(raw, assumed=_OWN_PADDING)
    return replace(raw, assumed=_WHOLE) if differs else raw


def at_one_size(raw: RawGraph, seen: tuple[int, int] | None = None) -> RawGraph:
    """The graph of a model that was looked at for one size alone."""
    return replace(_with_assumptions(raw, whole=True, differs=False), seen=seen)


def same(one: Graph, other: Graph) -> bool:
    """True where two graphs are equal: names, operations, attributes, and every weight to the bit."""
    if one.output != other.output or len(one.nodes) != len(other.nodes):
        return False
    return all(
        (a.name, a.op, a.inputs, a.attrs) == (b.name, b.op, b.inputs, b.attrs)
        and a.weights.keys() == b.weights.keys()
        and all(np.array_equal(a.weights[key], b.weights[key]) for key in a.weights)
        for a, b in zip(one.nodes, other.nodes, strict=True)
    )
