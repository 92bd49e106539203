"""From specs to one object of plain C functions."""

from __future__ import annotations

from collections.abc import Mapping

from tvmsr.hardware.target import Level
from tvmsr.kernels.spec import KernelSpec


def exported_name(name: str, level: Level) -> str:
    """The symbol of kernel `name` in the object of a level: several levels link into one library."""
    return f"{name}_{level.name}"


def compile_object(specs: Mapping[str, KernelSpec], level: Level, triple: str) -> bytes:
    """One relocatable object with a function exported_name(name, level) for every spec; same input, same bytes."""
    raise NotImplementedError
