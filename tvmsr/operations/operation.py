"""What one row of the table of operations is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tvmsr.graph.model import F32, Node, TensorType

#: Input types and the node -> type of the output; raises ShapeError where they do not fit.
ShapeRule = Callable[[tuple[TensorType, ...], Node], TensorType]
#: Inputs as (H, W, C) float32 and the node -> output as (H', W', C') float32.
Reference = Callable[[tuple[F32, ...], Node], F32]


class ShapeError(ValueError):
    """A node whose inputs, attributes or weights do not fit together."""


@dataclass(frozen=True)
class Operation:
    """One operation: everything that walkers of the graph need to know about it.

    `integer` and `lower` name a function as "module:function"; they are imported when first asked for, so that this
    package needs numpy only.
    """

    name: str
    shape: ShapeRule
    reference: Reference
    integer: str | None = None
    lower: str | None = None

    def integer_reference(self) -> Callable[..., Any]:
        """The bit-exact integer reference."""
        return _load(self.name, "integer reference", self.integer)

    def lowering(self) -> Callable[..., Any]:
        """The lowering of the integer operation to steps of a Program."""
        return _load(self.name, "lowering", self.lower)


def _load(name: str, what: str, where: str | None) -> Callable[..., Any]:
    if where is None:
        raise NotImplementedError(f"operation {name!r} has no {what}")
    module, _, function = where.partition(":")
    return getattr(import_module(module), function)


def expect(condition: bool, node: Node, message: str) -> None:
    """Raise a ShapeError that names the node unless `condition` holds."""
    if not condition:
        raise ShapeError(f"{node.op} {node.name!r}: {message}")


def expect_vector(node: Node, key: str, length: int) -> None:
    """Check that the weight `key` of `node` is a vector of `length` values."""
    expect(key in node.weights, node, f"needs the weight {key!r}")
    expect(node.weights[key].shape == (length,), node, f"{key!r} is {node.weights[key].shape}, not ({length},)")
