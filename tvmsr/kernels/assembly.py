"""LLVM's assembly text, read: functions, basic blocks, loops. Needs neither tvm nor LLVM.

It says of a kernel what its inner loops are made of, for a CPU that is not here; trace.py goes on from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

_CONDITIONS = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"


@dataclass(frozen=True)
class Syntax:
    """How the text of one machine is read. Patterns match whole mnemonics where nothing else is said."""

    comment: str
    jump: str  # always taken
    branch: str  # may fall through
    leave: str  # returns; the beginning of the line
    call: str
    stack: str  # the stack pointer's name
    scalar_product: str  # multiplications of general registers
    product: str  # multiplications of vectors of integers
    vector: str  # the beginning of the operands of such a multiplication


SYNTAX: dict[str, Syntax] = {
    "aarch64": Syntax(
        comment="//",
        jump="b|br",
        branch=rf"b\.({_CONDITIONS})|cbn?z|tbn?z",
        leave="ret",
        call="blr?",
        stack="sp",
        scalar_product=r"mul|mneg|madd|msub|[su](mull|mulh|maddl|msubl|mnegl)",
        product=r"[su]dot|usdot|[su]mmla|usmmla|[su]ml[as]l2?|[su]mull2?|mul|ml[as]|sqdmull2?",
        vector=r"v\d+\.",
    ),
    "arm": Syntax(
        comment="@",
        jump="b",
        branch=rf"b({_CONDITIONS})",
        leave=r"bx\s|(pop|ldm)\s.*pc",
        call=rf"blx?({_CONDITIONS})?",
        stack="sp",
        scalar_product=r"s?(mul|mla|mls)|[su](mull|mlal|mmul|mmla|mul[bt][bt]|mla[bt][bt])",
        product=r"v(mull|mlal|mlsl|mul|mla|mls)\.[sui]\d+",
        vector=r"[dq]\d+",
    ),
    "x86_64": Syntax(
        comment="#",
        jump=r"jmpq?",
        branch=r"j(?!mp)\w+",
        leave=r"retq?",
        call=r"callq?",
        stack="%rsp",
        scalar_product=r"i?mul[bwlq]|mulx[lq]",
        product=r"v?(pdpbusds?|pdpwssds?|pmaddubsw|pmaddwd|pmull[wd]|pmulh[u]?w|pmuludq|pmuldq)",
        vector=r".*%[xyz]mm",
    ),
}


@dataclass(frozen=True)
class Instruction:
    """One line: `operands` as they are written, addresses with their brackets."""

    text: str
    mnemonic: str
    operands: tuple[str, ...]

    @cached_property
    def address(self) -> str | None:
        """The memory operand, where there is one."""
        return next((o for o in self.operands if o.startswith("[") or "(" in o), None)

    @cached_property
    def base(self) -> str | None:
        """The register that the address starts from; of vldm and its like, the first operand."""
        if self.address:
            found = re.search(r"[\[(]\s*(%?\w+)", self.address)
            return found and found.group(1)
        if re.match(r"v?(ldm|stm)", self.mnemonic):
            return self.operands[0].rstrip("!")
        return None

    @cached_property
    def alignment(self) -> int:
        """Bits that the address is promised to be aligned to (ARMv7's `[r0:128]`); 0: no promise."""
        found = re.search(r"\[\w+:(\d+)\]", self.text)
        return int(found.group(1)) if found else 0


@dataclass(frozen=True)
class Block:
    """A basic block: straight code, a branch at most at its end. successors: numbers of blocks, fall-through last."""

    label: str
    instructions: tuple[Instruction, ...]
    successors: tuple[int, ...]


@dataclass(frozen=True)
class Loop:
    """A natural loop: numbers of its blocks, those of inner loops too. depth: 1 where no loop is around it."""

    header: int
    blocks: frozenset[int]
    latches: tuple[int, ...]
    depth: int


@dataclass(frozen=True)
class Function:
    """A function of the text: block 0 is its entry."""

    name: str
    syntax: Syntax
    blocks: tuple[Block, ...]

    @property
    def instructions(self) -> Iterator[Instruction]:
        return (i for block in self.blocks for i in block.instructions)

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """All loops, in the order of their headers in the text, outer ones first."""
        return _loops(self.blocks)

    @cached_property
    def innermost(self) -> tuple[Loop, ...]:
        """Loops without a loop in them."""
        return tuple(a for a in self.loops if not any(b.blocks < a.blocks for b in self.loops))

    def body(self, loop: Loop) -> tuple[Instruction, ...]:
        """The instructions of a loop, in the order of the text."""
        return tuple(i for number in sorted(loop.blocks) for i in self.blocks[number].instructions)

    def is_product(self, instruction: Instruction) -> bool:
        """Whether it multiplies vectors of integers."""
        return _is(self.syntax.product, instruction) and bool(
            re.match(self.syntax.vector, ",".join(instruction.operands))
        )

    def is_scalar_product(self, instruction: Instruction) -> bool:
        """Whether it multiplies general registers."""
        return _is(self.syntax.scalar_product, instruction) and not self.is_product(instruction)

    def is_call(self, instruction: Instruction) -> bool:
        return _is(self.syntax.call, instruction)

    @cached_property
    def product_loops(self) -> tuple[Loop, ...]:
        """The innermost loops that multiply vectors."""
        return tuple(a for a in self.innermost if any(map(self.is_product, self.body(a))))

    def on_stack(self, instruction: Instruction) -> bool:
        """Whether it reads or writes the stack, also through a register that holds its address."""
        return self._pointers.get(id(instruction)) == "stack"

    def reads_constant(self, instruction: Instruction) -> bool:
        """Whether it reads constants that belong to the code, through a register that holds their address."""
        return self._pointers.get(id(instruction)) == "constant"

    @cached_property
    def _pointers(self) -> dict[int, str]:
        """id() of instructions: where they read or write, as far as known.

        Registers are followed down the text, not along the branches: enough for compiled code, which makes such an
        address right before its use.
        """
        stack = self.syntax.stack
        found: dict[int, str] = {}
        known = {stack: "stack"}
        for i in self.instructions:
            if i.base in known:
                found[id(i)] = known[i.base]
            if not i.operands or i.operands[0] == stack or re.match(r"v?st|vldm|cmp|cmn|tst|b", i.mnemonic):
                continue
            source = i.operands[1] if len(i.operands) > 1 and i.mnemonic in ("add", "sub", "mov") else ""
            if i.mnemonic in ("adr", "adrp"):
                known[i.operands[0]] = "constant"
            elif source in known:
                known[i.operands[0]] = known[source]
            else:
                known.pop(i.operands[0], None)
        return found


def parse(text: str, machine: str) -> dict[str, Function]:
    """The functions of an assembly text by name. machine: "aarch64", "arm", "x86_64"."""
    syntax = SYNTAX[machine]
    names = set(re.findall(r"^\s*\.type\s+(\S+?)\s*,\s*[@%]function", text, re.MULTILINE))
    functions: dict[str, list[str]] = {}
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.split(syntax.comment)[0].strip()
        if line.endswith(":") and line[:-1] in names:
            lines = functions.setdefault(line[:-1], [])
        elif line.startswith((".size", ".section")):
            lines = []  # what follows belongs to no function
        elif line:
            lines.append(line)
    return {name: Function(name, syntax, _blocks(body, syntax)) for name, body in functions.items()}


def _is(pattern: str, instruction: Instruction) -> bool:
    return re.fullmatch(pattern, instruction.mnemonic) is not None


def _ends(instruction: Instruction, syntax: Syntax) -> bool:
    return _is(f"{syntax.jump}|{syntax.branch}", instruction) or bool(re.match(syntax.leave, instruction.text))


def _instruction(line: str) -> Instruction:
    mnemonic, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
    # Commas within [], {} and () do not separate operands.
    operands = re.findall(r"(?:[^,\[{(]|\[[^\]]*\]|\{[^}]*\}|\([^)]*\))+", rest)
    return Instruction(line, mnemonic, tuple(o.strip() for o in operands if o.strip()))


def _blocks(lines: Iterable[str], syntax: Syntax) -> tuple[Block, ...]:
    cut: list[tuple[str, list[Instruction]]] = [("", [])]
    for line in lines:
        if line.endswith(":"):
            if line.startswith(".LBB"):
                cut.append((line[:-1], []))
        elif not line.startswith("."):
            cut[-1][1].append(_instruction(line))
            if _ends(cut[-1][1][-1], syntax):
                cut.append(("", []))
    full = [(label, body) for label, body in cut if label or body]
    places = {label: n for n, (label, _) in enumerate(full) if label}
    return tuple(
        Block(label, tuple(body), _successors(body, n, len(full), places, syntax))
        for n, (label, body) in enumerate(full)
    )


def _successors(
    body: Sequence[Instruction], number: int, count: int, places: dict[str, int], syntax: Syntax
) -> tuple[int, ...]:
    following = (number + 1,) if number + 1 < count else ()
    if not body or not _ends(body[-1], syntax):
        return following
    target = tuple(places[o] for o in body[-1].operands[-1:] if o in places)
    return target + following if _is(syntax.branch, body[-1]) else target


def _dominators(blocks: Sequence[Block]) -> list[set[int]]:
    """For each block the blocks that every way to it passes; of a block that is never reached, all."""
    before: list[list[int]] = [[] for _ in blocks]
    for number, block in enumerate(blocks):
        for s in block.successors:
            before[s].append(number)
    found = [{0}] + [set(range(len(blocks))) for _ in blocks[1:]]
    changed = True
    while changed:
        changed = False
        for number in range(1, len(blocks)):
            new = set.intersection(*(found[b] for b in before[number])) if before[number] else set(range(len(blocks)))
            new = new | {number}
            if new != found[number]:
                found[number], changed = new, True
    return found


def _loops(blocks: Sequence[Block]) -> tuple[Loop, ...]:
    dominators = _dominators(blocks)
    latches: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        for s in block.successors:
            if s in dominators[number]:
                latches.setdefault(s, []).append(number)
    bodies = {header: _natural(blocks, header, ends) for header, ends in latches.items()}
    loops = [
        Loop(header, body, tuple(latches[header]), sum(body <= other for other in bodies.values()))
        for header, body in bodies.items()
    ]
    return tuple(sorted(loops, key=lambda loop: (loop.header, loop.depth)))


def _natural(blocks: Sequence[Block], header: int, latches: Iterable[int]) -> frozenset[int]:
    body, todo = {header}, list(latches)
    while todo:
        number = todo.pop()
        if number not in body:
            body.add(number)
            todo += [n for n, block in enumerate(blocks) if number in block.successors]
    return frozenset(body)
