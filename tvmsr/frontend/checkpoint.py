"""State dicts: recognise the family, write its network as Relax, import that."""

from __future__ import annotations

from collections.abc import Mapping

from tvmsr.errors import UsageError
from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import to_canonical_ends
from tvmsr.frontend.families.registry import REGISTRY
from tvmsr.frontend.relax_import import RawGraph, import_relax
from tvmsr.frontend.state import State
from tvmsr.graph.analysis import scale_of
from tvmsr.graph.canonical import canonicalise, checksum
from tvmsr.graph.model import Colour, Model


def import_state(state: State, choices: Choices, name: str, licence: str) -> Model:
    """A Model from a state dict whose architecture is known."""
    family = REGISTRY.find(state, choices)
    recipe = family.recipe(state, choices)
    net = NetBuilder(state, recipe.channels)
    module = net.module(lambda x: recipe.write(net, x))
    raw = import_relax(module, net.constants, choices.source, net.names)
    return build_model(raw, choices, name, family.name, recipe.value_range, recipe.colour, licence)


def build_model(
    raw: RawGraph, choices: Choices, name: str, family: str, value_range: float, colour: Colour, licence: str
) -> Model:
    """The canonical Model of an imported graph."""
    ends = to_canonical_ends(raw, value_range, colour, choices.source)
    graph, clip = canonicalise(ends)
    scale = scale_of(graph)
    if scale.denominator != 1:
        raise UsageError(f"{choices.source}: makes pictures {scale} times as large; only whole scales are supported")
    wanted = choices.given("scale")
    if wanted is not None and wanted != scale:
        raise UsageError(f"{choices.source}: is a network for scale {scale}; --scale {wanted} contradicts it")
    assumed = tuple(choices.assumed)
    return Model(
        graph, name, family, int(scale), colour, clip, choices.given("licence") or licence, assumed, checksum(graph)
    )


def licence_of(metadata: Mapping[str, str]) -> str:
    """The licence that a file's metadata states, else "unknown"."""
    for key in ("license", "licence", "spdx", "modelspec.license"):
        for found, value in metadata.items():
            if found.lower() == key and value.strip():
                return value.strip()
    return "unknown"
