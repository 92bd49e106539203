"""Phase 1, group: which integer nodes become one step.

Walks the nodes in order, one function an operation (LOWERING). A convolution takes in its activation and the add that
reads its term; what reads a group's code and can be a store of it (the reading of a stream, a pixel shuffle, a slice)
becomes a tensor that the group can store; everything else is a pointwise group. What is really stored, and where, is
decided by `places`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

import numpy as np

from tvmsr.errors import WorkError
from tvmsr.graph.model import INPUT, GatherAttrs, ShuffleAttrs
from tvmsr.lower.draft import (
    NO_VALUE,
    Alone,
    Draft,
    Factor,
    Group,
    Joined,
    Made,
    Origin,
    Requant,
    Span,
    Sum,
    Tensor,
    Term,
    Value,
    code_bounds,
    one_picture,
    unity,
)
from tvmsr.lower.sizes import Size, is_one_pixel, sizes_of
from tvmsr.lower.spatial import why_not
from tvmsr.quant.integer import TERM_LIMIT, Code, IntegerGraph, IntegerNode


def run(draft: Draft) -> None:
    """Fill draft.groups and draft.tensors."""
    draft.tensors[INPUT] = one_picture(draft.graph)
    walk = Walk(draft)
    unknown = draft.apart - {node.name for node in walk.nodes if node.op == "requantize"}
    if unknown:
        raise WorkError(f"{min(unknown)!r} cannot be a pass of its own: it is no requantization of the network")
    for node in walk.nodes:
        LOWERING[node.op](walk, node)
    if walk.terms:
        unread = next(iter(walk.terms.values()))
        raise not_yet(unread, "no add reads its term")


def not_yet(node: IntegerNode, why: str) -> WorkError:
    return WorkError(f"{node.op} {node.name!r} cannot be compiled yet: {why}")


class Walk:
    """State of the walk: the draft, the terms no add has read yet, the repeats that only adds read."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.nodes = _read_nodes(draft.graph)
        self.sizes = sizes_of(draft.graph)
        self.terms: dict[str, IntegerNode] = {}
        self.repeats: dict[str, Span] = {}

    def tensor(self, name: str, reader: IntegerNode) -> Tensor:
        """A stored operand of `reader`."""
        if name in self.terms:
            raise not_yet(self.terms[name], f"its term is read by {reader.op} {reader.name!r} instead of an add")
        return self.draft.tensors[name]

    def whole(self, name: str, reader: IntegerNode) -> Span:
        return Span(name, 0, self.tensor(name, reader).channels)

    def size(self, name: str) -> Size:
        return self.sizes[name]

    def define(self, node: IntegerNode, origin: Origin) -> None:
        """The tensor of a node."""
        code = cast(Code, node.output)
        self.draft.tensors[node.name] = Tensor(node.name, code, node.channels, self.size(node.name), origin)

    def group(self, group: Group, node: IntegerNode) -> None:
        """A new group whose value is the tensor of `node`."""
        self.draft.groups.append(group)
        self.define(node, Made(group.name, 0, group.channels))

    def stands_for_all(self, name: str, node: IntegerNode) -> bool:
        """True for a 1x1 map that is an operand of something larger."""
        return is_one_pixel(self.size(name)) and not is_one_pixel(self.size(node.name))

    def made(self, name: str) -> Made | None:
        """How a group can store this tensor directly, if one can."""
        return made(self.draft, name)

    def readers(self, name: str) -> list[IntegerNode]:
        return [node for node in self.nodes if name in node.reads]


def _read_nodes(graph: IntegerGraph) -> list[IntegerNode]:
    """Those that the output depends on: of some, only the size counts (IntegerNode.reads)."""
    wanted, found = {graph.output}, []
    for node in reversed(graph.nodes):
        if node.name in wanted:
            found.append(node)
            wanted.update(node.reads)
    return found[::-1]


def made(draft: Draft, name: str) -> Made | None:
    """How a group can store this tensor directly: through slices, but not through slices of a shuffled tensor."""
    origin = draft.tensors[name].origin
    if isinstance(origin, Made):
        return origin
    if not isinstance(origin, Span):
        return None
    return made_part(draft, origin)


def made_part(draft: Draft, span: Span) -> Made | None:
    """How a group can store these channels of a tensor directly, if one can."""
    whole = made(draft, span.of)
    if whole is None or (span.first, span.channels) == (0, draft.tensors[span.of].channels):
        return whole
    if whole.block > 1:
        return None
    requant = whole.requant and whole.requant.part(span.first, span.channels)
    return Made(whole.group, whole.first + span.first, span.channels, 1, requant)


def _conv(walk: Walk, node: IntegerNode) -> None:
    if node.output.__class__ is not Code:
        walk.terms[node.name] = node
        return
    walk.group(_conv_group(walk, node), node)


def _conv_group(walk: Walk, node: IntegerNode) -> Group:
    """The group of a convolution alone; an add that takes its term changes `code`, `sum` and `nodes`."""
    x, p = walk.tensor(node.inputs[0], node), node.params
    table = p.get("table")
    code = node.output if isinstance(node.output, Code) else x.code
    value = Value(p["m"], p["lo"], p["hi"], node.table_zero if table is not None else code.zero, p.get("m_neg"), table)
    return Group(
        name=node.name,
        x=walk.whole(x.name, node),
        x_code=x.code,
        channels=node.channels,
        size=walk.size(node.name),
        code=code,
        value=value,
        nodes=(node.name,),
        conv=node,
    )


def _add(walk: Walk, node: IntegerNode) -> None:
    """The term of a convolution is the source; without one, the first operand is loaded."""
    terms = [name for name in node.inputs if name in walk.terms]
    if len(terms) > 1:
        raise not_yet(node, f"it adds the terms of two convolutions: {', '.join(terms)}")
    source = terms[0] if terms else _loaded(walk, node)
    index = node.inputs.index(source)
    code = cast(Code, node.output)
    p = node.params
    rest = tuple(_term(walk, node, i) for i in range(len(node.inputs)) if i != index)
    total = Sum(rest, node.fraction, p["lo"], p["hi"], code.zero)
    if terms:
        conv = walk.terms.pop(source)
        base = _conv_group(walk, conv)
        group = Group(
            **{**vars(base), "code": code, "sum": total, "nodes": (*base.nodes, node.name)},
        )
    else:
        limit = np.full(node.channels, TERM_LIMIT, np.float32)
        value = Value(p[f"m{index}"], -limit, limit, 0)
        span = walk.repeats.get(source) or walk.whole(source, node)
        group = _load(walk, node, span, value, picks=_repeat(span.channels, node.channels), total=total)
    walk.group(group, node)


def _loaded(walk: Walk, node: IntegerNode) -> str:
    """The operand that a sum without a convolution begins with: as large as the sum, and not a repeat if possible."""
    whole = [name for name in node.inputs if not walk.stands_for_all(name, node)]
    return next((name for name in whole if name not in walk.repeats), whole[0])


def _repeat(modulo: int, channels: int) -> tuple[int, ...]:
    return () if modulo == channels else tuple(c % modulo for c in range(channels))


def _term(walk: Walk, node: IntegerNode, index: int) -> Term:
    """A stored operand of an add, through the gather that repeats it, if any."""
    name, m = node.inputs[index], node.params[f"m{index}"]
    span = walk.repeats.get(name) or walk.whole(name, node)
    modulo = 0 if span.channels == node.channels else span.channels
    return Term(span, walk.draft.tensors[span.of].code, m, modulo, walk.stands_for_all(name, node))


def _load(
    walk: Walk,
    node: IntegerNode,
    x: Span,
    value: Value,
    *,
    picks: tuple[int, ...] = (),
    total: Sum | None = None,
    channels: int | None = None,
) -> Group:
    """A pointwise group that makes the tensor of a node."""
    source = walk.draft.tensors[x.of]
    code = cast(Code, node.output)
    return Group(
        name=node.name,
        x=x,
        x_code=source.code,
        channels=node.channels if channels is None else channels,
        size=source.size,
        code=code,
        value=value,
        nodes=(node.name,),
        picks=picks,
        sum=total,
    )


def _requantize(walk: Walk, node: IntegerNode) -> None:
    """The end of the group that made its operand, where that serves; else a further store of it, or a pass."""
    operand, p, code = walk.tensor(node.inputs[0], node), node.params, cast(Code, node.output)
    value = Value(p["m0"], p["lo"], p["hi"], code.zero, p.get("m_neg0"))
    if node.name in walk.draft.apart:
        walk.group(_load(walk, node, walk.whole(operand.name, node), value), node)
        return
    maker = _maker_of_nothing_else(walk, operand.name)
    if maker is not None and maker.post is None and maker.value.table is None and _is_value(walk, node):
        walk.draft.update(maker.name, post=value, code=code)
        _also_computes(walk, maker.name, node)
        walk.define(node, Made(maker.name, 0, maker.channels))
        return
    origin = walk.made(operand.name)
    if "m_neg0" not in p and origin is not None and origin.requant is None:
        requant = Requant(p["m0"], p["lo"], p["hi"], code.zero).repeated(origin.block**2)
        walk.define(node, Made(origin.group, origin.first, origin.channels, origin.block, requant))
        _also_computes(walk, origin.group, node)
        return
    walk.group(_load(walk, node, walk.whole(operand.name, node), value), node)


def _is_value(walk: Walk, node: IntegerNode) -> bool:
    """Whether a requantization has to be its group's value: no store does what it does, or what its readers do."""
    return "m_neg0" in node.params or any(reader.op in ("requantize", "table") for reader in walk.readers(node.name))


def _also_computes(walk: Walk, name: str, node: IntegerNode) -> None:
    walk.draft.update(name, nodes=(*walk.draft.group(name).nodes, node.name))


def _table(walk: Walk, node: IntegerNode) -> None:
    """The end of the group that made its operand, where nobody else reads that; else a pass of its own.

    A pass looks codes up: the index is the code itself, so its zero point counts as 0.
    """
    operand, table = walk.tensor(node.inputs[0], node), node.params["table"]
    maker = _maker_of_nothing_else(walk, operand.name)
    if maker is not None and maker.value.table is None:
        value = replace(maker.value, table=table, zero=operand.code.zero)
        walk.draft.update(maker.name, value=value, code=cast(Code, node.output))
        _also_computes(walk, maker.name, node)
        walk.define(node, Made(maker.name, 0, maker.channels))
        return
    top = np.full(node.channels, len(table) - 1, np.float32)
    value = Value(unity(node.channels), np.zeros_like(top), top, 0, table=table)
    group = _load(walk, node, walk.whole(operand.name, node), value)
    walk.group(Group(**{**vars(group), "x_code": _without_zero(operand.code)}), node)


def _maker_of_nothing_else(walk: Walk, name: str) -> Group | None:
    """The group whose value a tensor is, if one node reads that and nothing else is stored of the group."""
    origin, draft = walk.made(name), walk.draft
    if origin is None or origin.requant is not None or origin.block > 1:
        return None
    made_too = [t.name for t in draft.tensors.values() if isinstance(t.origin, Made) and t.origin.group == origin.group]
    whole = origin.channels == draft.group(origin.group).channels
    alone = whole and made_too == [name] and len(walk.readers(name)) == 1 and name != draft.graph.output
    return draft.group(origin.group) if alone else None


def _without_zero(code: Code) -> Code:
    return Code(code.bits, code.scale, 0, code.equal)


def _concat(walk: Walk, node: IntegerNode) -> None:
    parts = tuple(walk.whole(name, node) for name in node.inputs)
    code, p, at = cast(Code, node.output), node.params, 0
    requants = []
    for i, part in enumerate(parts):
        cut = slice(at, at + part.channels)
        requants.append(Requant(p[f"m{i}"], p["lo"][cut], p["hi"][cut], code.zero))
        at += part.channels
    walk.define(node, Joined(parts, tuple(requants)))


def _gather(walk: Walk, node: IntegerNode) -> None:
    """A slice is a view; a repeat that only adds read is theirs; anything else is a pass."""
    operand, picks = walk.tensor(node.inputs[0], node), cast(GatherAttrs, node.attrs).channels
    readers = walk.readers(node.name)
    if picks == tuple(range(picks[0], picks[0] + len(picks))):
        walk.define(node, Span(operand.name, picks[0], len(picks)))
    elif picks == _repeat(operand.channels, len(picks)) and readers and all(r.op == "add" for r in readers):
        walk.repeats[node.name] = walk.whole(operand.name, node)
        if node.name == walk.draft.graph.output:
            raise not_yet(node, "it is both added and the output")
    else:
        value = copy_value(operand.code, len(picks))
        walk.group(_load(walk, node, walk.whole(operand.name, node), value, picks=picks), node)


def copy_value(code: Code, channels: int) -> Value:
    """A value that is the code that was read."""
    lo, hi = code_bounds(code, channels)
    return Value(unity(channels), lo, hi, code.zero)


def _depth_to_space(walk: Walk, node: IntegerNode) -> None:
    """A store of the group that made its operand; a pass where none can store it so."""
    operand, block = walk.tensor(node.inputs[0], node), cast(ShuffleAttrs, node.attrs).block
    origin = walk.made(operand.name)
    if origin is None or origin.block > 1:
        whole = walk.whole(operand.name, node)
        group = _load(walk, node, whole, copy_value(operand.code, operand.channels), channels=operand.channels)
        walk.draft.groups.append(group)
        origin = Made(group.name, 0, group.channels)
    else:
        _also_computes(walk, origin.group, node)
    shuffled = Made(origin.group, origin.first, node.channels, block, origin.requant)
    walk.define(node, shuffled)


def _mul(walk: Walk, node: IntegerNode) -> None:
    """A pass: the product of two stored tensors. What reads it can be a store of it."""
    x, factor = (walk.whole(name, node) for name in node.inputs)
    code, p = cast(Code, node.output), node.params
    group = _load(walk, node, x, Value(p["m"], p["lo"], p["hi"], code.zero))
    broadcast = walk.stands_for_all(factor.of, node)
    walk.group(replace(group, times=Factor(factor, walk.draft.tensors[factor.of].code, broadcast)), node)


def _spatial(walk: Walk, node: IntegerNode) -> None:
    """A step of the driver's own. What reads it is another step: it has one store, and no epilogue."""
    x = walk.tensor(node.inputs[0], node)
    problem = why_not(node, x.code)
    if problem:
        raise not_yet(node, problem)
    group = Group(
        name=node.name,
        x=walk.whole(x.name, node),
        x_code=x.code,
        channels=node.channels,
        size=walk.size(node.name),
        code=cast(Code, node.output),
        value=NO_VALUE,
        nodes=(node.name,),
        spatial=node,
    )
    walk.draft.groups.append(group)
    walk.define(node, Alone(group.name))


#: Lowering of each integer operation: one function a row of the table of operations.
LOWERING: Mapping[str, Callable[[Walk, IntegerNode], None]] = MappingProxyType(
    {
        "conv": _conv,
        "add": _add,
        "mul": _mul,
        "concat": _concat,
        "gather": _gather,
        "depth_to_space": _depth_to_space,
        "requantize": _requantize,
        "table": _table,
        "max_pool": _spatial,
        "resize": _spatial,
        "statistic": _spatial,
        "layer_norm": _spatial,
    }
)
