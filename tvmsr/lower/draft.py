"""What the passes hand on: groups (steps to be), the tensors they make, and the places that hold tensors.

A *tensor* is a value of the IntegerGraph, named as its node. A *place* is memory: it becomes a Buffer. Several tensors
may share a place (slices, operands of a concat), and one tensor may lie in several (stored twice for two readers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import INPUT, PadMode
from tvmsr.hardware.target import Level
from tvmsr.kernels.spec import Form
from tvmsr.lower.program import Step
from tvmsr.lower.sizes import Size, sizes_of
from tvmsr.quant.integer import Code, IntegerGraph, IntegerNode

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Span:
    """Channels [first, first + channels) of a tensor; of a place once `places` has run."""

    of: str
    first: int
    channels: int

    def part(self, first: int, channels: int) -> Span:
        return Span(self.of, self.first + first, channels)


@dataclass(frozen=True, eq=False)
class Requant:
    """Numbers of a store that requantizes the code of its group, one per channel of the grid that it stores."""

    m: F32
    lo: F32
    hi: F32
    zero: int

    def repeated(self, times: int) -> Requant:
        """For `times` phases of a pixel shuffle, which come one after another."""
        return Requant(np.tile(self.m, times), np.tile(self.lo, times), np.tile(self.hi, times), self.zero)

    def part(self, first: int, channels: int) -> Requant:
        cut = slice(first, first + channels)
        return Requant(self.m[cut], self.lo[cut], self.hi[cut], self.zero)

    def keeps(self, code: Code) -> bool:
        """True where every code of `code` comes out as it went in."""
        top = (1 << code.bits) - 1 - code.zero
        same = bool(np.all(self.m == 1)) and self.zero == code.zero
        return same and bool(np.all(self.lo <= -code.zero) and np.all(self.hi >= top))


@dataclass(frozen=True, eq=False)
class Write:
    """A store of a group: channels [first, first + channels * block**2) of its grid, to channels `at`... of a place.

    They are channels [tensor_first, tensor_first + channels) of `tensor`.
    """

    place: str
    at: int
    first: int
    channels: int
    tensor: str
    tensor_first: int
    block: int = 1
    requant: Requant | None = None


@dataclass(frozen=True, eq=False)
class Value:
    """From the source's int32, or an unfinished code (`Group.post`), to the group's value; names as in integer.py."""

    m: F32
    lo: F32
    hi: F32
    zero: int  # added to the rounded value: of the code, or of the table's index; unused where the value is a term
    m_neg: F32 | None = None
    table: NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class Factor:
    """The second operand of a product. broadcast: a 1x1 map that stands for all pixels."""

    read: Span
    code: Code
    broadcast: bool = False


@dataclass(frozen=True, eq=False)
class Term:
    """A stored operand of a fused add. modulo > 0: output channel c reads channel c % modulo."""

    read: Span
    code: Code
    m: F32
    modulo: int = 0
    broadcast: bool = False


@dataclass(frozen=True, eq=False)
class Sum:
    """A fused add: what its node says, and its stored operands."""

    terms: tuple[Term, ...]
    fraction: int
    lo: F32
    hi: F32
    zero: int


@dataclass(frozen=True, eq=False)
class Group:
    """One step to be: a convolution, a step of the driver's own (`spatial`), or a pointwise pass.

    A pass may pick channels of x or multiply it by `times`. A step of the driver's own has one store, of all it makes.
    """

    name: str
    x: Span
    x_code: Code
    channels: int  # of its grid, before depth to space
    size: Size  # of its grid, before depth to space
    code: Code  # what its value is stored as
    value: Value
    nodes: tuple[str, ...]
    conv: IntegerNode | None = None
    spatial: IntegerNode | None = None
    picks: tuple[int, ...] = ()
    times: Factor | None = None
    sum: Sum | None = None
    post: Value | None = None  # an activation of the code that all this makes; `code` is then what it is stored as
    writes: tuple[Write, ...] = ()

    @property
    def reads(self) -> tuple[Span, ...]:
        """What it reads, in the order in which its kernel takes it."""
        factor = (self.times.read,) if self.times else ()
        return (self.x, *factor, *(term.read for term in (self.sum.terms if self.sum else ())))

    def reading(self, change: Callable[[Span], Span]) -> dict[str, Any]:
        """The fields that say what it reads, with every span changed; `change` is called in the order of `reads`."""
        x, times, total = change(self.x), self.times, self.sum
        if times is not None:
            times = replace(times, read=change(times.read))
        if total is not None:
            total = replace(total, terms=tuple(replace(term, read=change(term.read)) for term in total.terms))
        return {"x": x, "times": times, "sum": total}


@dataclass(frozen=True, eq=False)
class Made:
    """A tensor that a group can store: channels of its grid, perhaps shuffled, perhaps requantized."""

    group: str
    first: int
    channels: int
    block: int = 1
    requant: Requant | None = None


@dataclass(frozen=True)
class Alone:
    """A tensor that a step of the driver's own makes: its one store. Nothing else can be a store of that group."""

    group: str


@dataclass(frozen=True, eq=False)
class Joined:
    """A concatenation: where its operands come from, and how each is requantized."""

    parts: tuple[Span, ...]
    requants: tuple[Requant, ...]


#: A tensor is the picture (None), made by a group, a slice of another tensor, or a concatenation.
Origin = Made | Alone | Span | Joined | None


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph: how its codes are held and where they come from."""

    name: str
    code: Code
    channels: int
    size: Size
    origin: Origin


@dataclass(frozen=True, eq=False)
class Place:
    """Memory of a tensor. `form`, `mode`, `pad`, `border` and `pitch` are set by the later passes."""

    name: str
    code: Code
    channels: int
    size: Size
    form: Form = Form.U8
    mode: PadMode = PadMode.CONSTANT
    pad: NDArray[np.uint16] | None = None
    border: int = 0
    pitch: int = 0


@dataclass
class Draft:
    """All of a level's program while the passes work on it. Groups stay in execution order.

    apart: requantizations of the graph that become passes of their own, whatever could do them on its way.
    """

    graph: IntegerGraph
    level: Level
    apart: frozenset[str] = frozenset()
    tensors: dict[str, Tensor] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def group(self, name: str) -> Group:
        return next(group for group in self.groups if group.name == name)

    def unused(self, stem: str) -> str:
        """A name for a new group or place: `stem`, numbered where something has it already."""
        taken = {*self.tensors, *self.places, *(group.name for group in self.groups)}
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}.{number}"
        return name

    def update(self, name: str, **changes: Any) -> None:
        """Replace fields of a group."""
        self.groups = [replace(g, **changes) if g.name == name else g for g in self.groups]

    def insert_after_writers(self, place: str, group: Group) -> None:
        """Put a group right after the last one that writes to a place; first, where none does (the picture)."""
        last = max((i for i, g in enumerate(self.groups) if any(w.place == place for w in g.writes)), default=-1)
        self.groups.insert(last + 1, group)

    def insert_after(self, name: str, group: Group) -> None:
        """Put a group right after the one of this name."""
        self.groups.insert(self.groups.index(self.group(name)) + 1, group)

    def add_write(self, group: str, write: Write) -> None:
        self.update(group, writes=(*self.group(group).writes, write))

    def __str__(self) -> str:
        """The draft as text, for the debug log."""
        lines = [f"level {self.level.name}"]
        for group in self.groups:
            what = "conv" if group.conv else group.spatial.op if group.spatial else "load"
            factor = f" * {_span(group.times.read)}" if group.times else ""
            terms = "".join(f" + {_span(t.read)}" for t in group.sum.terms) if group.sum else ""
            writes = ", ".join(_write(w) for w in group.writes)
            lines.append(f"  {group.name}: {what} {_span(group.x)}{factor}{terms} -> {writes}")
        for place in self.places.values():
            lines.append(
                f"  place {place.name}: {place.channels} x {place.form.value}, {place.code.bits} bits, pitch"
                f" {place.pitch}, border {place.border} {place.mode.value}, {place.size[0]} x {place.size[1]}"
            )
        return "\n".join(lines)


def one_picture(graph: IntegerGraph) -> Tensor:
    """The input as a tensor."""
    return Tensor(INPUT, graph.input, len(graph.input.equal), sizes_of(graph)[INPUT], None)


#: Of a step of the driver's own: its numbers are in its node.
NO_VALUE = Value(np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32), 0)


def unity(channels: int) -> F32:
    return np.ones(channels, np.float32)


def code_bounds(code: Code, channels: int) -> tuple[F32, F32]:
    """Bounds of a code minus its zero point, as params hold them."""
    lo = np.full(channels, -code.zero, np.float32)
    return lo, np.full(channels, (1 << code.bits) - 1 - code.zero, np.float32)


def _span(span: Span) -> str:
    return f"{span.of}[{span.first}:{span.first + span.channels}]"


def _write(write: Write) -> str:
    how = "requantized " if write.requant else ""
    shuffled = f" shuffled by {write.block}" if write.block > 1 else ""
    return f"{how}{write.place}[{write.at}:{write.at + write.channels}]{shuffled}"
