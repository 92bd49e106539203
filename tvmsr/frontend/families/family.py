"""What a family of architectures is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.state import State
from tvmsr.graph.model import Colour


@dataclass(frozen=True)
class Recipe:
    """A network that was recognised: how to write it as Relax, and its conventions."""

    write: Callable[[NetBuilder, Any], Any]
    scale: int
    channels: int = 3
    value_range: float = 1.0
    colour: Colour = Colour.RGB


@dataclass(frozen=True)
class Family:
    """One architecture family.

    `recognise` looks at keys and shapes only and has no false negatives among the checkpoints of its family; `recipe`
    reads every hyper-parameter from shapes and asks `Choices` for the rest.
    """

    name: str
    title: str
    recognise: Callable[[State], bool]
    recipe: Callable[[State, Choices], Recipe]
