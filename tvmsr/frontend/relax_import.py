"""Relax IRModule -> graph: walks the bindings of `main`; relax_ops.py says what each operator becomes.

What comes out is not canonical yet: batch norm, biases and constants are `affine` nodes, activations stand alone, pixel
shuffles are a gather and a depth_to_space. Every node of it runs on the FP32 executor as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.frontend import views
from tvmsr.frontend.unsupported import report
from tvmsr.frontend.views import View, ViewError
from tvmsr.graph.model import F32, INPUT, Attrs, GatherAttrs, Graph, Node, ShuffleAttrs

if TYPE_CHECKING:
    import tvm

#: Stand-ins for a symbolic height and width: large primes, so that no product of channels is mistaken for them.
_HEIGHT, _WIDTH = 10007, 10009
#: Names that the TVM frontends give when they have none.
_ANONYMOUS = re.compile(r"(lv|gv)\d*")


class UnsupportedError(Exception):
    """An operator, or a use of one, that has no place in the canonical graph."""

    def __init__(self, reason: str, instead: str = "") -> None:
        super().__init__(reason)
        self.reason, self.instead = reason, instead


class Part:
    """An intermediate of a spelling that only the operator which ends it may read."""


@dataclass(frozen=True)
class Mask(Part):
    """The condition `tensor > 0` (or >= 0): only a `where` may read it."""

    tensor: View


class Unknown:
    """The result of something unsupported: whatever reads it is not reported again."""


#: What a Relax variable stands for while the walk goes on.
Value = View | NDArray[Any] | Part | Unknown | tuple[Any, ...]


@dataclass(frozen=True)
class RawGraph:
    """An imported graph and the number of channels of its input (1: gray or Y, 3: colour)."""

    graph: Graph
    input_channels: int


@dataclass(eq=False)
class Importer:
    """The state of one walk. Handlers in relax_ops.py use `emit`, `tensor` and `channels`."""

    sizes: dict[str, tuple[int, int, int]]  # tensor name -> channels, stand-in height, stand-in width
    nodes: dict[str, Node] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    made: dict[View, str] = field(default_factory=dict)  # views that became nodes already
    hint: str = ""

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Attrs | None = None,
        weights: Mapping[str, F32] | None = None,
        *,
        channels: int | None = None,
        size: tuple[int, int] | None = None,
        name: str = "",
    ) -> View:
        """Add a node and return the view of its output; channels and size are those of the first input unless given."""
        first = self.sizes[inputs[0]]
        name = self._unique(name or self.hint, op)
        self.hint = ""
        self.nodes[name] = Node(name, op, tuple(inputs), attrs or Attrs(), dict(weights or {}))
        self.sizes[name] = (first[0] if channels is None else channels, *(size or first[1:]))
        return views.whole(name, *self.sizes[name])

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
            raise UnsupportedError(f"a {type(value).__name__} where a picture is expected")
        channels, height, width = self.sizes[value.source]
        if value == views.whole(value.source, channels, height, width):
            return value.source
        if value not in self.made:
            self.made[value] = self._materialise(value)
        return self.made[value]

    def _materialise(self, value: View) -> str:
        channels, height, width = self.sizes[value.source]
        try:
            order, block = views.resolve(value)
        except ViewError as error:
            raise UnsupportedError(str(error), "pixel shuffle, slices, concat or repeats of channels") from error
        hint, self.hint = self.hint, ""
        name = value.source
        if order != list(range(channels)):
            name = self.emit("gather", (name,), GatherAttrs(tuple(order)), channels=len(order)).source
        if block > 1:
            size = (height * block, width * block)
            shuffled = self.emit(
                "depth_to_space", (name,), ShuffleAttrs(block), channels=len(order) // block**2, size=size
            )
            name = shuffled.source
        self.hint = hint
        return name

    def channels(self, value: View) -> int:
        """Channels of a four-dimensional view."""
        return value.shape[1]


@dataclass(eq=False)
class _Walk:
    importer: Importer
    values: dict[Any, Value]
    dims: dict[str, int]
    layers: dict[int, str]  # id of a constant array -> name of its layer
    names: Mapping[str, str]  # variable -> how it is really called, where a frontend had to mangle that
    problems: list[str] = field(default_factory=list)


def import_relax(
    module: tvm.IRModule,
    constants: Mapping[str, NDArray[Any]],
    source: str = "the model",
    names: Mapping[str, str] | None = None,
) -> RawGraph:
    """Import `main` of a Relax module: its first parameter is the picture (1, C, H, W), the others are in `constants`.

    `names` says how variables are really called, where their names had to be mangled.

    Raises InputFileError that lists everything unsupported, each with its place in the model.
    """
    from tvmsr.frontend.relax_ops import HANDLERS

    function = module["main"]
    picture, *rest = function.params
    missing = [var.name for var in rest if var.name not in constants]
    if missing:
        raise InputFileError(
            f"{source}: has inputs besides the picture: {', '.join(missing)}; export it with one input"
        )
    dims: dict[str, int] = {}
    shape = _picture_shape(picture, dims, source)
    walk = _Walk(Importer({INPUT: shape}), {}, dims, {}, names or {})
    _bind(walk, picture, views.whole(INPUT, *shape))
    for var in rest:
        array = np.asarray(constants[var.name])
        walk.layers[id(array)] = _layer_name(walk.names.get(var.name, var.name))
        _bind(walk, var, array)
    for block in function.body.blocks:
        for binding in block.bindings:
            _bind(walk, binding.var, _visit(walk, binding, HANDLERS))
    if walk.problems:
        raise InputFileError(report(PurePath(source).name, walk.problems))
    return _finish(walk, function.body.body, source, shape[0])


def _finish(walk: _Walk, body: Any, source: str, channels: int) -> RawGraph:
    result = _value(walk, body)
    while isinstance(result, tuple):
        if len(result) != 1:
            raise InputFileError(f"{source}: has {len(result)} outputs; export it with one, the upscaled picture")
        result = result[0]
    try:
        output = walk.importer.tensor(result)
    except UnsupportedError as error:
        raise InputFileError(report(PurePath(source).name, [f"the output: {error.reason}"])) from error
    return RawGraph(Graph(tuple(walk.importer.nodes.values()), output), channels)


def _picture_shape(picture: Any, dims: dict[str, int], source: str) -> tuple[int, int, int]:
    shape = picture.ty.shape
    if shape is None or len(shape) != 4 or str(picture.ty.dtype) != "float32":
        raise InputFileError(f"{source}: its input is {picture.ty}, not a float32 tensor (1, channels, height, width)")
    for dim, stand_in in zip(shape, (1, 3, _HEIGHT, _WIDTH), strict=True):
        if hasattr(dim, "name"):
            dims.setdefault(dim.name, stand_in)
    batch, channels, height, width = (evaluate(dim, dims) for dim in shape)
    if batch != 1 or channels not in (1, 3):
        raise InputFileError(
            f"{source}: its input is {picture.ty}; expected 1 picture of 1 or 3 channels, channels first"
        )
    return channels, height, width


def _bind(walk: _Walk, var: Any, value: Value) -> None:
    walk.values[var] = value


def _visit(walk: _Walk, binding: Any, handlers: Mapping[str, Any]) -> Value:
    expression = binding.value
    name = getattr(getattr(expression, "op", None), "name", None)
    if name is None:
        return _value(walk, expression)
    if name == "relax.call_tir":  # a frontend made a kernel of what has no Relax operator
        walk.problems.append(_problem(expression.args[0].name_hint, binding.var, UnsupportedError("is not supported")))
        return Unknown()
    args = [_argument(walk, arg) for arg in expression.args]
    if name in handlers and any(_is_unknown(arg) for arg in args):
        return Unknown()
    importer = walk.importer
    importer.hint = _hint(walk, binding.var.name, name, args)
    try:
        handler = handlers.get(name)
        if handler is None:
            from tvmsr.frontend.relax_ops import INSTEAD

            raise UnsupportedError("is not supported", INSTEAD.get(name, ""))
        return handler(importer, args, expression.attrs)
    except (UnsupportedError, ViewError) as error:
        walk.problems.append(_problem(name, binding.var, error))
        return Unknown()
    finally:
        importer.hint = ""


def _problem(name: str, var: Any, error: Exception) -> str:
    reason, instead = getattr(error, "reason", str(error)), getattr(error, "instead", "")
    return f"{name.removeprefix('relax.')} ({var.name}: {var.ty}): {reason}" + (f"; use {instead}" if instead else "")


def _hint(walk: _Walk, var: str, op: str, args: list[Any]) -> str:
    """The checkpoint's own name for a layer with weights, else the variable's, else none."""
    for arg in args[1:2]:
        if isinstance(arg, np.ndarray) and id(arg) in walk.layers and op in ("relax.nn.conv2d", "relax.nn.prelu"):
            return walk.layers[id(arg)]
    return walk.names.get(var, "" if _ANONYMOUS.fullmatch(var) else var)


def _layer_name(key: str) -> str:
    """body.0.weight -> body.0, layer/kernel -> layer, arg:conv0_weight -> conv0."""
    return re.sub(r"[._/](weight|kernel|slope|alpha)$", "", re.sub(r"^(arg|aux):", "", key))


def _is_unknown(value: object) -> bool:
    return isinstance(value, Unknown) or (isinstance(value, tuple) and any(_is_unknown(v) for v in value))


def _value(walk: _Walk, expression: Any) -> Value:
    kind = type(expression).__name__
    if kind in ("Var", "DataflowVar"):
        return walk.values[expression]
    if kind == "Tuple":
        return tuple(_value(walk, item) for item in expression.fields)
    if kind == "TupleGetItem":
        items = walk.values[expression.tuple_value]
        return items[expression.index] if isinstance(items, tuple) else Unknown()
    if kind == "GenericConst":
        return np.asarray(expression.value.numpy())
    if kind in ("IntImm", "FloatImm"):
        return np.asarray(expression.value)
    walk.problems.append(f"{kind}: is not supported")
    return Unknown()


def _argument(walk: _Walk, arg: Any) -> Any:
    """An argument of an operator: a Value, a shape as a tuple of ints, or a number."""
    kind = type(arg).__name__
    if kind == "ShapeExpr":
        return tuple(evaluate(dim, walk.dims) for dim in arg.values)
    if kind in ("IntImm", "FloatImm"):
        return arg.value
    if kind == "Tuple" and all(
        type(field).__name__ not in ("Var", "DataflowVar", "GenericConst") for field in arg.fields
    ):
        return tuple(evaluate(dim, walk.dims) for dim in arg.fields)
    return _value(walk, arg)


def evaluate(dim: Any, dims: Mapping[str, int]) -> int:
    """A dimension as a number, stand-ins in place of its variables."""
    kind = type(dim).__name__
    if kind in ("IntImm", "FloatImm"):
        return int(dim.value)
    if kind == "Var":
        return dims[dim.name]
    if kind == "Cast":
        return evaluate(dim.value, dims)
    if kind in _ARITHMETIC:
        return _ARITHMETIC[kind](evaluate(dim.a, dims), evaluate(dim.b, dims))
    raise UnsupportedError(f"the size {dim}")


_ARITHMETIC: Mapping[str, Any] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "FloorDiv": lambda a, b: a // b,
    "FloorMod": lambda a, b: a % b,
    "Max": max,
    "Min": min,
}
