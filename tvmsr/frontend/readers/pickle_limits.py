"""What a pickle may ask of memory and stack, looked at before Python's unpickler sees it.

The unpickler makes its memo as large as the largest index that a pickle names, and the hash of a tuple walks through
all tuples in it, on the C stack, shared ones as often as they are met: a few bytes could take all memory, end the
process or keep it busy for ever. So the opcodes are walked through first.
"""

from __future__ import annotations

import pickle
import pickletools
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any

#: Opcodes of one pickle. A checkpoint has some 60 a tensor.
_MOST_OPCODES = 3_000_000
#: Values of a tuple with those of the tuples in it. A tensor's arguments are some 20.
_LARGEST_TUPLE = 5000

_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
#: What can make something that can be hashed of such things; a tuple that holds a list, say, has no hash.
_PASSES_ON = (*_TUPLES, "DUP", "FROZENSET", "REDUCE", "BUILD", "BINPERSID")
#: What torch.save writes, of any protocol, and what older writers did; no object that names its own class.
_KNOWN = frozenset(
    """
    MARK STOP POP POP_MARK DUP FLOAT INT BININT BININT1 LONG LONG1 LONG4 BININT2 NONE BINPERSID REDUCE STRING BINSTRING
    SHORT_BINSTRING UNICODE BINUNICODE APPEND BUILD GLOBAL DICT EMPTY_DICT APPENDS LIST EMPTY_LIST SETITEM TUPLE
    SETITEMS EMPTY_TUPLE BINFLOAT PROTO TUPLE1 TUPLE2 TUPLE3 NEWTRUE NEWFALSE BINBYTES SHORT_BINBYTES SHORT_BINUNICODE
    BINUNICODE8 BINBYTES8 EMPTY_SET ADDITEMS FROZENSET STACK_GLOBAL MEMOIZE FRAME
    """.split()  # noqa: SIM905 - a table of words
).union(_PUTS, _GETS)


def check_pickle(file: BytesIO) -> None:
    """Walk through the pickle that begins where `file` stands, and go back there.

    Raises UnpicklingError or ValueError where it is damaged or asks for too much. What passes makes a memo no larger
    than the pickle, and tuples that are soon hashed.
    """
    start = file.tell()
    walk = _Walk()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in texts
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count >= _MOST_OPCODES:
                raise pickle.UnpicklingError(f"more than {_MOST_OPCODES} steps")
            if opcode.name not in _KNOWN:
                raise pickle.UnpicklingError(f"the step {opcode.name}, which no checkpoint needs")
            walk.step(opcode, argument, count)
    file.seek(start)


class _Walk:
    """How many values each tuple has that lies on the unpickler's stack or in its memo; 0 for what is no tuple."""

    def __init__(self) -> None:
        self.stack: list[int | None] = []  # None: a mark
        self.memo: dict[int, int] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any, count: int) -> None:
        name = opcode.name
        if name in _PUTS or name == "MEMOIZE":
            index = len(self.memo) if name == "MEMOIZE" else int(argument)
            if index > count:
                raise pickle.UnpicklingError(f"the memo's entry {index} after {count} steps")
            self.memo[index] = self.top()
            return
        if name in _GETS:
            self.stack.append(self.memo.get(int(argument), 0))
            return
        taken = list(self.popped(opcode))
        size = sum(taken) + len(taken) * (name in _TUPLES) if name in _PASSES_ON else 0
        if size > _LARGEST_TUPLE:
            raise pickle.UnpicklingError(f"a tuple of more than {_LARGEST_TUPLE} values")
        self.stack += [None if made is pickletools.markobject else size for made in opcode.stack_after]

    def top(self) -> int:
        size = self.stack[-1] if self.stack else None
        if size is None:
            raise pickle.UnpicklingError("an empty stack")
        return size

    def popped(self, opcode: pickletools.OpcodeInfo) -> Iterator[int]:
        """The sizes of what an opcode takes from the stack."""
        takes = list(opcode.stack_before)
        if pickletools.stackslice in takes:
            while (size := self.pop()) is not None:
                yield size
            takes = takes[: takes.index(pickletools.markobject)]
        elif opcode.name == "POP" and self.stack and self.stack[-1] is None:
            takes = []
            self.stack.pop()
        for _ in takes:
            yield self.pop() or 0

    def pop(self) -> int | None:
        if not self.stack:
            raise pickle.UnpicklingError("an empty stack")
        return self.stack.pop()
