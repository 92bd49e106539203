"""Which convolutions AdaBM quantizes how, and which features its transfer loss compares."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from tvmsr.adabm_paper.protocol import Scope
from tvmsr.errors import UsageError
from tvmsr.graph.model import INPUT, Graph, Model
from tvmsr.quant.structure import Structure, analyse


class Role(Enum):
    """How a convolution is quantized."""

    ADAPTIVE = "adaptive"  # base bits and factors
    FIXED = "fixed"  # base bits
    EIGHT = "8 bits"  # weights and activations, and not counted
    FLOAT = "float"

    @property
    def is_counted(self) -> bool:
        """Whether the average of bits is over it."""
        return self in (Role.ADAPTIVE, Role.FIXED)


#: Where the published models of a family differ from the general rule: node names, and what they are in full scope.
FAMILY_ROLES: Mapping[str, tuple[tuple[str, Role], ...]] = {
    "rdn": ((r"RDBs\.\d+\.LFF|rdbs\.\d+\.lff", Role.FIXED), (r"SFENet2|sfe2", Role.EIGHT)),
}


@dataclass(frozen=True)
class Layout:
    """roles: of every convolution, in order; features: tensors that the transfer loss compares."""

    roles: Mapping[str, Role]
    features: tuple[str, ...]

    def named(self, *roles: Role) -> tuple[str, ...]:
        return tuple(name for name, role in self.roles.items() if role in roles)

    @property
    def quantized(self) -> tuple[str, ...]:
        return self.named(Role.ADAPTIVE, Role.FIXED, Role.EIGHT)

    @property
    def counted(self) -> tuple[str, ...]:
        return self.named(Role.ADAPTIVE, Role.FIXED)


def layout_of(model: Model, scope: Scope) -> Layout:
    """The layers of a network; UsageError where none is left to adapt.

    Ends are convolutions that read the picture, make the output, or make what is shuffled to more pixels, with nothing
    but moves, sums and activations between. The closing one is what the body ends with, where a first convolution's
    result is added to it. The body is all between. EDSR and SRResNet, as published, are cases of this rule.
    """
    structure = analyse(model.graph)
    weighing = [node for node in model.graph if structure.weighs_pixels(node)]
    heads = {node.name for node in weighing if INPUT in _sources(structure, node.inputs[0], _SUMS)}
    ends = heads | _tails(structure)
    body = [node.name for node in weighing if node.name not in ends]
    skips = _long_skips(structure, heads, body)
    roles = {node.name: Role.FLOAT for node in model.graph if node.op == "conv"}
    roles |= {node.name: Role.EIGHT if node.name in ends else _named(model.family, node.name) for node in weighing}
    if scope is Scope.BODY:
        outside = set(_of(roles, Role.EIGHT)).union(*skips.values())
        roles = {name: Role.FLOAT if name in outside else role for name, role in roles.items()}
    if not _of(roles, Role.ADAPTIVE):
        raise UsageError(f"{model.name}: AdaBM adapts convolutions between the first and the last, and there are none")
    return Layout(roles, _features(structure, body, ends, skips))


def _of(roles: Mapping[str, Role], role: Role) -> list[str]:
    return [name for name, one in roles.items() if one is role]


def _named(family: str, name: str) -> Role:
    for pattern, role in FAMILY_ROLES.get(family, ()):
        if re.fullmatch(pattern, name):
            return role
    return Role.ADAPTIVE


#: What stands between a convolution and what it reads or makes without being work of its own.
_THROUGH = ("gather", "depth_to_space", "activate", "resize", "max_pool")
_SUMS = ("add", "concat")


def _sources(structure: Structure, name: str, through: tuple[str, ...] = ()) -> set[str]:
    """The convolutions, the picture and other operations that `name` is, seen through what is no work."""
    found, open_ = set(), [name]
    while open_:
        one = open_.pop()
        node = structure.nodes.get(one)
        if node is not None and (node.op in (*_THROUGH, *through) or one in structure.moves):
            open_ += node.reads
        else:
            found.add(one)
    return found


def _tails(structure: Structure) -> set[str]:
    """Convolutions that make the output, or what a depth to space moves."""
    graph = structure.graph
    ends = [graph.output, *(node.inputs[0] for node in graph if node.op == "depth_to_space")]
    found = set().union(*(_sources(structure, name, _SUMS) for name in ends))
    return {name for name in found if name in structure.nodes and structure.weighs_pixels(structure.nodes[name])}


def _long_skips(structure: Structure, heads: set[str], body: Sequence[str]) -> dict[str, set[str]]:
    """Sums with a first convolution's result that none of the body follows, and the body's ends in them."""
    found = {}
    inside = _before(structure.graph, body)
    for node in structure.graph:
        if node.op == "add" and node.name not in inside:
            operands = set().union(*(_sources(structure, name) for name in node.inputs))
            if operands & heads:
                found[node.name] = operands & set(body)
    return found


def _before(graph: Graph, convolutions: Collection[str]) -> set[str]:
    """Tensors that one of the convolutions comes after."""
    before: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in before or node.name in convolutions:
            before.update(node.reads)
    return before


def _features(structure: Structure, body: Sequence[str], ends: set[str], skips: Collection[str]) -> tuple[str, ...]:
    """Sums of pixels in the body, which blocks end with; in a network without any, what its convolutions make."""
    after: set[str] = set()
    for node in structure.graph:
        if node.name in body or any(name in after for name in node.reads):
            after.add(node.name)
    inside = (after & _before(structure.graph, {*body, *ends})) - set(skips)
    sums = [node.name for node in structure.graph if node.op == "add" and node.name in inside]
    return tuple(name for name in sums if not structure.types[name].is_one_pixel) or tuple(body)
