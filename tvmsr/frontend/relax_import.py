"""Relax IRModule -> graph: walks the bindings of `main`; relax_ops.py says what each operator becomes.

What comes out is not canonical yet: batch norm, biases and constants are `affine` nodes, activations stand alone, pixel
shuffles are a gather and a depth_to_space. Every node of it runs on the FP32 executor as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import gcd
from pathlib import PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.frontend.importer import Importer, Sizes, Unknown, UnsupportedError, Value
from tvmsr.frontend.own_ops import PREFIX
from tvmsr.frontend.sizes import RawGraph, at_one_size, at_sizes
from tvmsr.frontend.unsupported import Problem, UnsupportedFileError
from tvmsr.frontend.views import View, ViewError
from tvmsr.frontend.words import attributes_in_words, in_words, shape_in_words
from tvmsr.graph.model import INPUT, Graph
from tvmsr.operations.operation import ShapeError

if TYPE_CHECKING:
    import tvm

__all__ = ["RawGraph", "Source", "fixed_sizes", "import_at", "import_relax"]

#: Names that the TVM frontends give when they have none.
_ANONYMOUS = re.compile(r"(lv|gv)\d*")


@dataclass(frozen=True)
class Source:
    """What a frontend knows of a module besides the module.

    names: how variables are really called; places: where in the model a variable comes from.
    """

    title: str = "the model"
    names: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class _Walk:
    importer: Importer
    dims: Mapping[str, int]
    source: Source
    places: Mapping[str, str]
    values: dict[Any, Value] = field(default_factory=dict)
    layers: dict[int, str] = field(default_factory=dict)  # id of a constant array -> name of its layer
    problems: list[Problem] = field(default_factory=list)


def import_relax(
    module: tvm.IRModule,
    constants: Mapping[str, NDArray[Any]],
    source: str = "the model",
    names: Mapping[str, str] | None = None,
) -> RawGraph:
    """Import `main` of a Relax module: its first parameter is the picture (1, C, H, W), the others are in `constants`.

    `names` says how variables are really called, where their names had to be mangled. Symbolic sizes get numbers that
    suit the network.

    Raises InputFileError that lists everything unsupported, each with its place in the model.
    """
    about = Source(source, names or {})
    shape = _picture_shape(module, source)
    if any(hasattr(dim, "name") for dim in shape[2:]):
        return at_sizes(lambda sizes: import_at(module, constants, about, sizes), source)
    return at_one_size(import_at(module, constants, about, fixed_sizes(*(int(dim.value) for dim in shape[2:]))))


def fixed_sizes(height: int, width: int) -> Sizes:
    """Of a module whose sizes are numbers already: nothing is known of other sizes."""
    return Sizes(height, width, gcd(height, width))


def import_at(module: tvm.IRModule, constants: Mapping[str, NDArray[Any]], source: Source, sizes: Sizes) -> RawGraph:
    """The graph of `main` for a picture of that size."""
    from tvmsr.frontend.relax_ops import HANDLERS

    function = module["main"]
    picture, *rest = function.params
    missing = [var.name for var in rest if var.name not in constants]
    if missing:
        raise InputFileError(
            f"{source.title}: has inputs besides the picture: {', '.join(missing)}; export it with one input"
        )
    channels, dims = _channels_and_dims(module, source.title, sizes)
    walk = _Walk(Importer.start(channels, sizes), dims, source, _places(function, source.places))
    walk.values[picture] = walk.importer.whole(INPUT)
    for var in rest:
        array = np.asarray(constants[var.name])
        walk.layers[id(array)] = _layer_name(source.names.get(var.name, var.name))
        walk.values[var] = array
    for block in function.body.blocks:
        for binding in block.bindings:
            walk.values[binding.var] = _visit(walk, binding, HANDLERS)
    if walk.problems:
        raise UnsupportedFileError(PurePath(source.title).name, walk.problems)
    return _finish(walk, function.body.body, channels)


def _finish(walk: _Walk, body: Any, channels: int) -> RawGraph:
    title = walk.source.title
    result = _value(walk, body)
    while isinstance(result, tuple):
        if len(result) != 1:
            raise InputFileError(f"{title}: has {len(result)} outputs; export it with one, the upscaled picture")
        result = result[0]
    net = walk.importer
    try:
        output = net.tensor(result)
    except (UnsupportedError, ViewError, ShapeError) as error:
        raise UnsupportedFileError(PurePath(title).name, [Problem.of("the output", "", error)]) from error
    return RawGraph(_needed(net, output), channels, net.by_size, pads_nothing=net.pads_nothing)


def _needed(importer: Importer, output: str) -> Graph:
    """The graph without what was emitted on the way to something else."""
    wanted, kept = {output}, []
    for node in reversed(importer.nodes.values()):
        if node.name in wanted:
            wanted.update(node.inputs)
            kept.append(node)
    marks = {name: mark for name, mark in importer.marks.items() if name in wanted}
    return Graph(tuple(reversed(kept)), output, marks)


def _picture_shape(module: tvm.IRModule, source: str) -> Any:
    kind = module["main"].params[0].ty
    shape = getattr(kind, "shape", None)
    if shape is None or len(shape) != 4 or str(kind.dtype) != "float32":
        raise InputFileError(f"{source}: its input is {kind}, not a float32 tensor (1, channels, height, width)")
    return tuple(shape)


def _channels_and_dims(module: tvm.IRModule, source: str, sizes: Sizes) -> tuple[int, dict[str, int]]:
    shape, dims = _picture_shape(module, source), dict[str, int]()
    for dim, stand_in in zip(shape, (1, 3, sizes.height, sizes.width), strict=True):
        if hasattr(dim, "name"):
            dims.setdefault(dim.name, stand_in)
    batch, channels = (evaluate(dim, dims) for dim in shape[:2])
    if batch != 1 or channels not in (1, 3):
        raise InputFileError(
            f"{source}: its input is {module['main'].params[0].ty}; "
            "expected 1 picture of 1 or 3 channels, channels first"
        )
    return channels, dims


def _visit(walk: _Walk, binding: Any, handlers: Mapping[str, Any]) -> Value:
    expression = binding.value
    name = getattr(getattr(expression, "op", None), "name", None)
    if name is None:
        return _value(walk, expression)
    args, attrs = [_argument(walk, arg) for arg in expression.args], expression.attrs
    if name == "relax.call_pure_packed":
        name, args, attrs = str(args[0]), args[1:-1], SimpleNamespace(**json.loads(args[-1]))
    elif name == "relax.call_tir":  # a frontend made a kernel of what has no Relax operator
        name, args = expression.args[0].name_hint, args[1:]
    if any(_is_unknown(arg) for arg in args):
        return Unknown()
    importer = walk.importer
    importer.hint = _hint(walk, binding.var.name, name, args)
    try:
        handler = handlers.get(name)
        if handler is None:
            raise UnsupportedError("is not supported", _instead(name))
        result = handler(importer, args, attrs)
        _check_shape(walk, binding.var, result)
        return result
    except (UnsupportedError, ViewError, ShapeError) as error:
        walk.problems.append(_problem(walk, name, attrs, binding.var, error))
        return Unknown()
    finally:
        importer.hint = ""


def _instead(name: str) -> str:
    from tvmsr.frontend.unsupported import INSTEAD

    return INSTEAD.get(name.rsplit(".", maxsplit=1)[-1], "")


def _check_shape(walk: _Walk, var: Any, result: Value) -> None:
    """What a handler made is as large as Relax says: a misread operator is reported and never computed."""
    shape = getattr(var.ty, "shape", None)
    if isinstance(result, View) and shape is not None:
        wanted = tuple(evaluate(dim, walk.dims) for dim in shape)
        if result.shape != wanted:
            raise UnsupportedError(f"makes {wanted} values, which is taken for {result.shape}")


def _problem(walk: _Walk, name: str, attrs: Any, var: Any, error: Exception) -> Problem:
    if name == f"{PREFIX}unsupported":
        return Problem(attrs.what, attrs.place, str(attrs.attributes), attrs.reason, _instead(attrs.what))
    place = walk.places.get(var.name) or f"makes {_kind_in_words(walk, var)}"
    kind = name.removeprefix("relax.").removeprefix(PREFIX)
    found = Problem.of(kind, place, error, _attributes(attrs))
    return replace(found, reason=in_words(found.reason, walk.importer.sizes.height, walk.importer.sizes.width))


def _kind_in_words(walk: _Walk, var: Any) -> str:
    sizes, shape = walk.importer.sizes, getattr(var.ty, "shape", None)
    if shape is None:
        return f"several tensors, {var.name}"
    made = shape_in_words(tuple(evaluate(dim, walk.dims) for dim in shape), sizes.height, sizes.width)
    return made if _ANONYMOUS.fullmatch(var.name) else f"{var.name}: {made}"


def _attributes(attrs: Any) -> str:
    """Attributes in words: a=1, b=(2, 3)."""
    if isinstance(attrs, SimpleNamespace):  # of an operation of ours
        return ", ".join(f"{key}={value}" for key, value in vars(attrs).items())
    text = str(attrs) if attrs is not None else ""
    return attributes_in_words(text[text.index("(") + 1 : -1]) if "(" in text else ""


def _places(function: Any, known: Mapping[str, str]) -> dict[str, str]:
    """Where in the model each variable comes from: those on the way to a value come from where it does."""
    places, place = dict[str, str](), ""
    for block in reversed(function.body.blocks):
        for binding in reversed(block.bindings):
            place = known.get(binding.var.name, place)
            if place:
                places[binding.var.name] = place
    return places


def _hint(walk: _Walk, var: str, op: str, args: list[Any]) -> str:
    """The checkpoint's own name for a layer with weights, else the variable's, else none."""
    for arg in args[1:2]:
        owner = arg if not isinstance(arg, np.ndarray) or arg.base is None else arg.base
        for array in (arg, owner):
            if isinstance(array, np.ndarray) and id(array) in walk.layers and op in _LAYERS:
                return walk.layers[id(array)]
    return walk.source.names.get(var, "" if _ANONYMOUS.fullmatch(var) else var)


_QUANTIZED = "(_DequantizeLinear_Output|_dequantized|_dq)?"
_LAYERS = ("relax.nn.conv2d", "relax.nn.conv2d_transpose", "relax.nn.prelu", "relax.nn.layer_norm", "relax.matmul")


def _layer_name(key: str) -> str:
    """body.0.weight -> body.0, layer/kernel -> layer, arg:conv0_weight -> conv0; the same where it was quantized."""
    return re.sub(rf"[._/](weight|kernel|slope|alpha){_QUANTIZED}$", "", re.sub(r"^(arg|aux):", "", key))


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
    walk.problems.append(Problem(kind, "", "", "is not supported", ""))
    return Unknown()


def _argument(walk: _Walk, arg: Any) -> Any:
    """An argument of an operator: a Value, a shape as a tuple of ints, a number or a text."""
    kind = type(arg).__name__
    if kind == "ShapeExpr":
        return tuple(evaluate(dim, walk.dims) for dim in arg.values)
    if kind in ("IntImm", "FloatImm", "StringImm"):
        return arg.value
    if kind == "ExternFunc":
        return arg.global_symbol
    if kind == "GlobalVar":
        return arg.name_hint
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
