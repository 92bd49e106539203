"""One node of an exported program while it becomes Relax: its arguments, and what it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tvmsr.frontend.own_ops import own


class GiveUpError(Exception):
    """A use of an operator that has no place in Relax; the message says which."""


@dataclass(frozen=True)
class Call:
    """One node of a program while it is converted."""

    importer: Any
    node: Any
    args: Mapping[str, Any]  # by the names of the operator's schema; tensors are Relax variables

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    def emit(self, expression: Any) -> Any:
        return self.importer.block_builder.emit(expression)

    @property
    def kinds(self) -> list[tuple[tuple[int, ...], str]]:
        """Shape and type of what the node makes."""
        value = self.node.meta["val"]
        values = value if isinstance(value, tuple | list) else [value]
        return [(tuple(v.shape), str(v.dtype).rsplit(".", maxsplit=1)[-1]) for v in values if v is not None]

    def own(self, name: str, tensor: str = "self", **attributes: Any) -> Any:
        return self.emit(own(name, [self.args[tensor]], self.kinds[:1], **attributes))


Converter = Callable[[Call], Any]


def pair(value: Any) -> tuple[int, int]:
    values = listed(value)
    return values[0], values[-1]


def listed(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, list | tuple) else [int(value)]
