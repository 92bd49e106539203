"""What a family of architectures is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.state import State


@dataclass(frozen=True)
class Recipe:
    """A network that was recognised: how to write it as Relax, and its conventions."""

    write: Callable[[NetBuilder, Any], Any]
    scale: int
    channels: int = 3
    value_range: float = 1.0
    colours: Colours = Colours.RGB


@dataclass(frozen=True)
class Family:
    """One architecture family.

    `recognise` looks at keys and shapes only and has no false negatives among the checkpoints of its family; `recipe`
    reads every hyper-parameter from shapes and asks `Choices` for the rest. ignored: regular expressions of names of
    tensors that `write` need not read, because they do not matter; any other that it does not read is refused.
    """

    name: str
    title: str
    recognise: Callable[[State], bool]
    recipe: Callable[[State, Choices], Recipe]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """An architecture that is recognised and out of reach; `why` ends the sentence that says so."""

    name: str
    title: str
    why: str
    recognise: Callable[[State], bool]


def colours_of(channels: int, choose: Choices, three: Colours | None = None, one: Colours = Colours.Y) -> Colours:
    """What one or three channels are: given, or `one` for one and `three` for three; None: asked."""
    if channels == 1:
        kind = "studio" if one is Colours.Y else "full"
        return Colours(choose.take("colour", one, f"one channel: BT.601 {kind}-range Y"))
    if three is not None:
        return Colours(choose.take("colour", three, "three channels, as in the code with these keys"))
    return Colours(choose.ask("colour", "rgb or ycbcr", "its three channels may be RGB or YCbCr"))
