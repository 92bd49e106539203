"""torch.export programs (`.pt2`) and nn.Modules -> Model, through TVM's Relax frontend. Needs `tvmsr[torch]`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend.checkpoint import build_model
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.conventions_of_file import conventions
from tvmsr.frontend.readers.exported_file import safe_archive
from tvmsr.frontend.relax_import import RawGraph, import_relax
from tvmsr.graph.model import Model


def import_exported(path: Path, choices: Choices, name: str) -> Model:
    """A Model from a .pt2 file; what `torch.export.load` would run of it is refused or left out."""
    torch = _torch(str(path))
    archive = safe_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(archive)
    except Exception as error:
        raise InputFileError(
            f"{path}: torch.export.load cannot read it ({_first_line(error)}); save it with torch.export.save"
        ) from error
    return _import(program, choices, name)


def import_module(module: Any, choices: Choices, example_size: tuple[int, int], name: str | None) -> Model:
    """A Model from a torch.nn.Module, exported in evaluation mode with a picture of `example_size` (height, width)."""
    torch = _torch(choices.source)
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"cannot import a {type(module).__name__}: give a file, a state dict or a torch.nn.Module")
    first = next((m for m in module.modules() if isinstance(m, torch.nn.Conv2d)), None)
    channels = first.in_channels if first is not None and first.in_channels in (1, 3) else 3
    training = module.training
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(module.eval(), (torch.zeros(1, channels, *example_size),))
    except Exception as error:
        raise InputFileError(f"{choices.source}: torch.export fails ({_first_line(error)})") from error
    finally:
        module.train(training)
    return _import(program, choices, name or type(module).__name__)


def _torch(source: str) -> Any:
    try:
        import torch
        import torch.export
    except ImportError as error:
        raise UsageError(f"{source}: needs PyTorch, which is not installed; pip install tvmsr[torch]") from error
    return torch


def _import(program: Any, choices: Choices, name: str) -> Model:
    raw = _to_graph(program, choices.source)
    value_range, colour = conventions(raw, choices)
    return build_model(raw, choices, name, "torch", value_range, colour, "unknown")


def _to_graph(program: Any, source: str) -> RawGraph:
    from tvm.relax.frontend.torch import from_exported_program

    converters = dict.fromkeys(("upsample_nearest2d.vec", "upsample_nearest2d.default"), _nearest)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = from_exported_program(program, keep_params_as_input=True, custom_convert_map=converters)
    except Exception as error:
        raise InputFileError(f"{source}: TVM's PyTorch frontend fails ({_first_line(error)})") from error
    function = module["main"].without_attr("tir_var_upper_bound").without_attr("tir_var_lower_bound")
    values = function.attrs.get("params", ())
    variables = function.params[len(function.params) - len(values) :]
    constants = {var.name: np.asarray(v.numpy()) for var, v in zip(variables, values, strict=True)}
    module.update_func(module.get_global_var("main"), function)
    return import_relax(module, constants, source, _names(program))


def _names(program: Any) -> dict[str, str]:
    """Variable of the exported program -> key in the state dict."""
    signature = program.graph_signature
    return {**signature.inputs_to_parameters, **signature.inputs_to_buffers}


def _nearest(node: Any, importer: Any) -> Any:
    """upsample_nearest2d by constant factors: TVM's own converter fails where the size is symbolic."""
    from tvm import relax

    x = importer.env[node.args[0]]
    _, _, height, width = x.ty.shape
    size, factors = node.args[1], node.args[2] if len(node.args) > 2 else None
    if factors is not None and all(float(f) == int(f) for f in factors):
        target = (height * int(factors[0]), width * int(factors[1]))
    elif size is not None and all(isinstance(n, int) for n in size):
        target = tuple(size)
    else:
        raise ValueError("nearest-neighbour upsampling by a factor that is not a whole number")
    return importer.block_builder.emit(
        relax.op.image.resize2d(
            x,
            target,
            layout="NCHW",
            method="nearest_neighbor",
            coordinate_transformation_mode="asymmetric",
            rounding_method="floor",
        )
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
