"""`load_model`: the one entry of the frontends. A file, a module or a state dict in, a canonical Model out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend.choices import Choices, Overrides
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.state import normalise
from tvmsr.frontend.surprises import as_input_error, check_weights, quiet_failures
from tvmsr.graph.model import Colour, Model

#: What a file name may end in, and what reads it.
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".onnx", ".pt2")


def load_model(
    source: str | Path | Mapping[str, Any] | Any,
    *,
    family: str | None = None,
    scale: int | None = None,
    value_range: float | None = None,
    colour: str | Colour | None = None,
    slope: float | None = None,
    activation: str | None = None,
    residual_scale: float | None = None,
    licence: str | None = None,
    example_size: tuple[int, int] = (24, 32),
    name: str | None = None,
) -> Model:
    """Import a network.

    Parameters
    ----------
    source
        A .safetensors, .pth, .pt, .onnx or .pt2 file, a state dict, or a torch.nn.Module.
    family, scale, value_range, colour, slope, activation, residual_scale
        What the file cannot tell, or to contradict what the family assumes. `value_range` is 1 or 255, `colour` rgb,
        y (studio range), y-full or ycbcr (full range): what the network takes and gives.
    licence
        Licence of the weights, where their file does not state it; an artifact's manifest carries it.
    example_size
        Height and width of the picture with which an nn.Module is exported.
    name
        Name of the model; the file's stem unless given.

    Raises
    ------
    InputFileError
        Where the file is damaged or holds what is not supported.
    UsageError
        Where two conventions fit and none was given, or an option contradicts the file.

    """
    options = Overrides(family, scale, value_range, _colour(colour), slope, activation, residual_scale, licence)
    _check(options)
    where = _where(source, name)
    with quiet_failures(), as_input_error(where, "cannot be imported"):
        model = _import(source, Choices(options, where), example_size, name)
    check_weights(model, where)
    return model


def _where(source: Any, name: str | None) -> str:
    """What errors call the source."""
    if isinstance(source, str | Path):
        return str(Path(source))
    return name or ("the state dict" if isinstance(source, Mapping) else type(source).__name__)


def _import(source: Any, choices: Choices, example_size: tuple[int, int], name: str | None) -> Model:
    if isinstance(source, str | Path):
        return _load_file(Path(source), choices, name or _name_of(Path(source)))
    if isinstance(source, Mapping):
        from tvmsr.frontend.checkpoint import import_state

        return import_state(normalise(_as_arrays(source), choices.source), choices, name or "model", "unknown")
    from tvmsr.frontend.torch_export import import_module

    return import_module(source, choices, example_size, name)


def _name_of(path: Path) -> str:
    """The stem of a file, as it can be shown and written anywhere."""
    return "".join(c if c.isprintable() else "_" for c in path.stem)


def _colour(colour: str | Colour | None) -> str | None:
    if colour is None:
        return None
    try:
        return Colours(getattr(colour, "value", colour)).value
    except ValueError:
        known = ", ".join(known.value for known in Colours)
        raise UsageError(f"--colour {colour}: known are {known}") from None


def _check(options: Overrides) -> None:
    if options.scale is not None and not 1 <= options.scale <= 16:
        raise UsageError(f"--scale {options.scale}: scales from 1 to 16 make sense")
    if options.value_range is not None and not 0 < options.value_range < 1e6:
        raise UsageError(f"--range {options.value_range}: give the value of white, 1 or 255")
    known = (None, "relu", "leaky", "tanh", "none")
    if options.activation not in known:
        raise UsageError(f"--activation {options.activation}: known are relu, leaky, tanh, none")


def _load_file(path: Path, choices: Choices, name: str) -> Model:
    if not path.is_file():
        raise InputFileError(f"{path}: {'is a folder' if path.is_dir() else 'there is no such file'}")
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        from tvmsr.frontend.onnx_file import import_onnx

        return import_onnx(path, choices, name)
    if suffix == ".pt2":
        from tvmsr.frontend.torch_export import import_exported

        return import_exported(path, choices, name)
    from tvmsr.frontend.checkpoint import import_state, licence_of

    if suffix == ".safetensors":
        from tvmsr.frontend.readers.safetensors_file import read_safetensors

        tensors, metadata = read_safetensors(path)
        return import_state(normalise(tensors, str(path)), choices, name, licence_of(metadata))
    if suffix in SUFFIXES:
        from tvmsr.frontend.readers.torch_file import read_torch

        return import_state(normalise(read_torch(path), str(path)), choices, name, "unknown")
    raise InputFileError(f"{path}: its name ends in {suffix or 'nothing'}; models end in {', '.join(SUFFIXES)}")


def _as_arrays(state: Mapping[str, Any]) -> dict[str, Any]:
    """Torch tensors, wherever they are nested, as numpy arrays."""
    return {key: _as_array(value) for key, value in state.items()}


def _as_array(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _as_arrays(value)
    return value.detach().cpu().float().numpy() if hasattr(value, "detach") else value
