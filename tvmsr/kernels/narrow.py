"""Registers of stored elements, made of vectors of int32, and put into the order in which memory wants them.

A *register* holds the elements of neighbouring vectors of a tile. Where the isa packs, 128 bits of one vector and of
the next alternate in it: the registers stay as they are packed, and one permutation of 32-bit words brings them into
the order of memory at once, whatever that order is. A *slot* is the sixteen bytes that such a permutation fills: from
any four words of registers, in any order of their elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, concat
from tvmsr.kernels.isa import Isa

_SLOT, _WORD = 16, 4  # bytes
_WORDS = _SLOT // _WORD


@dataclass(frozen=True)
class Packing:
    """Where elements lie in registers.

    size: bytes of an element; packs: 128 bits of the vectors alternate; reach: registers that one permutation of bytes
    reads, where nothing is packed.
    """

    lanes: int
    size: int
    packs: bool
    reach: int = 1

    @property
    def vectors(self) -> int:
        """Vectors of int32 that make a register."""
        return _WORD // self.size if self.packs else max(1, _SLOT // self.size // self.lanes)

    @property
    def elements(self) -> int:
        """Of a register."""
        return self.vectors * self.lanes

    @property
    def slot(self) -> int:
        """Elements of a slot."""
        return _SLOT // self.size

    @property
    def slots(self) -> int:
        """Slots of a register."""
        return self.elements // self.slot

    def place(self, vector: int, lane: int) -> tuple[int, int]:
        """Register and element of a lane of a vector, both counted through the tile."""
        register, k = divmod(vector, self.vectors)
        if not self.packs:
            return register, k * self.lanes + lane
        quarter, at = divmod(lane, _WORDS)
        return register, (quarter * self.vectors + k) * _WORDS + at

    def fits(self, places: Iterable[tuple[int, int]]) -> bool:
        """Whether one permutation brings these elements into a slot."""
        if not self.packs:
            return len({register for register, _ in places}) <= self.reach
        return len({self._word(place) for place in places}) <= _WORDS

    def _word(self, place: tuple[int, int]) -> tuple[int, int]:
        return place[0], place[1] // (_WORD // self.size)


def packing_of(isa: Isa, size: int) -> Packing:
    """How an isa packs elements of `size` bytes."""
    return Packing(isa.lanes, size, isa.packs is not None, isa.reach)


#: A slot's elements: where each lies, None where anything may lie.
Slot = Sequence[tuple[int, int] | None]


def pack(isa: Isa, dtype: str, vectors: Sequence[Expr], zero: Expr) -> Expr:
    """A register: vectors of int32, plus `zero`, as elements of `dtype`.

    Where the isa packs, sums beyond the type saturate (int32 near their end must not come with 16-bit elements);
    elsewhere they are taken modulo its size.
    """
    packing = packing_of(isa, 1 if dtype.endswith("8") else 2)
    given = [*vectors, *[vectors[-1]] * (packing.vectors - len(vectors))]
    if isa.packs is None:
        whole = T.cast(concat(given, isa.lanes, packing.elements), f"{dtype}x{packing.elements}")
        return T.bind(whole + T.broadcast(T.cast(zero, dtype), packing.elements))
    packed: Callable[[str, Expr, Expr], Expr] = lambda kind, a, b: T.call_llvm_pure_intrin(  # noqa: E731
        f"{kind}x{128 * isa.lanes // 4 // int(kind.lstrip('uint'))}", getattr(isa.packs, kind), a, b
    )
    if packing.size == 2:
        return T.bind(packed(dtype, *(v + T.broadcast(zero, isa.lanes) for v in given)))
    words = 2 * isa.lanes
    added = T.broadcast(T.cast(zero, "int16"), words)
    halves = [T.bind(packed("int16", *given[k : k + 2])) for k in range(0, 2 * -(-len(vectors) // 2), 2)]
    sums = [T.bind(T.call_llvm_pure_intrin(f"int16x{words}", f"llvm.sadd.sat.v{words}i16", h, added)) for h in halves]
    return T.bind(packed(dtype, sums[0], sums[-1]))


@dataclass(frozen=True)
class Arrangement:
    """How a register of slots is made: which words it collects, and where their elements then go within each slot.

    The two are apart for what is done between them: LLVM would else look for other ways to do both at once, and the
    ways that it finds take more instructions.
    """

    packing: Packing
    dtype: str
    words: tuple[tuple[int, int] | None, ...]  # (register, word)
    elements: tuple[int, ...]

    def collect(self, registers: Sequence[Expr]) -> Expr:
        """The words that the slots are made of, as elements."""
        if not self.packing.packs:
            return _shuffled(registers, self.words, self.packing.elements)
        count = self.packing.slots * _WORDS
        wide = [T.reinterpret(f"int32x{count}", r) for r in registers]
        return T.reinterpret(f"{self.dtype}x{self.packing.elements}", _shuffled(wide, self.words, count))

    def order(self, collected: Expr) -> Expr:
        """The slots."""
        same = self.elements == tuple(range(self.packing.elements))
        return collected if same else tirx.Shuffle([collected], list(self.elements))


def arrangement(packing: Packing, dtype: str, slots: Sequence[Slot]) -> Arrangement:
    """How a register of the given slots, or of fewer than it has room for, is made."""
    if not packing.packs:
        return Arrangement(packing, dtype, tuple(slots[0]), tuple(range(packing.elements)))
    per = _WORD // packing.size
    words: list[tuple[int, int] | None] = []
    elements: list[int] = []
    for slot in slots:
        found = _aligned(slot, per) or _collected(slot, per)
        elements += [per * len(words) + e for e in found[1]]
        words += found[0]
    words += [None] * (packing.slots * _WORDS - len(words))
    elements += range(len(elements), packing.elements)
    return Arrangement(packing, dtype, tuple(words), tuple(elements))


def _aligned(slot: Slot, per: int) -> tuple[list[tuple[int, int] | None], list[int]] | None:
    """(words, elements) of a slot whose words come whole, each at its place; None where they do not."""
    words: list[tuple[int, int] | None] = []
    for first in range(0, len(slot), per):
        found = {(s[0], s[1] - k) for k, s in enumerate(slot[first : first + per]) if s is not None}
        if len(found) > 1 or any(element % per for _, element in found):
            return None
        words.append(next(((register, element // per) for register, element in found), None))
    return words, list(range(len(slot)))


def _collected(slot: Slot, per: int) -> tuple[list[tuple[int, int] | None], list[int]]:
    """(words, elements) of any slot: its words in the order of their first use, and which element goes where."""
    words: list[tuple[int, int] | None] = []
    elements: list[int] = []
    for k, source in enumerate(slot):
        if source is None:
            elements.append(k)
            continue
        word = (source[0], source[1] // per)
        if word not in words:
            words.append(word)
        elements.append(words.index(word) * per + source[1] % per)
    return words + [None] * (_WORDS - len(words)), elements


def _shuffled(vectors: Sequence[Expr], places: Sequence[tuple[int, int] | None], lanes: int) -> Expr:
    """Lanes of vectors of `lanes`; where there is no place, whatever costs least."""
    used = sorted({p[0] for p in places if p is not None})
    picks = [k if p is None else used.index(p[0]) * lanes + p[1] for k, p in enumerate(places)]
    picks += range(len(picks), lanes)
    if picks == list(range(lanes)):
        return vectors[used[0]]
    return tirx.Shuffle([vectors[r] for r in used], picks)
