"""The instructions that a loop executes, in order, as its assembly's constants tell: food for llvm-mca.

Inner loops are repeated as often as their counters say. A branch that no constant decides is followed as if not taken,
unless that leaves the loop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tvmsr.kernels.algorithms import primitive_of, weight_layout
from tvmsr.kernels.assembly import Function, Instruction, Loop
from tvmsr.kernels.isa import Kind
from tvmsr.kernels.spec import KernelSpec

_MOST = 100_000  # more trips than any kernel's constant loop makes
_TESTS = {"eq": 0, "ne": 1, "lt": 2, "ge": 3, "le": 4, "gt": 5, "lo": 2, "hs": 3, "cc": 2, "cs": 3, "ls": 4, "hi": 5}
_PAIRS = (("eq", "ne"), ("lt", "ge"), ("le", "gt"), ("lo", "hs"), ("cc", "cs"), ("ls", "hi"))
_INVERSE = {a: b for one, other in _PAIRS for a, b in ((one, other), (other, one))}
_SETTERS = "cmp|cmn|subs|adds"


def trips(function: Function, loop: Loop) -> int | None:
    """How often an ARM loop tests whether it ends, each time that it is entered; None where constants do not say."""
    ends = _exits(function, loop)
    test = _test(function, loop, ends[0]) if len(ends) == 1 else None
    if test is None:
        return None
    before, after = _steps(function, loop, test)
    value, bound = _constant(function, loop, test.counter), _value(test.bound)
    if bound is None and not any(_writes(i, test.bound) for i in function.body(loop)):
        bound = _constant(function, loop, test.bound)
    if value is None or bound is None or before is None or after is None or not before + after:
        return None
    for count in range(1, _MOST):
        value += before
        if not _holds(test.condition, value - bound):
            return count
        value += after
    return None


def trace(function: Function, loop: Loop, rows: int | None = None) -> list[Instruction]:
    """One run through the body of `loop`, inner loops repeated. ValueError where a counter is not known.

    rows: trips of a loop that constants do not count: that over kernel rows, which conv.py keeps from being unrolled.
    """
    inner = [a for a in function.loops if a.blocks < loop.blocks]
    ends = {end: a for a in inner for end in _exits(function, a)}
    left: dict[int, int] = {}
    found: list[Instruction] = []
    at = loop.header
    while True:
        block = function.blocks[at]
        found += block.instructions
        following: Sequence[int] = block.successors
        if at in ends:
            blocks, count = ends[at].blocks, left.get(at) or trips(function, ends[at]) or rows
            if count is None:
                raise ValueError(f"{function.name}: no constant counts the loop at {_name(function, ends[at])}")
            left[at] = count - 1
            following = [s for s in following if (s in blocks) == (count > 1)]
        following = [s for s in following if s in loop.blocks]
        if not following:
            raise ValueError(f"{function.name}: the loop at {_name(function, loop)} ends in its middle")
        at = following[-1]
        if at == loop.header:
            return found


@dataclass(frozen=True)
class _Test:
    """The branch that ends a loop: it goes on while `counter` has the `condition` to `bound`."""

    branch: Instruction
    counter: str
    bound: str
    condition: str


def _name(function: Function, loop: Loop) -> str:
    return function.blocks[loop.header].label


def _exits(function: Function, loop: Loop) -> list[int]:
    return [n for n in sorted(loop.blocks) if not loop.blocks.issuperset(function.blocks[n].successors)]


def _test(function: Function, loop: Loop, end: int) -> _Test | None:
    block = function.blocks[end]
    branch, inverse = block.instructions[-1], block.successors[0] not in loop.blocks
    if branch.mnemonic in ("cbnz", "cbz"):
        condition = "ne" if (branch.mnemonic == "cbnz") != inverse else "eq"
        return _Test(branch, _register(branch.operands[0]), "#0", condition)
    condition = branch.mnemonic.replace("b.", "").removeprefix("b")
    setter = next((i for i in reversed(block.instructions[:-1]) if re.fullmatch(_SETTERS, i.mnemonic)), None)
    if setter is None or condition not in _TESTS:
        return None
    bound = {"cmp": setter.operands[1], "cmn": setter.operands[1].replace("#", "#-")}.get(setter.mnemonic, "#0")
    return _Test(branch, _register(setter.operands[0]), bound, _INVERSE[condition] if inverse else condition)


def _holds(condition: str, difference: int) -> bool:
    d = difference
    return (d == 0, d != 0, d < 0, d >= 0, d <= 0, d > 0)[_TESTS[condition]]


def _register(name: str) -> str:
    """w3 and x3 are one register."""
    return re.sub(r"^w(\d+|zr)$", r"x\1", name)


def _value(text: str) -> int | None:
    if _register(text) == "xzr":
        return 0
    found = re.fullmatch(r"#(-?\w+)", text)
    return int(found.group(1), 0) if found else None


def _writes(instruction: Instruction, register: str) -> bool:
    """Whether it writes a general register, as its result or to move an address on."""
    if re.match(r"st|v|cmp|cmn|tst|b\b|b\.|cb|tb", instruction.mnemonic):
        results: tuple[str, ...] = ()
    else:
        results = instruction.operands[: 2 if re.match("ldp|ldrd", instruction.mnemonic) else 1]
    moved = instruction.base if instruction.base and re.search(r"\]!|\],", instruction.text) else ""
    return _register(register) in {_register(r) for r in (*results, moved or "")}


def _steps(function: Function, loop: Loop, test: _Test) -> tuple[int | None, int | None]:
    """What one trip adds to the counter before the test, and after it; None: not a constant."""
    totals: list[int | None] = [0, 0]
    side = 0
    for i in function.body(loop):
        if _writes(i, test.counter):
            value, total = _value(i.operands[-1]), totals[side]
            known = re.fullmatch("adds?|subs?", i.mnemonic) and _register(i.operands[1]) == test.counter
            if value is None or total is None or not known:
                totals[side] = None
            else:
                totals[side] = total + (value if i.mnemonic.startswith("add") else -value)
        side = 1 if i is test.branch else side
    return totals[0], totals[1]


def _constant(function: Function, loop: Loop, register: str) -> int | None:
    """What a register holds when the loop is entered, if the last write above it in the text is a constant."""
    above = [i for n in range(loop.header) if n not in loop.blocks for i in function.blocks[n].instructions]
    high = 0
    for i in reversed(above):
        if not _writes(i, register):
            continue
        value = _value(i.operands[1]) if len(i.operands) > 1 else None
        if value is None:
            return None
        if i.mnemonic in ("movk", "movt"):
            shift = int(i.operands[2].removeprefix("lsl #")) if len(i.operands) > 2 else 16
            high += value << shift
            continue
        return value + high if i.mnemonic in ("mov", "movw") else None
    return None


@dataclass(frozen=True)
class Tile:
    """What one tile of a block of channels executes, and its innermost loops of products, the largest first.

    A loop of products that was unrolled altogether leaves the loop over tiles itself as the innermost one.
    """

    code: tuple[Instruction, ...]
    loops: tuple[tuple[Instruction, ...], ...]


def _stores(function: Function, loop: Loop) -> bool:
    """Whether results are stored in the loop: a tile's epilogue is in it."""
    return any(re.match(r"v?st", i.mnemonic) and not function.on_stack(i) for i in function.body(loop))


def tiles(function: Function, rows: int) -> list[Tile]:
    """The loops over tiles, of the chosen size and of single pixels: the innermost ones that multiply and store.

    rows: of the kernel.
    """
    found = []
    storing = [a for a in function.loops if _stores(function, a)]
    for loop in storing:
        inner = [function.body(a) for a in function.product_loops if a.blocks <= loop.blocks]
        if not inner or any(a.blocks < loop.blocks for a in storing):
            continue
        try:
            code = trace(function, loop, rows)
        except ValueError:
            continue
        inner.sort(key=lambda body: -sum(map(function.is_product, body)))
        found.append(Tile(tuple(code), tuple(inner)))
    return found


def tile_products(spec: KernelSpec) -> dict[int, tuple[int, int]]:
    """Multiplications in a full tile of a convolution: {vectors of a block: (blocks of so many, multiplications)}."""
    layout, kind, pixels = weight_layout(spec), primitive_of(spec).kind, spec.tile.pixels
    if layout is None:
        raise ValueError(f"{spec.algorithm} has no products")
    full, rest = divmod(-(-layout.outputs // layout.groups // layout.lanes), layout.vectors)
    steps = layout.kernel_h * layout.runs * layout.steps * layout.halves
    issues = steps * (-(-pixels // 2) * 2 if kind is Kind.MATRIX else pixels)
    counts = {layout.vectors: full, rest: min(rest, 1)}
    return {v: (n * layout.groups, v * issues) for v, n in counts.items() if n}
