"""`.onnx` -> Model, through TVM's Relax frontend. Opsets 9 to 21."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmsr.errors import InputFileError
from tvmsr.frontend.checkpoint import build_model, licence_of
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.conventions_of_file import conventions
from tvmsr.frontend.importer import Sizes
from tvmsr.frontend.onnx_call import LostError
from tvmsr.frontend.onnx_checks import read_onnx
from tvmsr.frontend.onnx_ops import SUPPORTED
from tvmsr.frontend.onnx_prepare import fixed_size, picture_inputs, prepare, shapes_of
from tvmsr.frontend.onnx_relax import first_line, problem_of, to_relax
from tvmsr.frontend.relax_import import RawGraph, Source, fixed_sizes, import_at
from tvmsr.frontend.sizes import AtSizeError, at_one_size, at_sizes
from tvmsr.frontend.unsupported import UnsupportedFileError
from tvmsr.graph.model import Model

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 9
#: Operators that compute with sizes, and are gone once these are numbers.
_COMPUTED = frozenset(("Shape", "Size", "Range", "Floor", "Ceil", "Mod", "Equal", "Not", "And", "Or", "Less"))


def import_onnx(path: Path, choices: Choices, name: str) -> Model:
    """A Model from an ONNX file."""
    model = _read(path)
    raw = _import(model, str(path))
    value_range, colour = conventions(raw, choices)
    licence = licence_of({entry.key: entry.value for entry in model.metadata_props})
    return build_model(raw, choices, name, "onnx", value_range, colour, licence)


def _read(path: Path) -> onnx.ModelProto:
    import onnx

    model = read_onnx(path)
    _check_operators(model, str(path))
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker raises what it likes
        raise InputFileError(f"{path}: is not a valid ONNX file ({first_line(error)})") from error
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or versions[0] < OLDEST_OPSET:
        raise InputFileError(f"{path}: has opset {versions[0] if versions else 'none'}; export it with opset 9 to 21")
    return model


def _import(model: onnx.ModelProto, source: str) -> RawGraph:
    _check_ends(model, source)
    height, width = fixed_size(model.graph)
    if height is not None and width is not None:
        return at_one_size(_attempt(model, source, fixed_sizes(height, width)))
    return at_sizes(
        lambda sizes: _attempt(model, source, Sizes(height or sizes.height, width or sizes.width, sizes.multiple)),
        source,
    )


def _attempt(model: onnx.ModelProto, source: str, sizes: Sizes) -> RawGraph:
    """The graph of a model for pictures of that size."""
    try:
        fixed = prepare(model, sizes.height, sizes.width)
        shapes = shapes_of(fixed)
    except Exception as error:
        raise AtSizeError(f"{source}: its shapes cannot be computed ({first_line(error)})") from error
    try:
        module, places = to_relax(fixed, shapes)
    except LostError as error:
        raise UnsupportedFileError(source, [error.problem]) from error
    except Exception as error:
        raise AtSizeError(f"{source}: TVM's ONNX frontend fails ({first_line(error)})") from error
    params = module["main"].params
    values = module["main"].attrs.get("params", [])
    names = params[len(params) - len(values) :]
    constants: dict[str, Any] = {var.name: np.asarray(v.numpy()) for var, v in zip(names, values, strict=True)}
    return import_at(module, constants, Source(source, {}, places), sizes)


def _check_ends(model: onnx.ModelProto, source: str) -> None:
    import onnx

    pictures = picture_inputs(model.graph)
    if len(pictures) != 1 or len(model.graph.output) != 1:
        raise InputFileError(
            f"{source}: has {len(pictures)} inputs and {len(model.graph.output)} outputs; export it with one of each"
        )
    kind = pictures[0].type.tensor_type
    if kind.elem_type != onnx.TensorProto.FLOAT or len(kind.shape.dim) != 4:
        name = onnx.TensorProto.DataType.Name(kind.elem_type)
        raise InputFileError(
            f"{source}: its input is {name} with {len(kind.shape.dim)} dimensions; "
            "expected FLOAT (1, channels, height, width)"
        )


def _is_standard(node: onnx.NodeProto) -> bool:
    """An operator of ONNX itself, which its checker knows."""
    import onnx

    return node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type)


def _check_operators(model: onnx.ModelProto, source: str) -> None:
    """Operators of others end it at once, as nothing is known of what they make; all the unknown ones are named."""
    unfit = [node for node in model.graph.node if not _is_standard(node)]
    if not unfit:
        return
    unknown = [n for n in model.graph.node if not _is_standard(n) or n.op_type not in SUPPORTED | _COMPUTED]
    raise UnsupportedFileError(source, [problem_of(node) for node in unknown])
