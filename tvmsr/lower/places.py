"""Phase 2, places: what is stored, and where.

Goes by demand: a tensor that a group reads gets a place, and the group that makes it a store. An operand of a concat
whose codes the concat keeps lives in the concat's place, and its other readers read it there; other operands are
further stores into it, requantized; what no group can store is copied by a pass. Spans name places afterwards.
"""

from __future__ import annotations

from dataclasses import replace

from tvmsr.errors import WorkError
from tvmsr.lower.draft import Alone, Draft, Group, Joined, Made, Place, Requant, Span, Tensor, Value, Write
from tvmsr.lower.group import copy_value, made, made_part
from tvmsr.lower.sizes import Size
from tvmsr.quant.integer import Code


def run(draft: Draft) -> None:
    """Give every group its stores, and its operands places."""
    placing = _Placing(draft)
    placing.alias_operands()
    for name in [group.name for group in draft.groups]:
        draft.update(name, **draft.group(name).reading(placing.stored))
    placing.output()
    # What nobody reads is not computed. Values come before what is requantized from them.
    draft.groups = [
        replace(group, writes=tuple(sorted(group.writes, key=lambda write: write.requant is not None)))
        for group in draft.groups
        if group.writes
    ]


class _Placing:
    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.alias: dict[str, Span] = {}  # tensor -> its channels of the concat that holds it
        self.done: set[str] = set()

    def alias_operands(self) -> None:
        """Let operands of concats live in the concat where it keeps their codes. The first concat of each wins."""
        for joined in self.draft.tensors.values():
            if not isinstance(joined.origin, Joined):
                continue
            at = 0
            for part, requant in zip(joined.origin.parts, joined.origin.requants, strict=True):
                if self._may_live_in(joined, part, requant):
                    self.alias[part.of] = Span(joined.name, at, part.channels)
                at += part.channels

    def _may_live_in(self, joined: Tensor, part: Span, requant: Requant) -> bool:
        tensor = self.draft.tensors[part.of]
        if part.of in self.alias or part.of == self.draft.graph.output:
            return False
        # Readers know codes by their bits; a wider concat would be read as wider.
        same_bits = tensor.code.bits == joined.code.bits
        return isinstance(tensor.origin, Made | Alone | Joined) and same_bits and requant.keeps(tensor.code)

    def stored(self, span: Span) -> Span:
        """Where the channels of a tensor lie; they are stored there from now on."""
        self._store(span.of)
        return self.where(span.of).part(span.first, span.channels)

    def where(self, name: str) -> Span:
        """The place of a tensor."""
        tensor = self.draft.tensors[name]
        if name in self.alias:
            span = self.alias[name]
            return self.where(span.of).part(span.first, span.channels)
        if isinstance(tensor.origin, Span):
            return self.where(tensor.origin.of).part(tensor.origin.first, tensor.origin.channels)
        if name not in self.draft.places:
            self.draft.places[name] = Place(name, tensor.code, tensor.channels, tensor.size)
        return Span(name, 0, tensor.channels)

    def _store(self, name: str) -> None:
        """Make sure that a tensor is stored where `where` says."""
        if name in self.done:
            return
        self.done.add(name)
        origin = self.draft.tensors[name].origin
        if isinstance(origin, Span):
            self._store(origin.of)
        elif isinstance(origin, Made):
            self._write(origin, self.where(name), name)
        elif isinstance(origin, Alone):
            to = self.where(name)
            self.draft.add_write(origin.group, Write(to.of, to.first, 0, to.channels, name, 0))
        elif isinstance(origin, Joined):
            at, place = 0, self.where(name)
            for part, requant in zip(origin.parts, origin.requants, strict=True):
                self._join(Span(name, at, part.channels), part, requant, place.part(at, part.channels))
                at += part.channels

    def _write(self, origin: Made, to: Span, tensor: str, first: int = 0) -> None:
        """Store channels of `tensor`, from `first` on."""
        write = Write(to.of, to.first, origin.first, origin.channels, tensor, first, origin.block, origin.requant)
        self.draft.add_write(origin.group, write)

    def _join(self, joined: Span, part: Span, requant: Requant, to: Span) -> None:
        """Store one operand of a concat, its channels `joined`, in its slice."""
        if self.alias.get(part.of) and self.where(part.of) == to:
            self._store(part.of)
            return
        origin, keeps = made_part(self.draft, part), requant.keeps(self.draft.tensors[part.of].code)
        if origin is not None and (keeps or origin.requant is None):
            if not keeps:
                origin = replace(origin, requant=requant.repeated(origin.block**2))
            self._write(origin, to, joined.of, joined.first)
            return
        self._copy(joined, part, requant, to)

    def _copy(self, joined: Span, part: Span, requant: Requant, to: Span) -> None:
        """A pass that requantizes an operand into its slice."""
        source, tensor = self.stored(part), self.draft.tensors[part.of]
        group = Group(
            name=self.draft.unused(f"{joined.of}.{part.of}"),
            x=source,
            x_code=tensor.code,
            channels=part.channels,
            size=tensor.size,
            code=self.draft.tensors[joined.of].code,
            value=Value(requant.m, requant.lo, requant.hi, requant.zero),
            nodes=(joined.of,),
            writes=(Write(to.of, to.first, 0, part.channels, joined.of, joined.first),),
        )
        self.draft.insert_after_writers(source.of, group)

    def output(self) -> None:
        """The output has a place of its own, named as it is: the driver reads it whole."""
        name = self.draft.graph.output
        tensor = self.draft.tensors[name]
        if tensor.code.bits > 8:
            raise WorkError(f"the output {name!r} has {tensor.code.bits} bits; a picture has 8")
        if tensor.origin is None:
            raise WorkError("the network computes nothing: its output is the picture itself")
        if not isinstance(tensor.origin, Span):
            self.stored(Span(name, 0, tensor.channels))
            return
        # A slice is a view for its other readers (see `where`); the output is a copy of it.
        self.draft.places[name] = Place(name, tensor.code, tensor.channels, tensor.size)
        origin = made(self.draft, name)
        if origin is not None:
            self._write(origin, Span(name, 0, tensor.channels), name)
            return
        source = self.stored(Span(name, 0, tensor.channels))
        copy = copy_group(self.draft.unused(f"{name}.copy"), source, tensor.code, tensor.size, name, name)
        self.draft.groups.append(copy)


def copy_group(name: str, source: Span, code: Code, size: Size, to: str, tensor: str) -> Group:
    """A pass that copies a tensor to a place of its own."""
    return Group(
        name=name,
        x=source,
        x_code=code,
        channels=source.channels,
        size=size,
        code=code,
        value=copy_value(code, source.channels),
        nodes=(),
        writes=(Write(to, 0, 0, source.channels, tensor, 0),),
    )
