"""The state of the walk over a Relax module: tensors with their types, and the views of them that variables are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tvmsr.frontend import linear, views
from tvmsr.frontend.views import View, ViewError
from tvmsr.graph.extent import Extent
from tvmsr.graph.model import (
    F32,
    INPUT,
    Attrs,
    GatherAttrs,
    Mark,
    Node,
    Resampling,
    ResizeAttrs,
    ShuffleAttrs,
    TensorType,
)
from tvmsr.operations.table import operation_of


class UnsupportedError(Exception):
    """An operator, or a use of one, that has no place in the canonical graph."""

    def __init__(self, reason: str, instead: str = "") -> None:
        super().__init__(reason)
        self.reason, self.instead = reason, instead


class Part:
    """An intermediate of a spelling that only the operator which ends it may read; `words` say what it is."""

    words: ClassVar[str] = "an intermediate result"

    def __getattr__(self, name: str) -> Any:
        """Whoever takes it for a picture asks for something that it does not have."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(f"{self.words} where a picture is expected")


@dataclass(frozen=True)
class Mask(Part):
    """The condition `tensor > bound` (or >=): only a `where` may read it."""

    tensor: View
    bound: float = 0.0
    words: ClassVar[str] = "a comparison"


class Unknown:
    """The result of something unsupported: whatever reads it is not reported again."""


def _in_words(value: object) -> str:
    return value.words if isinstance(value, Part) else {np.ndarray: "a constant"}.get(type(value), "several tensors")


#: What a Relax variable stands for while the walk goes on.
Value = View | NDArray[Any] | Part | Unknown | tuple[Any, ...]


@dataclass(frozen=True)
class Sizes:
    """The picture's size during one walk, and what its sides are multiples of."""

    height: int
    width: int
    multiple: int = 1


@dataclass(eq=False)
class Importer:
    """What the handlers of relax_ops.py work with: `emit` adds a node, `tensor` makes a node of a view.

    by_size: something was decided by the picture's size, so that another size has to lead to the same graph.
    pads_nothing: there is padding by no pixels, which networks do that pad pictures of other sizes to multiples.
    """

    sizes: Sizes
    types: dict[str, TensorType]
    nodes: dict[str, Node] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    made: dict[View, str] = field(default_factory=dict)  # views that became nodes already
    marks: dict[str, Mark] = field(default_factory=dict)
    hint: str = ""
    by_size: bool = False
    pads_nothing: bool = False

    @staticmethod
    def start(channels: int, sizes: Sizes) -> Importer:
        side = Extent(multiple=sizes.multiple)
        return Importer(sizes, {INPUT: TensorType(channels, side, side)})

    def size(self, name: str) -> tuple[int, int, int]:
        """Channels, height and width of a tensor."""
        kind = self.types[name]
        return kind.channels, kind.rows(self.sizes.height), kind.columns(self.sizes.width)

    def whole(self, name: str) -> View:
        """The view of a tensor as it is."""
        return views.whole(name, *self.size(name))

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Attrs | None = None,
        weights: Mapping[str, F32] | None = None,
        *,
        name: str = "",
    ) -> View:
        """Add a node and return the view of its output."""
        name = self._unique(name or self.hint, op)
        self.hint = ""
        node = Node(name, op, tuple(inputs), attrs or Attrs(), dict(weights or {}))
        self.types[name] = operation_of(node).shape(tuple(self.types[i] for i in inputs), node)
        self.nodes[name] = node
        if min(self.size(name)) < 1:
            raise UnsupportedError(f"leaves nothing of a picture of {self.sizes.width}x{self.sizes.height} pixels")
        return self.whole(name)

    def _unique(self, wanted: str, op: str) -> str:
        if wanted and wanted not in self.nodes and wanted != INPUT:
            return wanted
        base = wanted or op
        while True:
            self.counts[base] = self.counts.get(base, -1) + 1
            name = f"{base}_{self.counts[base]}"
            if name not in self.nodes:
                return name

    def tensor(self, value: Value) -> str:
        """The name of the tensor that a view shows; rearrangements become nodes here."""
        if not isinstance(value, View):
            raise UnsupportedError(f"{_in_words(value)} where a picture is expected")
        if value == self.whole(value.source):
            return value.source
        if value not in self.made:
            self.made[value] = self._materialise(value)
        return self.made[value]

    def is_tensor(self, value: View) -> bool:
        """True where a view is a tensor of four dimensions, as it is or after moves."""
        try:
            views.resolve(value, *self.size(value.source)[1:])
        except ViewError:
            return self._stretched(value) is not None
        return True

    def _materialise(self, value: View) -> str:
        hint, self.hint = self.hint, ""
        stretched = self._stretched(value)
        if stretched is not None:
            like = self.like(value.shape[2:])
            if like is None:
                raise UnsupportedError(f"a 1x1 map that grows to {value.shape[2]}x{value.shape[3]} pixels")
            name = self.emit("resize", (self.tensor(stretched), like), ResizeAttrs(Resampling.NEAREST)).source
        else:
            try:
                moves = views.resolve(value, *self.size(value.source)[1:])
            except ViewError as error:
                raise UnsupportedError(str(error), "pixel shuffle, slices, concat or repeats of channels") from error
            name = self._moved(value.source, moves)
        self.hint = hint
        return name

    def _moved(self, name: str, moves: views.Moves) -> str:
        if moves.fold > 1:
            folded = linear.space_to_depth(self.size(name)[0], moves.fold, moves.order)
            return self.emit("conv", (name,), *folded).source
        if moves.order != tuple(range(self.size(name)[0])):
            name = self.emit("gather", (name,), GatherAttrs(moves.order)).source
        if moves.block > 1:
            name = self.emit("depth_to_space", (name,), ShuffleAttrs(moves.block)).source
        return name

    def _stretched(self, value: View) -> View | None:
        """The 1x1 map that a view repeats over a picture; None where it is no such view."""
        flat = views.compact(value)
        if len(value.axes) != 4 or self.size(value.source)[1:] != (1, 1) or flat.axes[2:] != ((), ()):
            return None
        return None if min(value.shape[2:]) == 1 else View(value.source, (*value.axes[:2], (), ()))

    def like(self, size: tuple[int, ...]) -> str | None:
        """The first tensor of that height and width: the picture, where it is that large."""
        self.by_size = True
        return next((name for name in self.types if self.size(name)[1:] == tuple(size)), None)

    def channels(self, value: View) -> int:
        """Channels of a four-dimensional view."""
        return value.shape[1]

    def place(self, value: Value) -> Place:
        """Where to compute what treats every pixel of every channel for itself.

        Of a view that is no tensor (channels last, say) that is its source; the result is shown in the same way.
        """
        if isinstance(value, View) and not self.is_tensor(value):
            return Place(value.source, value)
        return Place(self.tensor(value), None)

    def pointwise(self, value: Value, op: str, attrs: Attrs | None, weights: Mapping[str, F32] | None = None) -> View:
        """A node at the place of a value; `weights` are of the channels there."""
        place = self.place(value)
        return place.show(self.emit(op, (place.tensor,), attrs, weights))


@dataclass(frozen=True)
class Place:
    """A tensor to compute with, and the view of it that was asked for, where it is not the tensor itself."""

    tensor: str
    view: View | None

    def show(self, made: View) -> View:
        return made if self.view is None else View(made.source, self.view.axes)


def as_array(value: Any) -> NDArray[Any] | None:
    """A constant as an array; None for a tensor."""
    if isinstance(value, np.ndarray | int | float):
        return np.asarray(value)
    return None


def single(value: Any) -> float:
    """A number as files of all kinds have it: rounded to float32."""
    return float(np.float32(value))
