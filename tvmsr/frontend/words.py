"""Shapes and attributes in errors: in the words of whoever wrote the network, and without sizes that nobody chose."""

from __future__ import annotations

import re

#: What TVM notes at its operators, and says nothing of a network.
_ASIDES = (
    "out_dtype", "data_layout", "kernel_layout", "out_layout", "layout", "assume_inbound", "mode", "ret_type", "dtype",
    "center", "scale",
)  # fmt: skip
_ATTRIBUTE = re.compile(r"(\w+)=(\"[^\"]*\"|\([^()]*\)|\[[^\[\]]*\]|[^,]*)(?:, |$)")
_SHAPE = re.compile(r"\((\d+(?:, \d+){2,})\)")
#: Sides from here on stand in for any (sizes.py), if a model says none.
_STAND_INS = 500


def shape_in_words(shape: tuple[int, ...], height: int = 0, width: int = 0) -> str:
    """(1, 12, 48, 64) -> 12 channels of 48 x 64; n and m stand for the picture's sides where those are made up."""
    sides = ((height, "n"), (width, "m"))
    if len(shape) == 4 and shape[0] == 1:
        rows, columns = _dimension(shape[2], *sides), _dimension(shape[3], *sides[::-1])
        return f"{shape[1]} channel{'s' if shape[1] > 1 else ''} of {rows} x {columns}"
    return f"({', '.join(_dimension(size, *sides) for size in shape)})"


def _dimension(size: int, *sides: tuple[int, str]) -> str:
    """A dimension in terms of the sides, the likelier one first."""
    if min(side for side, _ in sides) < _STAND_INS or size < _STAND_INS // 8:
        return str(size)
    for side, name in sides:
        for times in (1, 2, 3, 4, 8):
            if size == side * times:
                return name if times == 1 else f"{times}{name}"
            if size * times in range(side, side + times):  # a half is rounded up
                return f"{name}/{times}"
    return "n*m" if size == sides[0][0] * sides[1][0] else str(size)


def in_words(text: str, height: int, width: int) -> str:
    """A text with the shapes in it in words."""
    return _SHAPE.sub(lambda found: shape_in_words(tuple(int(n) for n in found[1].split(", ")), height, width), text)


def without_expressions(text: str) -> str:
    """A message of TVM up to the first expression of Relax in it, which says nothing to others."""
    return re.split(r"[\s,.:]*(?:However,? |the )?\bR\.\w+\(", text)[0]


def attributes_in_words(text: str) -> str:
    """A relax operator's attributes, a=1, b=(2, 3), without what only TVM needs."""
    found = [(key, value) for key, value in _ATTRIBUTE.findall(text) if key not in _ASIDES]
    return ", ".join(f"{key}={value}" for key, value in found)
