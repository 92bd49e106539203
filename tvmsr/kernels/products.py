"""How a tile's sums of products are held and added to: one class a kind of primitive, and conv.py asks no further.

A tile is `pixels` x `vectors` sums. One *load* of a pixel brings the inputs of up to `span` steps into a register; a
step adds the products of one group of inputs (`Primitive.group`) with `vectors` vectors of weights, which lie in
memory as [step][half][vector][lane][depth].

Whoever drives the loops opens `with sums.window():` around the steps of each window (tvmsr/kernels/windows.py); that
does nothing for primitives that sum in 32 bits. `in_windows` is such a loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tvm import tirx
from tvm.tirx.script import builder as T

from tvmsr.kernels.emit import Expr, Tensor, concat, modular, ramp
from tvmsr.kernels.isa import Isa, Kind, Primitive
from tvmsr.kernels.spec import Tile

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

    def __init__(self, isa: Isa, primitive: Primitive, tile: Tile, stored_vectors: int) -> None:
        """stored_vectors: of a block in memory; the last block of a layer may compute fewer."""
        self.lanes, self.primitive = isa.lanes, primitive
        self.pixels, self.vectors, self.chain = tile.pixels, tile.vectors, tile.window or 2
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

    @contextmanager
    def window(self) -> Iterator[None]:
        """Around the steps whose products are summed in 16 bits, where the primitive does so."""
        yield

    @abstractmethod
    def values(self) -> list[list[Expr]]:
        """The sums: [pixel][vector] of int32."""


class _PerPixel(Sums):
    """One register a pixel and a vector of channels."""

    def __init__(self, isa: Isa, primitive: Primitive, tile: Tile, stored_vectors: int) -> None:
        super().__init__(isa, primitive, tile, stored_vectors)
        self._acc = [[_register(self.lanes) for _ in range(tile.vectors)] for _ in range(tile.pixels)]

    def start(self, first: Sequence[Expr]) -> None:
        for n, value in enumerate(first):
            for line in self._acc:
                T.buffer_store(line[n], value, [ramp(0, self.lanes)])

    def start_each(self, first: Sequence[Expr]) -> None:
        """Set every vector's sums of pixel p to first[p]."""
        for line, value in zip(self._acc, first, strict=True):
            for a in line:
                T.buffer_store(a, value, [ramp(0, self.lanes)])

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
                    self.issue(p, n, x, weights.load(at, self.vector_size))

    def issue(self, p: int, n: int, x: Expr, w: Expr) -> None:
        """Add the products of a vector of inputs and one of weights; either may be a word in all lanes."""
        self._update(p, n, lambda acc: add_products(self.primitive, self.lanes, acc, x, w))


class Windowed(Broadcast):
    """As Broadcast, with sums of 16 bits while a window is open: a product and an addition an issue.

    They start at zero and are widened (neighbours of a channel added up) when the window is closed. The sums of 32 bits
    rest meanwhile: where registers do not hold both, LLVM keeps those on the stack, outside of the loops of a window.
    """

    def __init__(self, isa: Isa, primitive: Primitive, tile: Tile, stored_vectors: int) -> None:
        super().__init__(isa, primitive, tile, stored_vectors)
        self._narrow: list[list[Expr]] = []

    @contextmanager
    def window(self) -> Iterator[None]:
        count, i32 = 2 * self.lanes, f"int32x{self.lanes}"
        self._narrow = [[_register(count, "int16") for _ in range(self.vectors)] for _ in range(self.pixels)]
        zero, ones = (T.broadcast(T.int16(n), count) for n in (0, 1))
        for line in self._narrow:
            for narrow in line:
                T.buffer_store(narrow, zero, [ramp(0, count)])
        yield
        for p, line in enumerate(self._narrow):
            for n, narrow in enumerate(line):
                wide = T.call_llvm_pure_intrin(i32, self.primitive.widen, narrow[ramp(0, count)], ones)
                self._update(p, n, partial(self._plus, wide))

    def _plus(self, wide: Expr, acc: Expr) -> Expr:
        return plus(self.primitive, acc, wide, self.lanes)

    def issue(self, p: int, n: int, x: Expr, w: Expr) -> None:
        narrow, at = self._narrow[p][n], ramp(0, 2 * self.lanes)
        sums = T.call_llvm_pure_intrin(f"int16x{2 * self.lanes}", self.primitive.pairs, x, w)
        T.buffer_store(narrow, narrow[at] + sums, [at])


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
            self._update(p, n, lambda acc: plus(prim, acc, T.call_llvm_pure_intrin(i32, prim.pairs, w, x), self.lanes))


class Chain(_PerPixel):
    """NEON without dot products: products of bytes are summed in 16 bits, neighbours are then added into 32.

    |x| <= 128 and |w| <= 127, so two products are at most 2 * 128 * 127 = 32512 < 2**15; windows.py says where more
    fit. A step is a pair of inputs, copied to all lanes; lane 2c + d of the 16-bit sums holds channel c and input d of
    the steps of a chain.
    """

    def add(self, inputs: Inputs, weights: Weights, steps: int) -> None:
        rows = _load_pixels(inputs, self.pixels, self.primitive)
        pairs = [T.reinterpret(f"int16x{_REGISTER // 2}", row) for row in rows]
        for first in range(0, steps, self.chain):
            chain = range(first, min(first + self.chain, steps))
            if self.chain == 2:
                self._pixel_by_pixel(pairs, weights, chain)
            else:
                self._step_by_step(pairs, weights, chain)

    def _pixel_by_pixel(self, pairs: Sequence[Expr], weights: Weights, chain: range) -> None:
        """The weights of a short chain stay in registers, the sums of one pixel and vector pass by."""
        vectors = [self._weights(weights, step) for step in chain]
        for p, row in enumerate(pairs):
            xs = [self._copied(row, step) for step in chain]
            for n in range(self.vectors):
                products = [self._product(w[n][1], x) for w, x in zip(vectors, xs, strict=True)]
                self._widen(p, n, products[0] if len(products) == 1 else products[0] + products[1])

    def _step_by_step(self, pairs: Sequence[Expr], weights: Weights, chain: range) -> None:
        """The sums of all pixels and vectors stay in registers, the weights of one step pass by."""
        sums: dict[tuple[int, int], Expr] = {}
        for step in chain:
            vectors = self._weights(weights, step)
            for p, row in enumerate(pairs):
                x = self._copied(row, step)
                for n, w in vectors:
                    product = self._product(w, x)
                    sums[p, n] = T.bind(sums[p, n] + product if (p, n) in sums else product)
        for (p, n), total in sums.items():
            self._widen(p, n, total)

    def _weights(self, weights: Weights, step: int) -> list[tuple[int, Expr]]:
        return _pairs_of_vectors(weights, step * self.step_size, self.vector_size, self.vectors)

    def _copied(self, pairs: Expr, step: int) -> Expr:
        return T.bind(T.reinterpret(f"int8x{2 * self.lanes}", tirx.Shuffle([pairs], [step] * self.lanes)))

    def _product(self, w: Expr, x: Expr) -> Expr:
        return T.call_llvm_pure_intrin(f"int16x{2 * self.lanes}", self.primitive.pairs, w, x)

    def _widen(self, p: int, n: int, total: Expr) -> None:
        prim, i32 = self.primitive, f"int32x{self.lanes}"
        if prim.fused:
            self._update(p, n, lambda acc: T.call_llvm_pure_intrin(i32, prim.fused, acc, total))
        else:
            self._update(p, n, lambda acc: acc + T.call_llvm_pure_intrin(i32, prim.widen, total))


class Matrix(Sums):
    """smmla: two pixels by two channels by eight inputs.

    acc[pair of pixels][vector][half of the vector's channels] = (p0 c0, p0 c1, p1 c0, p1 c1). A register of inputs
    holds eight of one pixel, then eight of the next. An odd last pixel, or a tile of one, is computed twice.
    """

    def __init__(self, isa: Isa, primitive: Primitive, tile: Tile, stored_vectors: int) -> None:
        super().__init__(isa, primitive, tile, stored_vectors)
        self._pairs = -(-tile.pixels // 2)
        self._acc = [[[_register(4) for _ in range(2)] for _ in range(tile.vectors)] for _ in range(self._pairs)]

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
    Kind.WINDOW: Windowed,
    Kind.ELEMENT: ByElement,
    Kind.CHAIN: Chain,
    Kind.MATRIX: Matrix,
}


def open_sums(isa: Isa, primitive: Primitive, pixels: int, vectors: int, stored_vectors: int, window: int = 0) -> Sums:
    """Registers for one tile; window: steps of a chain (`Tile.window`)."""
    return _KINDS[primitive.kind](isa, primitive, Tile(pixels, vectors, window), stored_vectors)


def in_windows(sums: Sums, turns: int, count: int, turn: Callable[[Expr], None]) -> None:
    """Call turn(number) in a loop of `turns`, `count` of them to a window of `sums`."""
    whole, rest = divmod(turns, count)

    def window(first: Expr, size: int) -> None:
        with sums.window():
            repeated(size, lambda at: turn(first + at))

    repeated(whole, lambda k: window(k * count, count))
    if rest:
        window(whole * count, rest)


def repeated(turns: int, turn: Callable[[Expr], None]) -> None:
    """A loop, where there is more than one turn."""
    if turns == 1:
        turn(0)
    elif turns:
        with T.serial(0, turns) as at:
            turn(at)


def _register(lanes: int, dtype: str = "int32") -> Expr:
    # One small buffer for each vector: it becomes a stack slot, and LLVM makes a register of it.
    return T.alloc_buffer((lanes,), dtype, scope="global")


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


def plus(primitive: Primitive, acc: Expr, products: Expr, lanes: int) -> Expr:
    """A sum that wraps only where that is allowed."""
    return modular("add", acc, products, lanes) if primitive.modular else acc + products


def add_products(primitive: Primitive, lanes: int, acc: Expr, x: Expr, weights: Expr) -> Expr:
    """Sum of `acc` and the products of one issue of a broadcasting primitive."""
    i32 = f"int32x{lanes}"
    if primitive.fused:
        return T.call_llvm_pure_intrin(i32, primitive.fused, acc, x, weights)
    if not primitive.pairs:
        return plus(primitive, acc, T.cast(x, i32) * T.cast(weights, i32), lanes)
    if not primitive.widen:
        return plus(primitive, acc, T.call_llvm_pure_intrin(i32, primitive.pairs, x, weights), lanes)
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
    return halves_of(primitive, lanes, word)


def halves_of(primitive: Primitive, lanes: int, words: Expr) -> list[Expr]:
    """A vector of words, each the inputs of one step, as the primitive multiplies them: one vector for each half."""
    if primitive.weight_bytes == 1 or primitive.halves == 1:
        return [inputs_of(primitive, lanes, words)]
    wide = T.bind(T.reinterpret(f"uint16x{2 * lanes}", words))
    even = T.bitwise_and(wide, T.broadcast(T.uint16(255), 2 * lanes))
    odd = T.shift_right(wide, T.broadcast(T.uint16(8), 2 * lanes))
    return [inputs_of(primitive, lanes, half) for half in (even, odd)]


def inputs_of(primitive: Primitive, lanes: int, words: Expr) -> Expr:
    """A vector of words, each the inputs of one issue, in the type that the primitive multiplies."""
    kind, size = ("uint8", 4) if primitive.weight_bytes == 1 else ("int16", 2)
    return T.bind(T.reinterpret(f"{kind}x{size * lanes}", words))
