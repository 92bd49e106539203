"""What one row of the table of operations is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

    `integer` names the integer operations that quantization makes of it (docs/numerics.md defines them); their
    reference and their lowering are found through the row, and imported when first asked for: this package needs numpy
    only.
    """

    name: str
    shape: ShapeRule
    reference: Reference
    integer: tuple[str, ...] = ()

    def integer_references(self) -> Mapping[str, Callable[..., Any]]:
        """The bit-exact reference of each of its integer operations."""
        from tvmsr.quant.reference import INTEGER_REFERENCE

        return {name: INTEGER_REFERENCE[name] for name in self.integer}

    def lowerings(self) -> Mapping[str, Callable[..., Any]]:
        """The lowering of each of its integer operations to steps of a Program."""
        from tvmsr.lower.group import LOWERING

        return {name: LOWERING[name] for name in self.integer}


def expect(condition: bool, node: Node, message: str) -> None:
    """Raise a ShapeError that names the node unless `condition` holds."""
    if not condition:
        raise ShapeError(f"{node.op} {node.name!r}: {message}")


def expect_vector(node: Node, key: str, length: int) -> None:
    """Check that the weight `key` of `node` is a vector of `length` values."""
    expect(key in node.weights, node, f"needs the weight {key!r}")
    expect(node.weights[key].shape == (length,), node, f"{key!r} is {node.weights[key].shape}, not ({length},)")
