"""torch.export programs (`.pt2`) and nn.Modules -> Model, through TVM's Relax frontend. Needs `tvmsr[torch]`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend.checkpoint import build_model
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.conventions_of_file import conventions
from tvmsr.frontend.importer import Sizes
from tvmsr.frontend.readers.exported_file import safe_archive
from tvmsr.frontend.relax_import import RawGraph, Source, fixed_sizes, import_at
from tvmsr.frontend.sizes import AtSizeError, at_one_size, at_sizes
from tvmsr.frontend.torch_check import Run, check, runnable
from tvmsr.frontend.torch_relax import to_relax
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
    raw = _of_program(torch, program, str(path))
    return _model(raw, choices, name, runnable(program))


def _of_program(torch: Any, program: Any, source: str) -> RawGraph:
    """The graph of a program; one for pictures of any size is exported again for some."""
    placeholder = next((n for n in program.graph.nodes if n.name in program.graph_signature.user_inputs), None)
    shape = placeholder.meta["val"].shape if placeholder is not None else ()
    if len(shape) != 4 or len(program.graph_signature.user_inputs) != 1:
        raise InputFileError(
            f"{source}: has {len(program.graph_signature.user_inputs)} inputs, the first with {len(shape)} dimensions; "
            "export it with one input, a picture (1, channels, height, width)"
        )
    example = [n if isinstance(n, int) else int(n.node.hint or 64) for n in shape]
    if all(isinstance(n, int) for n in shape):
        height, width = example[2:]
        return at_one_size(_to_graph(program, source, fixed_sizes(height, width)), (height, width))
    return _at_sizes(torch, program.module(check_guards=False), example[1], (example[2], example[3]), source)


def import_module(module: Any, choices: Choices, example_size: tuple[int, int], name: str | None) -> Model:
    """A Model from a torch.nn.Module, exported in evaluation mode with a picture of `example_size` (height, width)."""
    torch = _torch(choices.source)
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"cannot import a {type(module).__name__}: give a file, a state dict or a torch.nn.Module")
    first = next((m for m in module.modules() if isinstance(m, torch.nn.Conv2d)), None)
    channels = first.in_channels if first is not None and first.in_channels in (1, 3) else 3
    training = module.training
    try:
        raw = _at_sizes(torch, module.eval(), channels, example_size, choices.source)
        return _model(raw, choices, name or type(module).__name__, module)
    finally:
        module.train(training)


def _torch(source: str) -> Any:
    try:
        import torch
        import torch.export
    except ImportError as error:
        raise UsageError(f"{source}: needs PyTorch, which is not installed; pip install tvmsr[torch]") from error
    return torch


@contextmanager
def _quiet_exports() -> Iterator[None]:
    """Sizes that do not suit a network fail, and others are tried: nothing that torch should write about."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before


def _export(torch: Any, module: Any, channels: int, sizes: Sizes, source: str) -> Any:
    """The program of a module for pictures of that size."""
    try:
        with _quiet_exports(), torch.no_grad():
            return torch.export.export(module, (torch.zeros(1, channels, sizes.height, sizes.width),))
    except Exception as error:
        raise AtSizeError(f"{source}: torch.export fails ({_first_line(error)})") from error


def _at_sizes(torch: Any, module: Any, channels: int, example: tuple[int, int], source: str) -> RawGraph:
    """The graph of a module: exported for several sizes, the example's last, until one gives it."""

    def attempt(sizes: Sizes) -> RawGraph:
        return _to_graph(_export(torch, module, channels, sizes, source), source, sizes)

    return at_sizes(attempt, source, fixed_sizes(*example))


def _model(raw: RawGraph, choices: Choices, name: str, run: Run | None) -> Model:
    """run: what computes the network in torch, where that may be run."""
    value_range, colour = conventions(raw, choices)
    if run is not None:
        check(run, raw, value_range, choices.source)
    return build_model(raw, choices, name, "torch", value_range, colour, "unknown")


def _to_graph(program: Any, source: str, sizes: Sizes) -> RawGraph:
    """The graph of a program whose sizes are numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module, places = to_relax(program)
    except Exception as error:
        raise InputFileError(f"{source}: TVM's PyTorch frontend fails ({_first_line(error)})") from error
    function = module["main"]
    values = function.attrs.get("params", ())
    variables = function.params[len(function.params) - len(values) :]
    constants = {var.name: np.asarray(v.numpy()) for var, v in zip(variables, values, strict=True)}
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    return import_at(module, constants, Source(source, names, places), sizes)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
