"""One node of an ONNX graph while it becomes Relax: its inputs, attributes and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.frontend.own_ops import own
from tvmsr.frontend.unsupported import Problem


class GiveUpError(Exception):
    """A use of an operator that has no place in Relax; the message says which."""


class LostError(Exception):
    """A node that nothing converts and whose outputs have no known shape: nothing after it can be looked at."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Call:
    """One node while it is converted. `inputs` are Relax expressions, None where one is left out."""

    importer: Any
    inputs: Sequence[Any]
    attrs: Mapping[str, Any]
    shape: tuple[int, ...] | None  # of the first output, where it is known
    outputs: int
    opset: int

    @property
    def op(self) -> Any:
        from tvm import relax

        return relax.op

    @property
    def x(self) -> Any:
        return self.inputs[0]

    def emit(self, expression: Any) -> Any:
        return self.importer.bb.emit(expression)

    def own(self, name: str, **attributes: Any) -> Any:
        return self.emit(own(name, [self.x], [(self.shape or self.size(), "float32")], **attributes))

    @property
    def target(self) -> tuple[int, ...]:
        """The shape of the first output."""
        if self.shape is None:
            raise GiveUpError("its output has no known shape")
        return self.shape

    def size(self, index: int = 0) -> list[int]:
        return [int(n) for n in self.inputs[index].ty.shape]

    def text(self, name: str, default: str) -> str:
        value = self.attrs.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def number(self, name: str, default: float) -> float:
        return float(self.attrs.get(name, default))

    def ints(self, name: str, default: Sequence[int]) -> list[int]:
        return [int(v) for v in self.attrs.get(name, default)]

    def positive(self, name: str, default: Sequence[int]) -> list[int]:
        """Integers of which none may be zero, or a single one."""
        value = self.attrs.get(name, default)
        values = [int(v) for v in (value if isinstance(value, Sequence) or hasattr(value, "__iter__") else (value,))]
        if not values or min(values) < 1:
            raise GiveUpError(f"with {name} {values[0] if len(values) == 1 else values or 'missing'}")
        return values

    def constant(self, index: int) -> NDArray[Any] | None:
        """An input's value, where it is constant; None where it is left out."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            return None
        name = getattr(value, "name", None)
        if name in self.importer._params:
            return np.asarray(self.importer._params[name][1].numpy())
        if hasattr(value, "value") and hasattr(value.value, "numpy"):
            return np.asarray(value.value.numpy())
        if type(value).__name__ == "ShapeExpr":
            return np.asarray([int(n) for n in value.values], np.int64)
        raise GiveUpError(f"its input {index + 1} is computed from the picture")

    def listed(self, name: str, index: int) -> list[int] | None:
        """Integers that older opsets have as an attribute, newer ones as an input."""
        if name in self.attrs:
            return self.ints(name, ())
        value = self.constant(index)
        return None if value is None else [int(v) for v in value.reshape(-1)]


Converter = Callable[[Call], Any]
