"""State dicts that no family of ours fits and that spandrel knows: its module goes through our nn.Module frontend.

Needs `tvmsr[spandrel]`; without it nothing is tried. Spandrel is given tensors, never a file: it unpickles nothing.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from importlib import import_module
from typing import Any

from tvmsr.errors import InputFileError
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.state import State
from tvmsr.graph.model import Model

#: Height and width with which a module is exported, before what its architecture asks of them; they differ.
_EXAMPLE = (24, 32)


def import_unknown(state: State, choices: Choices, name: str, licence: str) -> Model | None:
    """A Model of what spandrel makes of a state dict; None where it is not installed or knows no such network.

    Raises InputFileError where spandrel knows it and it does not upscale RGB pictures, or has operations that are not
    supported.
    """
    descriptor = _load(state, choices)
    if descriptor is None:
        return None
    architecture = str(descriptor.architecture.id)
    if (descriptor.input_channels, descriptor.output_channels) not in ((3, 3), (1, 1)):
        raise InputFileError(
            f"{choices.source}: is {architecture} (spandrel) of {descriptor.input_channels} channels in and "
            f"{descriptor.output_channels} out; networks on pictures have 3 and 3, or 1 and 1"
        )
    from tvmsr.frontend import torch_export

    model = torch_export.import_module(descriptor.model, _told(choices, descriptor), _example(descriptor), name)
    if model.scale != descriptor.scale:
        raise InputFileError(
            f"{choices.source}: is {architecture} (spandrel) for scale {descriptor.scale}, but was read as one for "
            f"{model.scale}"
        )
    return replace(model, family=f"spandrel:{architecture}", licence=choices.given("licence") or licence)


def _load(state: State, choices: Choices) -> Any:
    """Spandrel's descriptor of the network; None where there is none."""
    try:
        spandrel, torch = import_module("spandrel"), import_module("torch")
    except ImportError:
        return None
    tensors = {key: torch.from_numpy(value.copy()) for key, value in state.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            descriptor = spandrel.MAIN_REGISTRY.load(tensors)
    except spandrel.UnsupportedModelError:
        return None
    except Exception as error:  # a state dict that only looks like one of its architectures
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputFileError(f"{choices.source}: spandrel cannot make a network of it ({reason})") from error
    return descriptor if descriptor.purpose in ("SR", "Restoration") else None


def _told(choices: Choices, descriptor: Any) -> Choices:
    """The choices with what spandrel says of all its networks, where the user says nothing: 0..1, RGB for three."""
    options = choices.options
    if options.value_range is None:
        options = replace(options, value_range=1.0)
    if options.colour is None and descriptor.input_channels == 3:
        options = replace(options, colour=Colours.RGB.value)
    return Choices(options, choices.source, choices.assumed)


def _example(descriptor: Any) -> tuple[int, int]:
    """A size that the network takes."""
    needs = descriptor.size_requirements
    step = max(int(needs.multiple_of), 1)
    height, width = (math.ceil(max(side, int(needs.minimum)) / step) * step for side in _EXAMPLE)
    return (width, width) if needs.square else (height, width)
