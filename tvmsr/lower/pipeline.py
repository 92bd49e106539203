"""Lowering: an IntegerGraph becomes the Program of one CPU level. The phases are one list; each logs what it leaves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from tvmsr.hardware.target import Level
from tvmsr.lower import agree, assemble, check, choose, group, join, layout, places, trim
from tvmsr.lower.draft import Draft
from tvmsr.lower.program import Program
from tvmsr.quant.integer import IntegerGraph

_LOG = logging.getLogger(__name__)

Phase = Callable[[Draft], None]

#: In order. Each changes the draft in place; after each, its text goes to the debug log.
PHASES: tuple[tuple[str, Phase], ...] = (
    ("group", group.run),  # nodes -> groups: what becomes one step
    ("places", places.run),  # tensors -> places: what is stored, slices and concats as views
    ("agree", agree.run),  # one form, one set of pad codes and one border a place
    ("trim", trim.run),  # stores that nobody reads, and steps that have no others
    ("layout", layout.run),  # bytes from pixel to pixel
    ("choose", choose.run),  # groups -> steps: kernel specs and parameters
    ("join", join.run),  # statistics of one tensor
    ("check", check.run),  # the kernel contract
)


def lower(graph: IntegerGraph, level: Level, apart: frozenset[str] = frozenset()) -> Program:
    """The program of one level. Raises WorkError, naming the node, where the network needs what is not there yet.

    apart: names of requantizations that become passes over memory of their own; the bytes stay.
    """
    draft = Draft(graph, level, apart)
    for number, (name, phase) in enumerate(PHASES, 1):
        phase(draft)
        _LOG.debug("phase %d, %s: %s", number, name, draft)
    return assemble.program(draft)


def lower_choices(
    graphs: Sequence[IntegerGraph], names: Sequence[str], level: Level, apart: frozenset[str] = frozenset()
) -> tuple[Program, ...]:
    """The programs of one level, one a bit choice: each has the algorithms that its own bits allow.

    names: of the choices. Where there are several, steps are called by their choice too: a level's steps have different
    names. Raises as `lower`.
    """
    programs = [lower(graph, level, apart) for graph in graphs]
    if len(programs) == 1:
        return tuple(programs)
    return tuple(_of_choice(program, n, name) for n, (program, name) in enumerate(zip(programs, names, strict=True)))


def _of_choice(program: Program, number: int, name: str) -> Program:
    steps = tuple(replace(step, name=f"{name}:{step.name}") for step in program.steps)
    return replace(program, steps=steps, choice=number)
