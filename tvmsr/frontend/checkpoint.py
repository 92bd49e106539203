"""State dicts: recognise the family, write its network as Relax, import that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours, sized_by_picture, to_canonical_ends
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.families.registry import REGISTRY, UnknownArchitectureError
from tvmsr.frontend.relax_import import RawGraph, import_relax
from tvmsr.frontend.shrinking import with_lost_pixels
from tvmsr.frontend.spandrel_models import import_unknown
from tvmsr.frontend.state import MissingTensorError, State, Watched
from tvmsr.frontend.surprises import as_input_error, quiet_failures
from tvmsr.graph.analysis import scale_of
from tvmsr.graph.canonical import canonicalise, checksum
from tvmsr.graph.model import Model

if TYPE_CHECKING:
    import tvm

#: A licence is a name, not a text.
_LONGEST_LICENCE = 200

#: Tensors of no network: counters that profilers (thop) leave in modules.
_NOBODYS = (r"(.*\.)?total_(ops|params)",)


def import_state(state: State, choices: Choices, name: str, licence: str) -> Model:
    """A Model from a state dict whose architecture is known, to us or to spandrel."""
    try:
        with as_input_error(choices.source, "is of no known architecture"):
            family = REGISTRY.find(state, choices)
    except UnknownArchitectureError:
        if choices.given("family"):
            _check_complete(state, choices)
            raise
        known_elsewhere = import_unknown(state, choices, name, licence)
        if known_elsewhere is None:
            raise
        return known_elsewhere
    with as_input_error(choices.source, f"its tensors do not fit together as those of {family.name}"):
        recipe, net, module = _written(family, state, choices)
        raw = import_relax(module, net.constants, choices.source, net.names)
    return build_model(raw, choices, name, family.name, recipe.value_range, recipe.colours, licence)


def _written(family: Family, state: State, choices: Choices) -> tuple[Recipe, NetBuilder, tvm.IRModule]:
    """The network in Relax; all tensors are in it, or known not to matter."""
    watched = Watched(state)
    try:
        recipe = family.recipe(watched, choices)
        watched.read.clear()  # looking at shapes is not using
        net = NetBuilder(watched, recipe.channels)
        module = net.module(lambda x: recipe.write(net, x))
    except MissingTensorError as error:
        raise InputFileError(f"{choices.source}: is no {family.name}: it has no tensor {error.args[0]!r}") from error
    _check_left(watched.left(), family, choices.source)
    return recipe, net, module


def _check_complete(state: State, choices: Choices) -> None:
    """InputFileError where the family that the user named finds a tensor missing; other reasons are not found here."""
    family = next((one for one in REGISTRY if one.name == choices.given("family")), None)
    if family is None:
        return
    try:
        with quiet_failures():
            _written(family, state, Choices(choices.options, choices.source))
    except Exception as error:
        if isinstance(error.__cause__, MissingTensorError):
            raise


def _check_left(left: list[str], family: Family, source: str) -> None:
    """InputFileError where tensors are left that the family has no place for: the network may be another."""
    known = re.compile("|".join(f"(?:{pattern})" for pattern in (*family.ignored, *_NOBODYS)))
    foreign = [key for key in left if not known.fullmatch(key)]
    if foreign:
        count = "a tensor" if len(foreign) == 1 else f"{len(foreign)} tensors"
        first = "" if len(foreign) == 1 else "the first is "
        raise InputFileError(
            f"{source}: has {count} that {family.name} does not have: {first}{foreign[0]!r}; is it another network? "
            "export it to ONNX"
        )


def build_model(
    raw: RawGraph, choices: Choices, name: str, family: str, value_range: float, colours: Colours, licence: str
) -> Model:
    """The canonical Model of an imported graph."""
    raw, lost = with_lost_pixels(raw)
    if lost:
        choices.assumed.append(f"pictures are continued by the {lost} pixels a side that its convolutions take off")
    ends = to_canonical_ends(raw, value_range, colours, choices.source)
    graph, clip = canonicalise(ends)
    graph = sized_by_picture(graph)
    scale = scale_of(graph)
    if scale.denominator != 1:
        raise UsageError(f"{choices.source}: makes pictures {scale} times as large; only whole scales are supported")
    wanted = choices.given("scale")
    if wanted is not None and wanted != scale:
        raise UsageError(f"{choices.source}: is a network for scale {scale}; --scale {wanted} contradicts it")
    assumed = tuple(choices.assumed)
    licence = choices.given("licence") or licence
    return Model(graph, name, family, int(scale), colours.computes, clip, licence, assumed, checksum(graph))


def licence_of(metadata: Mapping[str, str]) -> str:
    """The licence that a file's metadata states, else "unknown"."""
    for key in ("license", "licence", "spdx", "modelspec.license"):
        for found, value in metadata.items():
            if found.lower() == key and value.strip():
                return "".join(c for c in " ".join(value.split()) if c.isprintable())[:_LONGEST_LICENCE]
    return "unknown"
