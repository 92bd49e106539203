"""How a tile's sums of products are held and added to: one class a kind of primitive, and conv.py asks no further.

A tile is `pixels` x `vectors` sums. One *load* of a pixel brings the inputs of up to `span` steps into a register; a
step adds the products of one group of inputs (`Primitive.group`) with `vectors` vectors of weights, which lie in
memory as [step][half][vector][lane][depth].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, Tensor, concat, ramp
from tvmsr.kernels.isa import Isa, Kind, Primitive

_REGISTER = 16  # bytes of an ARM vector register


@dataclass(frozen=True)
class Inputs:
    """Where a tile's inputs lie: pixel p of the tile begins at element `index` + p * pitch of x."""

    x: Tensor
    index: Expr
    pitch: int


@dataclass(frozen=True)
class Weights:
    """Packed weights of the steps at hand, from element `index` on."""

    data: Expr
    index: Expr

    def load(self, at: int, count: int) -> Expr:
        return self.data[ramp(self.index + at, count)]


class Sums(ABC):
    """The sums of one tile."""

    def __init__(self, isa: Isa, primitive: Primitive, pixels: int, vectors: int, stored_vectors: int) -> None:
        """stored_vectors: of a block in memory; the last block of a layer may compute fewer."""
        self.lanes, self.primitive = isa.lanes, primitive
        self.pixels, self.vectors = pixels, vectors
        self.vector_size = isa.lanes * primitive.depth  # weights that one issue takes
        self.step_size = primitive.halves * stored_vectors * self.vector_size

    @property
    def span(self) -> int:
        """Steps that one load of a pixel serves."""
        return self.primitive.span

    @abstractmethod
    def start(self, first: Sequence[Expr]) -> None:
        """Set every pixel's sums to `first`, one vector of int32 for each vector of channels."""

    @abstractmethod
    def add(self, inputs: Inputs, weights: Weights, steps: int) -> None:
        """Add the products of `steps` (at most `span`) steps."""

    @abstractmethod
    def values(self) -> list[list[Expr]]:
        """The sums: [pixel][vector] of int32."""


class _PerPixel(Sums):
    """One register a pixel and a vector of channels."""

    def __init__(self, isa: Isa, primitive: Primitive, pixels: int, vectors: int, stored_vectors: int) -> None:
        super().__init__(isa, primitive, pixels, vectors, stored_vectors)
        self._acc = [[_register(self.lanes) for _ in range(vectors)] for _ in range(pixels)]

    def start(self, first: Sequence[Expr]) -> None:
        for n, value in enumerate(first):
            for line in self._acc:
                T.buffer_store(line[n], value, [ramp(0, self.lanes)])

    def values(self) -> list[list[Expr]]:
        return [[a[ramp(0, self.lanes)] for a in line] for line in self._acc]

    def _update(self, p: int, n: int, change: Callable[[Expr], Expr]) -> None:
        a = self._acc[p][n]
        T.buffer_store(a, change(a[ramp(0, self.lanes)]), [ramp(0, self.lanes)])


class Broadcast(_PerPixel):
    """One group of inputs at a time is broadcast to all lanes: x86, and plain TIR."""

    def add(self, inputs: Inputs, weights: Weights, steps: int) -> None:
        del steps  # always one
        for p in range(self.pixels):
            halves = broadcast_inputs(self.primitive, self.lanes, inputs.x, inputs.index + p * inputs.pitch)
            for half, x in enumerate(halves):
                for n in range(self.vectors):
                    at = half * (self.step_size // self.primitive.halves) + n * self.vector_size
                    self._issue(p, n, x, weights.load(at, self.vector_size))

    def _issue(self, p: int, n: int, x: Expr, w: Expr) -> None:
        self._update(p, n, lambda acc: add_products(self.primitive, self.lanes, acc, x, w))


class ByElement(_PerPixel):
    """A register holds inputs of each pixel, and an issue takes element i of it: sdot, smlal by element.

    One vector of weights at a time passes by all pixels: sums, pixels and that one vector fill the registers.
    """

    def add(self, inputs: Inputs, weights: Weights, steps: int) -> None:
        rows = _load_pixels(inputs, self.pixels, self.primitive)
        for step in range(steps):
            for n, w in self._weights(weights, step):
                for p, row in enumerate(rows):
                    self._issue(p, n, w, row, step)

    def _weights(self, weights: Weights, step: int) -> list[tuple[int, Expr]]:
        size, base = self.vector_size, step * self.step_size
        if size * self.primitive.weight_bytes == _REGISTER:
            return [(n, T.bind(weights.load(base + n * size, size))) for n in range(self.vectors)]
        return _pairs_of_vectors(weights, base, size, self.vectors)

    def _issue(self, p: int, n: int, w: Expr, row: Expr, step: int) -> None:
        prim, i32 = self.primitive, f"int32x{self.lanes}"
        if prim.fused:
            words = T.reinterpret(f"int32x{_REGISTER // 4}", row)
            x = T.reinterpret(f"int8x{_REGISTER}", tirx.Shuffle([words], [step] * 4))
            self._update(p, n, lambda acc: T.call_llvm_pure_intrin(i32, prim.fused, acc, w, x))
        else:
            x = tirx.Shuffle([row], [step] * self.lanes)
            self._update(p, n, lambda acc: acc + T.call_llvm_pure_intrin(i32, prim.pairs, w, x))


class Chain(_PerPixel):
    """NEON without dot products: two products of bytes fit 16 bits, neighbours are then added into 32.

    |x| <= 128 and |w| <= 127, so two products are at most 2 * 128 * 127 = 32512 < 2**15. A step is a pair of inputs,
    copied to all lanes; lane 2c + d of the 16-bit sums holds channel c and input d of both steps of a chain.
    """

    def add(self, inputs: Inputs, weights: Weights, steps: int) -> None:
        rows = _load_pixels(inputs, self.pixels, self.primitive)
        for first in range(0, steps, 2):
            chain = range(first, min(first + 2, steps))
            vectors = [_pairs_of_vectors(weights, s * self.step_size, self.vector_size, self.vectors) for s in chain]
            for p, row in enumerate(rows):
                pairs = T.reinterpret(f"int16x{_REGISTER // 2}", row)
                xs = [self._copied(pairs, s) for s in chain]
                for n in range(self.vectors):
                    self._issue(p, n, [w[n][1] for w in vectors], xs)

    def _copied(self, pairs: Expr, step: int) -> Expr:
        return T.bind(T.reinterpret(f"int8x{2 * self.lanes}", tirx.Shuffle([pairs], [step] * self.lanes)))

    def _issue(self, p: int, n: int, ws: Sequence[Expr], xs: Sequence[Expr]) -> None:
        prim, i16 = self.primitive, f"int16x{2 * self.lanes}"
        products = [T.call_llvm_pure_intrin(i16, prim.pairs, w, x) for w, x in zip(ws, xs, strict=True)]
        total = products[0] if len(products) == 1 else products[0] + products[1]
        i32 = f"int32x{self.lanes}"
        if prim.fused:
            self._update(p, n, lambda acc: T.call_llvm_pure_intrin(i32, prim.fused, acc, total))
        else:
            self._update(p, n, lambda acc: acc + T.call_llvm_pure_intrin(i32, prim.widen, total))


class Matrix(Sums):
    """smmla: two pixels by two channels by eight inputs.

    acc[pair of pixels][vector][half of the vector's channels] = (p0 c0, p0 c1, p1 c0, p1 c1). A register of inputs
    holds eight of one pixel, then eight of the next. An odd last pixel, or a tile of one, is computed twice.
    """

    def __init__(self, isa: Isa, primitive: Primitive, pixels: int, vectors: int, stored_vectors: int) -> None:
        super().__init__(isa, primitive, pixels, vectors, stored_vectors)
        self._pairs = -(-pixels // 2)
        self._acc = [[[_register(4) for _ in range(2)] for _ in range(vectors)] for _ in range(self._pairs)]

    def start(self, first: Sequence[Expr]) -> None:
        for n, value in enumerate(first):
            for half in range(2):
                both = tirx.Shuffle([value], [2 * half, 2 * half + 1] * 2)
                for line in self._acc:
                    T.buffer_store(line[n][half], both, [ramp(0, 4)])

    def add(self, inputs: Inputs, weights: Weights, steps: int) -> None:
        rows = [T.reinterpret("int64x2", row) for row in _load_pixels(inputs, self.pixels, self.primitive)]
        for step in range(steps):
            blocks = [
                T.bind(T.reinterpret("int8x16", tirx.Shuffle([rows[2 * k], rows[min(2 * k + 1, self.pixels - 1)]],
                                                             [step, 2 + step])))
                for k in range(self._pairs)
            ]  # fmt: skip
            for n in range(self.vectors):
                for half in range(2):
                    w = T.bind(weights.load(step * self.step_size + n * self.vector_size + half * _REGISTER, _REGISTER))
                    for k, block in enumerate(blocks):
                        self._issue(self._acc[k][n][half], block, w)

    def _issue(self, acc: Expr, block: Expr, w: Expr) -> None:
        total = T.call_llvm_pure_intrin("int32x4", self.primitive.fused, acc[ramp(0, 4)], block, w)
        T.buffer_store(acc, total, [ramp(0, 4)])

    def values(self) -> list[list[Expr]]:
        def value(p: int, n: int) -> Expr:
            low, high = (T.reinterpret("int64x2", a[ramp(0, 4)]) for a in self._acc[p // 2][n])
            return T.reinterpret("int32x4", tirx.Shuffle([low, high], [p % 2, 2 + p % 2]))

        return [[value(p, n) for n in range(self.vectors)] for p in range(self.pixels)]


_KINDS: dict[Kind, type[Sums]] = {
    Kind.BROADCAST: Broadcast,
    Kind.PLAIN: Broadcast,
    Kind.ELEMENT: ByElement,
    Kind.CHAIN: Chain,
    Kind.MATRIX: Matrix,
}


def open_sums(isa: Isa, primitive: Primitive, pixels: int, vectors: int, stored_vectors: int) -> Sums:
    """Registers for one tile."""
    return _KINDS[primitive.kind](isa, primitive, pixels, vectors, stored_vectors)


def _register(lanes: int) -> Expr:
    # One small buffer for each vector: it becomes a stack slot, and LLVM makes a register of it.
    return T.alloc_buffer((lanes,), "int32", scope="global")


def _load_pixels(inputs: Inputs, pixels: int, primitive: Primitive) -> list[Expr]:
    """The inputs of `span` steps of every pixel; what lies past its own meets no weight, or one of zero."""
    count = primitive.span * primitive.group
    return [T.bind(inputs.x.load(inputs.index + p * inputs.pitch, count)) for p in range(pixels)]


def _pairs_of_vectors(weights: Weights, base: int, size: int, vectors: int) -> list[tuple[int, Expr]]:
    """Vectors of 8 bytes, two in one load; an odd last one by itself."""
    found: list[tuple[int, Expr]] = []
    for n in range(0, vectors - 1, 2):
        both = T.bind(weights.load(base + n * size, 2 * size))
        found += [(n + k, concat([both], 2 * size, size, k * size)) for k in range(2)]
    if vectors % 2:
        found.append((vectors - 1, T.bind(weights.load(base + (vectors - 1) * size, size))))
    return found


def add_products(primitive: Primitive, lanes: int, acc: Expr, x: Expr, weights: Expr) -> Expr:
    """Sum of `acc` and the products of one issue of a broadcasting primitive."""
    i32 = f"int32x{lanes}"
    if primitive.fused:
        return T.call_llvm_pure_intrin(i32, primitive.fused, acc, x, weights)
    if not primitive.pairs:
        return acc + T.cast(x, i32) * T.cast(weights, i32)
    if not primitive.widen:
        return acc + T.call_llvm_pure_intrin(i32, primitive.pairs, x, weights)
    sums = T.call_llvm_pure_intrin(f"int16x{2 * lanes}", primitive.pairs, x, weights)
    ones = T.broadcast(T.int16(1), 2 * lanes)
    return acc + T.call_llvm_pure_intrin(i32, primitive.widen, sums, ones)


def broadcast_inputs(primitive: Primitive, lanes: int, x: Tensor, index: Expr) -> list[Expr]:
    """The inputs of one step at element `index`, broadcast to all lanes: one vector for each half."""
    if primitive.depth == 1:
        # 8-bit and signed 16-bit codes multiply as 16-bit numbers (smlal); 16-bit unsigned ones need 32.
        narrow = "int32" if x.dtype == "uint16" else "int16"
        return [T.bind(T.broadcast(T.cast(x.data[index], narrow), lanes))]
    word = T.broadcast(T.reinterpret("int32", x.load(index, 4 // x.bytes)), lanes)
    if primitive.weight_bytes == 1:
        return [T.bind(T.reinterpret(f"uint8x{4 * lanes}", word))]
    if primitive.halves == 1:
        return [T.bind(T.reinterpret(f"int16x{2 * lanes}", word))]
    wide = T.bind(T.reinterpret(f"uint16x{2 * lanes}", word))
    even = T.bitwise_and(wide, T.broadcast(T.uint16(255), 2 * lanes))
    odd = T.shift_right(wide, T.broadcast(T.uint16(8), 2 * lanes))
    return [T.bind(T.reinterpret(f"int16x{2 * lanes}", half)) for half in (even, odd)]
