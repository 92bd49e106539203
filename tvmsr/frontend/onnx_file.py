"""`.onnx` -> Model, through TVM's Relax frontend. Opsets 11 to 21."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmsr.errors import InputFileError
from tvmsr.frontend.checkpoint import build_model
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.conventions_of_file import conventions
from tvmsr.frontend.onnx_prepare import picture_inputs, prepare
from tvmsr.frontend.relax_import import RawGraph, import_relax
from tvmsr.frontend.unsupported import report
from tvmsr.graph.model import Model

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 11

#: Every operator that can become part of the canonical graph, and those that vanish on the way.
SUPPORTED = frozenset(
    """
    Add BatchNormalization Cast Clip Concat Constant Conv DepthToSpace Div Dropout Erf Expand Flatten Gather Gelu
    Greater GreaterOrEqual Identity LeakyRelu Max Min Mul Neg PRelu Pad Relu Reshape Resize Sigmoid Slice Split Squeeze
    Sub Sum Tanh Tile Transpose Unsqueeze Where
    """.split()  # noqa: SIM905 - a table of words
)

#: What could stand in place of operators that SR networks use and that are not supported (yet).
INSTEAD = {
    "ConvTranspose": "a convolution and DepthToSpace",
    "GlobalAveragePool": "a network without channel attention",
    "ReduceMean": "a network without channel attention",
    "MaxPool": "a strided convolution",
    "AveragePool": "a strided convolution",
    "MatMul": "a 1x1 convolution",
    "Gemm": "a 1x1 convolution",
    "Softmax": "a network without self-attention",
    "LayerNormalization": "BatchNormalization",
    "InstanceNormalization": "BatchNormalization",
    "QLinearConv": "the FP32 network: tvmsr quantizes itself",
    "DequantizeLinear": "the FP32 network: tvmsr quantizes itself",
    "QuantizeLinear": "the FP32 network: tvmsr quantizes itself",
}


def import_onnx(path: Path, choices: Choices, name: str) -> Model:
    """A Model from an ONNX file."""
    raw = _import(_read(path), str(path))
    value_range, colour = conventions(raw, choices)
    return build_model(raw, choices, name, "onnx", value_range, colour, _licence(path))


def _read(path: Path) -> onnx.ModelProto:
    import onnx

    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf and missing external data raise what they like
        raise InputFileError(f"{path}: is not a valid ONNX file ({_first_line(error)})") from error
    _report_problems([_problem(n) for n in model.graph.node if not _is_standard(n)], str(path))
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker raises what it likes
        raise InputFileError(f"{path}: is not a valid ONNX file ({_first_line(error)})") from error
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or versions[0] < OLDEST_OPSET:
        raise InputFileError(f"{path}: has opset {versions[0] if versions else 'none'}; export it with opset 11 to 21")
    return model


def _licence(path: Path) -> str:
    import onnx

    from tvmsr.frontend.checkpoint import licence_of

    model = onnx.load(path, load_external_data=False)
    return licence_of({entry.key: entry.value for entry in model.metadata_props})


def _import(model: onnx.ModelProto, source: str) -> RawGraph:
    _check_ends(model, source)
    try:
        fixed = prepare(model)
    except Exception as error:
        raise InputFileError(f"{source}: its shapes cannot be computed ({_first_line(error)})") from error
    _check_operators(fixed, source)
    module = _to_relax(fixed, source)
    params = module["main"].params
    values = module["main"].attrs.get("params", [])
    names = params[len(params) - len(values) :]
    constants: dict[str, Any] = {var.name: np.asarray(v.numpy()) for var, v in zip(names, values, strict=True)}
    return import_relax(module, constants, source)


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
    unfit = [n for n in model.graph.node if not _is_standard(n) or n.op_type not in SUPPORTED]
    _report_problems([_problem(node) for node in unfit], source)


def _problem(node: onnx.NodeProto) -> str:
    place = f"node {node.name or 'without a name'}, makes {', '.join(node.output)}"
    what = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    instead = INSTEAD.get(node.op_type)
    return f"{what} ({place}): is not supported" + (f"; use {instead}" if instead else "")


def _report_problems(problems: list[str], source: str) -> None:
    if problems:
        raise InputFileError(report(source, problems))


def _to_relax(model: onnx.ModelProto, source: str) -> Any:
    from tvm.relax.frontend.onnx import from_onnx

    said = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.simplefilter("ignore")
            return from_onnx(model, keep_params_in_input=True)
    except Exception as error:
        detail = said.getvalue().split(", with inputs")[0].replace("Error converting operator", "").strip()
        place = f" at {detail}" if detail else ""
        raise InputFileError(f"{source}: TVM's ONNX frontend fails{place} ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines and "Traceback" in lines[0] else (lines[0] if lines else type(error).__name__)
